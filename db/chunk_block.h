// ChunkBlock: up to 64 Ki chunks of one snapshot as plain columns; what a block of the database is
// decoded to, and what a snapshot in memory is read as. The format of a stored block is described
// in chunk_encoder.h.
#pragma once

#include <cstdint>
#include <vector>

namespace residue {

// Few enough to decode in well under a millisecond, many enough to compress; and an index into a
// block's dictionary of types always fits in 16 bits.
inline constexpr uint32_t kBlockChunks = 65536;

// Groups of columns that are stored, and read, together. A bit mask.
inline constexpr uint32_t kPlaceColumns = 1;  // address, size, heap
inline constexpr uint32_t kStateColumns = 2;  // state, reach
inline constexpr uint32_t kTypeColumn = 4;
inline constexpr uint32_t kOwnerColumn = 8;
inline constexpr uint32_t kClusterColumn = 16;
// These need kPlaceColumns too.
inline constexpr uint32_t kRetainedColumn = 32;
inline constexpr uint32_t kDominatorColumn = 64;
inline constexpr uint32_t kSlackColumn = 128;

// Columns of equal length `count`, or empty if they were not asked for. Ids are those of the
// snapshot's tables, ~0 for none; state and reach are values of ChunkState and Reach.
struct ChunkBlock {
  uint32_t count = 0;
  std::vector<uint64_t> address;  // ascending
  std::vector<uint64_t> size;
  std::vector<uint32_t> heap;
  std::vector<uint8_t> state;
  std::vector<uint8_t> reach;
  std::vector<uint32_t> type;
  std::vector<uint32_t> owner;
  std::vector<uint32_t> cluster;
  // Empty, though asked for, if the snapshot does not know it.
  std::vector<uint64_t> retained;
  std::vector<uint64_t> dominator;  // address; 0 for none
  std::vector<uint32_t> slack;      // of the size, what was not asked for; ~0 if unknown
};

}  // namespace residue
