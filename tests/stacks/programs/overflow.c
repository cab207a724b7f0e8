/* Recursion without an end: more than a hundred thousand frames on a stack of 8 MB. */
volatile int sink;

struct room {
  volatile int words[8];
};

__attribute__((noinline)) static int even(int depth);

__attribute__((noinline)) static int odd(int depth) {
  struct room room = {{depth}};
  const int below = even(depth + 1);
  return below + room.words[0];
}

static int even(int depth) {
  const int below = odd(depth + 1);
  return below - sink;
}

int main(void) { return even(0); }
