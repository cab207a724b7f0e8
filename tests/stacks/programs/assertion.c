#undef NDEBUG
#include <assert.h>

struct account {
  int balance;
};

__attribute__((noinline)) static void withdraw(struct account* account, int amount) {
  account->balance -= amount;
  assert(account->balance >= 0 && "overdrawn");
}

int main(int argc, char** argv) {
  struct account account = {argc};
  withdraw(&account, 100);
  return account.balance + (argv != 0);
}
