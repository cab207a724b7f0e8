// Stops inside libgcc's unwinder: the personality routine is this program's own, and aborts.
#include <cstdlib>
#include <string>

#define NOINLINE __attribute__((noinline))

int sink;

extern "C" int __gxx_personality_v0(...) { std::abort(); }

NOINLINE void throws(int depth) {
  std::string held("a destructor that the unwinder must run");
  if (depth == 0) throw 42;
  throws(depth - 1);
  sink += int(held.size());
}

int main() {
  throws(3);
  return sink;
}
