// The truth file: what the witness knows of the heap at the moment it stopped the process.
//
//   # residue-witness=1
//   # pid=4711
//   # arena=135168               ... and every other field of mallinfo2()
//   # table=0x7f0012340000-0x7f0012380000     the witness's own memory
//   # live=812
//   0x55d0c3a012a0 24 24 live           address, requested bytes, usable bytes (malloc_usable_size)
//   0x55d0c3a012c0 100 104 planted
//
// Nothing here allocates; the file is written with write(2) from a static buffer.
#ifndef RESIDUE_TESTS_WITNESS_TRUTH_H_
#define RESIDUE_TESTS_WITNESS_TRUTH_H_

#include <stddef.h>

typedef struct {
  const char* at;        // what made the witness stop: "exit", "allocs", "signal"
  size_t allocations;    // calls that returned a new block
  size_t frees;          // calls that freed a listed block, dropped ones included
  size_t unknown_frees;  // free() of blocks the witness never saw
} truth_counters;

// Writes `path`, then creates `path`.ready. The caller keeps every thread out of malloc.
void write_truth(const char* path, const truth_counters* counters);

#endif  // RESIDUE_TESTS_WITNESS_TRUTH_H_
