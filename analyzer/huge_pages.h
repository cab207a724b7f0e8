// Huge pages for arrays that are read all over the place: most of the cost of a look-up in tens of
// megabytes is the translation of its address.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>

namespace residue {

// Asks for huge pages for memory that was not written yet. May do nothing; changes no contents.
inline void advise_huge_pages(void* memory, size_t bytes) {
  constexpr size_t kWorthIt = size_t{4} << 20;
  constexpr uintptr_t kPage = 4096;
  if (bytes < kWorthIt) return;
  const auto begin = (reinterpret_cast<uintptr_t>(memory) + kPage - 1) & ~(kPage - 1);
  const auto end = (reinterpret_cast<uintptr_t>(memory) + bytes) & ~(kPage - 1);
  if (begin < end) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
}

}  // namespace residue
