// ReferenceBlock: the references of some consecutive chunks as plain columns; what a stored block
// is decoded to, what one is encoded from, and what a snapshot in memory is read as.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "analyzer/snapshot.h"
#include "formats/base/result.h"

namespace residue {

// Limits of a stored block: few enough to decode in a few milliseconds, many enough to compress. A
// chunk with more references than a block holds is cut, and its parts are blocks of their own.
inline constexpr uint32_t kBlockSources = 65536;
inline constexpr uint32_t kBlockReferences = 262144;

// What a reference comes from: a chunk in use, one that is free or cached, or a part of a chunk in
// use that its container does not use (spare capacity of a vector).
enum class ReferenceKind : uint8_t { kLive, kFree, kSpare };
inline constexpr std::array<const char*, 3> kReferenceKindNames = {"live", "free", "spare"};

struct ReferenceBlock {
  uint32_t first_id = 0;  // the first source
  std::vector<uint32_t>
      begin;  // per source, and one more: its references are [begin[i], begin[i+1])
  std::vector<uint32_t> target;  // ids of chunks
  std::vector<uint8_t> flags;    // interior | kind << 1

  uint32_t sources() const { return static_cast<uint32_t>(begin.size()) - 1; }
  uint32_t references() const { return static_cast<uint32_t>(target.size()); }
  bool interior(uint32_t i) const { return (flags[i] & 1) != 0; }
  ReferenceKind kind(uint32_t i) const { return static_cast<ReferenceKind>(flags[i] >> 1); }
};

// Which references a block holds: all of the chunks [first_id, first_id + count), or `references`
// of one chunk from its `skip`-th on.
struct ReferenceRange {
  uint32_t first_id = 0;
  uint32_t count = 0;
  uint32_t references = 0;
  uint64_t skip = 0;
};

// Whether the analysis that made the snapshot kept its references.
bool has_references(const Snapshot& snapshot);

// Fails with kInternal if a reference leads to or from a chunk that does not exist, or those from
// dead memory are not in the order of their sources: a bug of the analysis. Linear.
Result<void> check_references(const Snapshot& snapshot);

// References between chunks, of all kinds. REQUIRES (here and below): has_references().
uint64_t count_references(const Snapshot& snapshot);

// How they are divided into blocks: every chunk is in a block of at most `sources` chunks and
// kBlockReferences references, in order of ids.
std::vector<ReferenceRange> divide_references(const Snapshot& snapshot,
                                              uint32_t sources = kBlockSources);

// Overwrites `block`. Of one chunk first those in use, by their place in it, then those of its
// spare parts.
void gather_references(const Snapshot& snapshot, const ReferenceRange& range,
                       ReferenceBlock& block);

}  // namespace residue
