#include "db/chunk_addresses.h"

#include <algorithm>

namespace residue {

Result<void> ChunkAddresses::turn_to(int64_t snapshot) {
  if (turned_ && snapshot == snapshot_) return {};
  turned_ = false;
  parts_.clear();
  RESIDUE_ASSIGN(blocks_, source_.blocks(snapshot));
  live_ = source_.find_live(snapshot);
  snapshot_ = snapshot;
  if (live_ == nullptr) parts_.resize(blocks_->size());
  turned_ = true;
  return {};
}

Result<uint32_t> ChunkAddresses::count(int64_t snapshot) {
  RESIDUE_TRY(turn_to(snapshot));
  return blocks_->empty() ? 0 : blocks_->back().first_id + blocks_->back().count;
}

Result<uint64_t> ChunkAddresses::look_up(int64_t snapshot, uint32_t id) {
  RESIDUE_ASSIGN(const uint32_t chunks, count(snapshot));
  if (id >= chunks) return Error{ErrorCode::kCorrupt, "there is no such chunk", {}};
  if (live_ != nullptr) return live_->chunks.map.address(ChunkId(id)).value();
  const auto next =
      std::upper_bound(blocks_->begin(), blocks_->end(), id,
                       [](uint32_t i, const BlockRef& ref) { return i < ref.first_id; });
  const auto number = static_cast<size_t>(next - blocks_->begin()) - 1;
  if (parts_[number] == nullptr) RESIDUE_TRY(load(number));
  const Part& part = *parts_[number];
  const uint32_t index = id - (*blocks_)[number].first_id;
  if (part.near.empty()) return part.far[index];
  return part.base + uint64_t{part.near[index]} * kNearUnit;
}

Result<void> ChunkAddresses::load(size_t number) {
  const BlockRef& ref = (*blocks_)[number];
  RESIDUE_ASSIGN(const ChunkBlock* block, source_.load(ref, kPlaceColumns));
  auto part = std::make_unique<Part>();
  part->base = block->address.front();
  // The quick way in address() takes a chunk's block for granted.
  bool fits = ref.first_id == number * kBlockChunks;
  for (const uint64_t address : block->address) {
    const uint64_t distance = address - part->base;
    fits = fits && distance % kNearUnit == 0 && distance / kNearUnit <= ~uint32_t{0};
  }
  if (fits) {
    part->near.reserve(block->address.size());
    for (const uint64_t address : block->address) {
      part->near.push_back(static_cast<uint32_t>((address - part->base) / kNearUnit));
    }
  } else {
    part->far = block->address;
  }
  parts_[number] = std::move(part);
  return {};
}

Result<uint32_t> ChunkAddresses::first_from(int64_t snapshot, uint64_t address) {
  RESIDUE_ASSIGN(const uint32_t chunks, count(snapshot));
  const auto ref =
      std::lower_bound(blocks_->begin(), blocks_->end(), address,
                       [](const BlockRef& block, uint64_t a) { return block.last_address < a; });
  if (ref == blocks_->end()) return chunks;
  if (address <= ref->first_address) return ref->first_id;
  RESIDUE_ASSIGN(const ChunkBlock* block, source_.load(*ref, kPlaceColumns));
  const auto at = std::lower_bound(block->address.begin(), block->address.end(), address);
  return ref->first_id + static_cast<uint32_t>(at - block->address.begin());
}

}  // namespace residue
