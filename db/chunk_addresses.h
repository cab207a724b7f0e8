// ChunkAddresses: between ids of chunks, which references are stored as, and addresses, which users
// see.
//
// A column of references jumps about in all of its snapshot, so all addresses that were looked up
// stay: of the snapshot asked for last, by whole blocks, 4 bytes a chunk. One that is in memory
// needs none of that.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "db/chunk_source.h"
#include "formats/base/result.h"

namespace residue {

class ChunkAddresses {
 public:
  // REQUIRES: `source` outlives this and loads nothing but kPlaceColumns.
  explicit ChunkAddresses(ChunkSource& source) : source_(source) {}

  Result<uint32_t> count(int64_t snapshot);
  // Fails with kCorrupt if there is no such chunk.
  Result<uint64_t> address(int64_t snapshot, uint32_t id) {
    if (snapshot == snapshot_ && id / kBlockChunks < parts_.size()) {
      const Part* part = parts_[id / kBlockChunks].get();
      const uint32_t index = id % kBlockChunks;
      if (part != nullptr && index < part->near.size()) {
        return part->base + uint64_t{part->near[index]} * kNearUnit;
      }
    }
    return look_up(snapshot, id);
  }
  // The first chunk that begins at `address` or behind it; count() if there is none.
  Result<uint32_t> first_from(int64_t snapshot, uint64_t address);

 private:
  static constexpr uint64_t kNearUnit = 8;  // no allocator aligns to less
  // A block of kBlockChunks chunks: where they begin, from `base` in units, or, of a block that
  // does not fit into that, as addresses.
  struct Part {
    uint64_t base = 0;
    std::vector<uint32_t> near;
    std::vector<uint64_t> far;
  };

  Result<void> turn_to(int64_t snapshot);
  Result<uint64_t> look_up(int64_t snapshot, uint32_t id);
  Result<void> load(size_t number);

  ChunkSource& source_;
  int64_t snapshot_ = 0;
  bool turned_ = false;
  const Snapshot* live_ = nullptr;
  const std::vector<BlockRef>* blocks_ = nullptr;
  std::vector<std::unique_ptr<Part>> parts_;  // empty for a snapshot in memory
};

}  // namespace residue
