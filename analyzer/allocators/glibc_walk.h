// Walking the chunks of one stretch of a glibc arena.
#pragma once

#include "analyzer/allocators/allocator.h"
#include "analyzer/allocators/glibc_arenas.h"
#include "analyzer/allocators/glibc_damage.h"

namespace residue::glibc {

// How far behind the dumped bytes the last chunk before a gap may reach: a damaged size must not
// make the chunk map larger than the dump warrants.
inline constexpr uint64_t kMaxUnseen = 1 << 30;

struct StretchWalk {
  std::vector<WalkedRun> runs;  // more than one where unreadable or damaged memory interrupts
  // Free chunks by their neighbour's PREV_INUSE bit, top not among them; chunk sizes in bytes.
  uint64_t free_chunks = 0;
  uint64_t free_bytes = 0;
  // User addresses of used-looking chunks of these sizes: candidates for forgotten tcache structs.
  std::vector<Address> tcache_sized;
  // Memory inside the stretch that could not be read as chunks: damaged, or taken with sbrk by
  // somebody other than malloc. It may hold pointers like any other memory.
  std::vector<AddressRange> skipped;
  // User addresses of chunks that the next header calls free, while the copy of their size behind
  // them is wrong: one of both was overwritten. In `runs` they are used; on a bin they are free.
  std::vector<Address> doubtful;
  std::vector<TrampledHeader> trampled;
  std::vector<std::string> problems;
};

StretchWalk walk_stretch(const Image& image, const Arena& arena, const Stretch& stretch,
                         HeapId heap, Diagnostics& diagnostics);

}  // namespace residue::glibc
