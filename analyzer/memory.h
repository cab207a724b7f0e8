// Memory: where the process's size went. Every mapped byte belongs to exactly one row: to the
// chunks of a heap by what became of them, to a thread's stack, a module, a mapped file, or to
// nobody that is known.
#pragma once

#include <vector>

#include "analyzer/heaps.h"
#include "analyzer/memory_chunks.h"
#include "analyzer/snapshot.h"
#include "formats/image.h"

namespace residue {

struct MemoryAccount {
  // Most bytes first. Of one category at most kMaxRowsEach rows: the smallest are one row then,
  // "(others)".
  static constexpr size_t kMaxRowsEach = 1000;
  std::vector<MemoryRow> memory;
  // The same bytes by the kind of region, without names; most bytes first.
  std::vector<AccountRow> account;
};

// `sums`: of each heap (sum_chunks()). `ended`: find_ended_threads(). REQUIRES: snapshot.modules,
// threads and heaps are filled in, heaps without the columns that come from `sums`.
MemoryAccount account_memory(const Image& image, const Snapshot& snapshot,
                             const std::vector<AddressRange>& claimed,
                             const std::vector<Address>& ended, const std::vector<HeapSums>& sums);

}  // namespace residue
