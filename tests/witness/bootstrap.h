// Memory for the calls that arrive while dlsym looks up the real malloc: dlsym may allocate.
//
// A static buffer which is never reused. Its blocks may later be freed or reallocated by whoever
// got them, so the witness has to recognise them.
#ifndef RESIDUE_TESTS_WITNESS_BOOTSTRAP_H_
#define RESIDUE_TESTS_WITNESS_BOOTSTRAP_H_

#include <stdbool.h>
#include <stddef.h>

// Zeroed and aligned to 16; NULL when the buffer is used up. Only one thread exists by then.
void* bootstrap_allocate(size_t size);

bool bootstrap_owns(const void* block);

// Copies min(size, what is left of the buffer) bytes: the block's own size is not kept.
void bootstrap_copy(void* to, const void* block, size_t size);

#endif  // RESIDUE_TESTS_WITNESS_BOOTSTRAP_H_
