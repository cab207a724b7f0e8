// The exact set of live blocks: address -> requested size and a flag.
//
// The table belongs to the malloc witness and is used under its lock only. It lives in mappings
// of its own (never malloc's), fenced by inaccessible pages so that the kernel does not merge it
// with a mapping of the program. Addresses are stored masked: a conservative scanner which reads
// the table, or what a thread's stack or registers keep of it, must not find pointers there.
// Sizes are stored plain; nothing as small as a size is an address.
#ifndef RESIDUE_TESTS_WITNESS_LIVE_TABLE_H_
#define RESIDUE_TESTS_WITNESS_LIVE_TABLE_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
  uintptr_t address;
  size_t requested;
  bool planted;
} live_block;

// Adds a block; one that is listed already (freed behind the witness's back) is replaced.
void live_table_insert(const void* address, size_t requested);

// Returns false when the block is not listed.
bool live_table_remove(const void* address);

// Marks a block as one whose free() was dropped. Returns false when it is not listed.
bool live_table_plant(const void* address);

// Calls visit(block, context) for every block, in no order.
void live_table_for_each(void (*visit)(const live_block* block, void* context), void* context);

size_t live_table_count(void);

// The mapping in use, as [begin, end); both 0 before the first insertion.
void live_table_extent(uintptr_t* begin, uintptr_t* end);

// Gives the memory back; the table must not be used any more.
void live_table_discard(void);

#endif  // RESIDUE_TESTS_WITNESS_LIVE_TABLE_H_
