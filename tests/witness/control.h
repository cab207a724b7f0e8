// When the witness records, what it drops, and when and how it stops the process.
//
// The malloc family (malloc_witness.c) brackets every real call:
//
//   enter_allocation();  block = real.malloc(n);  record_block(block, n);  leave();
//
// One lock is held in between. Whoever holds it and stops therefore knows that no thread is
// inside malloc, and that record and heap agree: this is the whole trick. A signal handler that
// interrupts any code may take the lock if it is free, which makes stopping there safe too.
#ifndef RESIDUE_TESTS_WITNESS_CONTROL_H_
#define RESIDUE_TESTS_WITNESS_CONTROL_H_

#include <stdbool.h>
#include <stddef.h>

// False in processes the witness only passes calls on for. Read without the lock.
bool is_recording(void);

// Takes the lock. The second form counts one allocation and does not return when that is the one
// to stop at: the allocation is not done then, so no new block hangs in the air.
void enter(void);
void enter_allocation(void);

// Gives the lock back, and stops the process when a signal has asked for it meanwhile.
void leave(void);

// Stops the process if it is to be stopped at its end; returns otherwise.
void freeze_if_ending(void);

// To be called with the lock held. Null is no block and is ignored by record_block.
void record_block(const void* block, size_t requested);
void forget_block(const void* block);

// Counts one free() and says whether it must not be done: then the block stays listed, as planted.
bool free_is_dropped(const void* block);

#endif  // RESIDUE_TESTS_WITNESS_CONTROL_H_
