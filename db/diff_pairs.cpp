#include "db/diff_pairs.h"

#include <algorithm>

namespace residue {

Result<void> ChunkWalk::start(int64_t snapshot, uint32_t columns, uint64_t from) {
  if (columns != columns_) source_.clear();
  columns_ = columns;
  RESIDUE_ASSIGN(blocks_, source_.blocks(snapshot));
  const auto above = std::upper_bound(
      blocks_->begin(), blocks_->end(), from,
      [](uint64_t address, const BlockRef& ref) { return address < ref.first_address; });
  const auto index = static_cast<size_t>(above - blocks_->begin());
  next_ = index == 0 ? 0 : index - 1;
  return load_next();
}

Result<void> ChunkWalk::load_next() {
  block_ = nullptr;
  row_ = 0;
  if (next_ == blocks_->size()) return {};
  RESIDUE_ASSIGN(block_, source_.load((*blocks_)[next_], columns_));
  ++next_;
  return {};
}

Result<void> ChunkPairs::start(int64_t from, int64_t to, uint32_t columns, uint64_t low) {
  columns |= kPlaceColumns | kStateColumns;
  any_passed_ = false;
  RESIDUE_TRY(before_.start(from, columns, low));
  RESIDUE_TRY(after_.start(to, columns, low));
  settle();
  return {};
}

Result<void> ChunkPairs::refill() {
  if (before_empty_) RESIDUE_TRY(before_.load_next());
  if (after_empty_) RESIDUE_TRY(after_.load_next());
  before_empty_ = after_empty_ = false;
  settle();
  return {};
}

}  // namespace residue
