// A vector whose constructor has not run yet: its place on the stack still holds the last one,
// whose buffer is another object's memory by now. Nothing here is a leak.
#include <vector>

#include "note.h"

namespace {

void** g_object;

std::vector<void*> wait_if(bool wait, int, int) {
  if (wait) wait_as_it_is();
  std::vector<void*> filled;
  filled.reserve(8);
  filled.push_back(nullptr);
  return filled;
}

NOINLINE int number(bool wait, int n) {
  if (wait) wait_as_it_is();
  return n;
}

NOINLINE void* hold(bool wait) {
  std::vector<void*> held = wait_if(false, number(wait, 1), number(false, 2));
  return held[0];
}

// So deep that what is called in between leaves the place alone.
NOINLINE void hold_deep_down(bool wait) {
  volatile char stack[16384] = {};
  hold(wait);
  (void)stack[1];
}

NOINLINE void take_the_buffer() {
  g_object = static_cast<void**>(malloc(8 * sizeof(void*)));
  const char* const names[] = {"0", "1", "2", "3", "4", "5", "6", "7"};
  for (int i = 0; i < 8; ++i) g_object[i] = block_named(names[i]);
}

}  // namespace

int main() {
  hold_deep_down(false);
  take_the_buffer();
  hold_deep_down(true);
  _exit(0);
}
