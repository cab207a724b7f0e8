// What the chunks of each heap add up to, told apart as the table `memory` does, and how the free
// ones lie.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "analyzer/snapshot.h"
#include "formats/image.h"

namespace residue {

enum class ChunkShare : uint8_t { kLive, kLeaked, kFree, kCached };
inline constexpr size_t kChunkShares = 4;

struct HeapSums {
  struct Share {
    uint64_t count = 0;
    uint64_t bytes = 0;    // usable
    uint64_t in_dump = 0;  // of these, supplied by the dump
    uint64_t holes = 0;    // of these, holes of the dump's file
  };
  std::array<Share, kChunkShares> shares;
  uint64_t largest_free = 0;  // usable bytes
  // Whole pages inside free chunks, without the words that malloc keeps at the beginning of each.
  uint64_t free_pages = 0;

  Share& operator[](ChunkShare share) { return shares[static_cast<size_t>(share)]; }
  const Share& operator[](ChunkShare share) const { return shares[static_cast<size_t>(share)]; }
};

// One entry per heap. One pass over the chunks, not over their bytes. Suppressed leaks count as
// live, as they do in `usage`, and so does everything in use if nobody has looked for leaks (chunks
// without the column `reach`). REQUIRES: snapshot.heaps, chunks and clusters are filled in.
std::vector<HeapSums> sum_chunks(const Image& image, const Snapshot& snapshot, unsigned jobs);

}  // namespace residue
