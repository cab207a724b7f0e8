// malloc witness: a preloaded library that knows exactly which blocks of a process are live.
//
// It stands in front of glibc's malloc family, writes down every block, and at a chosen moment
// writes all of them to a file and stops the process for good, so that a core of precisely that
// heap can be taken. It shares nothing with the analyser it is the judge of: it never looks at
// malloc's metadata.
//
//   RESIDUE_WITNESS_OUT=FILE    the truth file (truth.h); without it the witness only passes on
//   RESIDUE_WITNESS_AT=WHEN     exit (default): main has returned or exit was called, before any
//                               destructor runs; allocs:N: in place of the Nth allocation;
//                               signal: when SIGUSR2 arrives
//   RESIDUE_WITNESS_DROP=N      every Nth free() is not done: a planted leak
//   RESIDUE_WITNESS_EXE=NAME    only in the process whose executable's path or name, or whose
//                               argv[0], is NAME
//
// The process that witnesses removes RESIDUE_WITNESS_OUT from its environment, so programs it
// starts are left alone; a wrapper which does not match NAME leaves it in place for its children.
//
// Limits: calls to __libc_malloc and friends by name are not seen; a signal handler of the
// program that allocates while its own thread is inside malloc deadlocks here (undefined there).

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bootstrap.h"
#include "control.h"

typedef int main_function(int, char**, char**);

static struct {
  void* (*malloc)(size_t);
  void* (*calloc)(size_t, size_t);
  void* (*realloc)(void*, size_t);
  void (*free)(void*);
  void* (*memalign)(size_t, size_t);
  void* (*aligned_alloc)(size_t, size_t);
  int (*posix_memalign)(void**, size_t, size_t);
  void* (*valloc)(size_t);
  void* (*pvalloc)(size_t);
  void (*exit)(int);
  main_function* main;
} real;

static enum { kUnresolved, kResolving, kResolved } resolution;

// ---- Set-up. -----------------------------------------------------------------------------------

static void* next_symbol(const char* name) {
  void* const symbol = dlsym(RTLD_NEXT, name);
  if (symbol == NULL) abort();
  return symbol;
}

// ISO C has no conversion from void* to a function pointer; POSIX promises that copying works.
#define RESOLVE(member, name)                           \
  do {                                                  \
    void* const symbol_ = next_symbol(name);            \
    memcpy(&real.member, &symbol_, sizeof real.member); \
  } while (0)

// True when the real functions can be called. dlsym itself may allocate: those calls find
// kResolving and are served from the bootstrap buffer. The first call comes from ld.so, when
// there is one thread.
static bool ready(void) {
  if (resolution == kResolved) return true;
  if (resolution == kResolving) return false;
  resolution = kResolving;
  RESOLVE(malloc, "malloc");
  RESOLVE(calloc, "calloc");
  RESOLVE(realloc, "realloc");
  RESOLVE(free, "free");
  RESOLVE(memalign, "memalign");
  RESOLVE(aligned_alloc, "aligned_alloc");
  RESOLVE(posix_memalign, "posix_memalign");
  RESOLVE(valloc, "valloc");
  RESOLVE(pvalloc, "pvalloc");
  RESOLVE(exit, "exit");
  resolution = kResolved;
  return true;
}

// ---- The end of the process: freeze before destructors have torn the heap down. ----------------

static int main_then_freeze(int argc, char** argv, char** envp) {
  const int status = real.main(argc, argv, envp);
  freeze_if_ending();
  return status;
}

int __libc_start_main(main_function* main, int argc, char** argv, void (*init)(void),
                      void (*fini)(void), void (*rtld_fini)(void), void* stack_end);
int __libc_start_main(main_function* main, int argc, char** argv, void (*init)(void),
                      void (*fini)(void), void (*rtld_fini)(void), void* stack_end) {
  int (*start)(main_function*, int, char**, void (*)(void), void (*)(void), void (*)(void), void*);
  void* const symbol = next_symbol("__libc_start_main");
  memcpy(&start, &symbol, sizeof start);
  real.main = main;
  return start(main_then_freeze, argc, argv, init, fini, rtld_fini, stack_end);
}

void exit(int status) {
  freeze_if_ending();
  if (ready()) real.exit(status);
  __builtin_unreachable();
}

void _exit(int status) {
  freeze_if_ending();
  for (;;) syscall(SYS_exit_group, status);
}

void _Exit(int status) { _exit(status); }

// ---- The malloc family. ------------------------------------------------------------------------

void* malloc(size_t size) {
  if (!ready()) return bootstrap_allocate(size);
  if (!is_recording()) return real.malloc(size);
  enter_allocation();
  void* const block = real.malloc(size);
  record_block(block, size);
  leave();
  return block;
}

void* calloc(size_t count, size_t size) {
  if (!ready()) return bootstrap_allocate(count * size);
  if (!is_recording()) return real.calloc(count, size);
  enter_allocation();
  void* const block = real.calloc(count, size);
  record_block(block, count * size);
  leave();
  return block;
}

void free(void* block) {
  if (block == NULL || bootstrap_owns(block)) return;
  if (!ready()) return;
  if (!is_recording()) {
    real.free(block);
    return;
  }
  enter();
  if (!free_is_dropped(block)) {
    forget_block(block);
    real.free(block);
  }
  leave();
}

void* realloc(void* block, size_t size) {
  if (block == NULL) return malloc(size);
  if (bootstrap_owns(block)) {
    void* const moved = malloc(size);
    if (moved != NULL) bootstrap_copy(moved, block, size);
    return moved;
  }
  if (!ready()) return NULL;
  if (!is_recording()) return real.realloc(block, size);
  enter_allocation();
  void* const moved = real.realloc(block, size);
  // A null result means "freed" for size 0, and "nothing happened" otherwise.
  if (moved != NULL || size == 0) forget_block(block);
  record_block(moved, size);
  leave();
  return moved;
}

// glibc's own would call realloc through the symbol above, with the lock held.
void* reallocarray(void* block, size_t count, size_t size) {
  size_t bytes = 0;
  if (__builtin_mul_overflow(count, size, &bytes)) {
    errno = ENOMEM;
    return NULL;
  }
  return realloc(block, bytes);
}

void* memalign(size_t alignment, size_t size) {
  if (!ready()) return NULL;
  if (!is_recording()) return real.memalign(alignment, size);
  enter_allocation();
  void* const block = real.memalign(alignment, size);
  record_block(block, size);
  leave();
  return block;
}

void* aligned_alloc(size_t alignment, size_t size) {
  if (!ready()) return NULL;
  if (!is_recording()) return real.aligned_alloc(alignment, size);
  enter_allocation();
  void* const block = real.aligned_alloc(alignment, size);
  record_block(block, size);
  leave();
  return block;
}

int posix_memalign(void** out, size_t alignment, size_t size) {
  if (!ready()) return ENOMEM;
  if (!is_recording()) return real.posix_memalign(out, alignment, size);
  enter_allocation();
  const int error = real.posix_memalign(out, alignment, size);
  if (error == 0) record_block(*out, size);
  leave();
  return error;
}

void* valloc(size_t size) {
  if (!ready()) return NULL;
  if (!is_recording()) return real.valloc(size);
  enter_allocation();
  void* const block = real.valloc(size);
  record_block(block, size);
  leave();
  return block;
}

void* pvalloc(size_t size) {
  if (!ready()) return NULL;
  if (!is_recording()) return real.pvalloc(size);
  enter_allocation();
  void* const block = real.pvalloc(size);
  record_block(block, size);
  leave();
  return block;
}
