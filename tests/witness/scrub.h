// Removes what the witness itself has left of block addresses on the thread that freezes.
#ifndef RESIDUE_TESTS_WITNESS_SCRUB_H_
#define RESIDUE_TESTS_WITNESS_SCRUB_H_

// Zeroes the stack below the caller's frame, deeper than writing the truth reached, and the
// vector registers. All of them are dead across a call, so nothing of the program's is lost; a
// program interrupted by a signal has its own copy of them in the signal frame.
void scrub_stale_pointers(void);

#endif  // RESIDUE_TESTS_WITNESS_SCRUB_H_
