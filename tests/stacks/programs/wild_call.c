/* Calls through pointers that lead to no code: null, an unmapped page, and the heap. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

volatile int sink;
static void (*volatile target)(void);

__attribute__((noinline)) static void call_it(int depth) {
  if (depth > 0) {
    call_it(depth - 1);
  } else {
    target();
  }
  ++sink;
}

int main(int argc, char** argv) {
  const char* mode = argc > 1 ? argv[1] : "";
  if (!strcmp(mode, "wild")) {
    target = (void (*)(void))(uintptr_t)0x5a5a5a50;
  } else if (!strcmp(mode, "heap")) {
    target = (void (*)(void))(uintptr_t)malloc(64);
  }
  call_it(4);
  return sink;
}
