// ChunkPairs: the chunks of two snapshots side by side, in address order.
//
// Problem: which chunk was there before, and which is new? Model: both snapshots list their chunks
// in address order, so that one merge pairs those that begin at the same address; nothing is
// looked up, nothing is sorted, and of each side one block of 64 Ki chunks is in memory. It
// means something only for two snapshots of one process.
//
//   RESIDUE_TRY(pairs.start(...));
//   while (!pairs.at_end()) {
//     … pairs.before(), pairs.after() …
//     if (!pairs.step()) RESIDUE_TRY(pairs.refill());
//   }
//
// Cost: a few nanoseconds a pair beside unpacking the blocks. Damaged blocks whose addresses do not
// ascend are paired wrongly, but the walk ends.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "db/chunk_source.h"
#include "formats/base/result.h"

namespace residue {

// What became of a piece of heap memory that is used in at least one of two snapshots.
enum class ChunkStatus : uint8_t {
  kNew,       // used in the second, and not in the first at this address
  kGone,      // used in the first, and not in the second at this address
  kKept,      // used in both, nothing tells them apart
  kResized,   // used in both with different sizes
  kReplaced,  // used in both with equal sizes, and recognised as different types
};
inline constexpr std::array<const char*, 5> kChunkStatusNames = {"new", "gone", "kept", "resized",
                                                                 "replaced"};

// One side: the chunks of a snapshot, block after block.
class ChunkWalk {
 public:
  ChunkWalk(sqlite3* db, const LiveSnapshots& live) : source_(db, live) {}

  // To the first chunk of the last block that begins at or below `from`.
  Result<void> start(int64_t snapshot, uint32_t columns, uint64_t from);
  bool at_end() const { return block_ == nullptr; }
  // False: the block is done, and load_next() is due.
  bool advance() { return ++row_ < block_->count; }
  Result<void> load_next();

  const ChunkBlock& block() const { return *block_; }
  uint32_t row() const { return row_; }
  uint64_t address() const { return block_->address[row_]; }
  uint64_t size() const { return block_->size[row_]; }
  bool used() const { return block_->state[row_] == static_cast<uint8_t>(ChunkState::kUsed); }

 private:
  ChunkSource source_;
  const std::vector<BlockRef>* blocks_ = nullptr;
  size_t next_ = 0;
  const ChunkBlock* block_ = nullptr;
  uint32_t row_ = 0;
  uint32_t columns_ = 0;
};

class ChunkPairs {
 public:
  ChunkPairs(sqlite3* db, const LiveSnapshots& live) : before_(db, live), after_(db, live) {}

  // `columns`: groups of chunk_block.h beyond places and states, which are always there. Pairs
  // below `low` mean nothing: each side begins with the block in which `low` lies.
  Result<void> start(int64_t from, int64_t to, uint32_t columns, uint64_t low);
  bool at_end() const { return !in_before_ && !in_after_; }

  // The chunk that begins here in either snapshot, whatever its state; nullptr if none does.
  const ChunkWalk* before() const { return in_before_ ? &before_ : nullptr; }
  const ChunkWalk* after() const { return in_after_ ? &after_ : nullptr; }
  uint64_t address() const { return in_after_ ? after_.address() : before_.address(); }
  // The state of the chunk of the first snapshot in whose memory address() lies, if one does.
  std::optional<ChunkState> covered_by() const {
    if (!any_passed_ || address() - last_address_ >= last_size_) return std::nullopt;
    return last_state_;
  }

  // To the next pair. False: refill() is due.
  bool step() {
    const bool before_left = !in_before_ || before_.advance();
    const bool after_left = !in_after_ || after_.advance();
    before_empty_ = !before_left;
    after_empty_ = !after_left;
    if (before_empty_ || after_empty_) return false;
    settle();
    return true;
  }
  Result<void> refill();

 private:
  void settle() {
    in_before_ = !before_.at_end();
    in_after_ = !after_.at_end();
    if (in_before_ && in_after_) {
      const uint64_t a = before_.address();
      const uint64_t b = after_.address();
      in_before_ = a <= b;
      in_after_ = b <= a;
    }
    if (!in_before_) return;
    any_passed_ = true;
    last_address_ = before_.address();
    last_size_ = before_.size();
    last_state_ = static_cast<ChunkState>(before_.block().state[before_.row()]);
  }

  ChunkWalk before_, after_;
  bool in_before_ = false, in_after_ = false;
  bool before_empty_ = false, after_empty_ = false;
  bool any_passed_ = false;
  uint64_t last_address_ = 0, last_size_ = 0;
  ChunkState last_state_ = ChunkState::kFree;
};

}  // namespace residue
