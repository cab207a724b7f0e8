// Blocks that only the lists of functions to call at exit keep. glibc mangles the functions there,
// not their arguments.
#include "note.h"

extern "C" int __cxa_atexit(void (*function)(void*), void* argument, void* handle);
extern "C" int __cxa_thread_atexit(void (*function)(void*), void* argument, void* handle);
extern "C" void* __dso_handle;

namespace {

void nothing(void*) {}
void nothing_at_exit(int, void*) {}

NOINLINE void register_all() {
  __cxa_atexit(nothing, block_named("first list"), &__dso_handle);
  on_exit(nothing_at_exit, block_named("on_exit"));
  // glibc's own list holds 32; more make it ask for a block.
  for (int i = 0; i < 40; ++i) __cxa_atexit(nothing, nullptr, &__dso_handle);
  __cxa_atexit(nothing, block_named("second list"), &__dso_handle);
  for (int i = 0; i < 40; ++i) __cxa_atexit(nothing, nullptr, &__dso_handle);
  __cxa_thread_atexit(nothing, block_named("thread's list"), &__dso_handle);
}

NOINLINE void lose() { block_named("lost"); }

}  // namespace

int main() {
  register_all();
  lose();
  wait_for_the_test();
  _exit(0);
}
