/* What the programs here share: saying which block is which without keeping a pointer to it. */
#ifndef RESIDUE_TESTS_E2E_REACH_NOTE_H_
#define RESIDUE_TESTS_E2E_REACH_NOTE_H_

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline, noclone))

/* Overwrites the dead stack below its caller, which holds what calls before left there. */
NOINLINE static __attribute__((unused)) void scrub(void) {
  volatile char dead[128 * 1024];
  for (size_t i = 0; i < sizeof dead; ++i) dead[i] = 0;
}

/* Writes "name 0x…\n" to stdout with one write(2), so that no buffer keeps it. */
NOINLINE static __attribute__((unused)) void note(const char* name, const void* block) {
  char line[128];
  size_t n = strlen(name);
  memcpy(line, name, n);
  memcpy(line + n, " 0x", 3);
  n += 3;
  for (int shift = 60; shift >= 0; shift -= 4) {
    line[n++] = "0123456789abcdef"[(uintptr_t)block >> shift & 15];
  }
  line[n++] = '\n';
  if (write(1, line, n) != (ssize_t)n) _exit(3);
}

/* A block that holds nothing. Nobody may keep the pointer but the caller. */
NOINLINE static __attribute__((unused)) void* block_of(const char* name, size_t size) {
  void* block = malloc(size);
  memset(block, 0, size);
  note(name, block);
  return block;
}

/* Of a size that all of the chunk's usable bytes are asked for. */
NOINLINE static __attribute__((unused)) void* block_named(const char* name) {
  return block_of(name, 1000);
}

NOINLINE static __attribute__((unused)) void wait_as_it_is(void) {
  char byte;
  if (write(1, "ready\n", 6) != 6) _exit(3);
  while (read(0, &byte, 1) > 0) {
  }
}

/* Everything is in place: lets the test take a core, and waits until it is done. */
#define wait_for_the_test() (scrub(), wait_as_it_is())

#endif  // RESIDUE_TESTS_E2E_REACH_NOTE_H_
