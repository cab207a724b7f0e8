// Chains of chunk headers, and whether they can be believed.
//
// A chain from a wrong place dies within a few headers: the size must be aligned and stay inside
// the stretch, a free chunk's size must stand again behind it, and the flags must be those of the
// arena. What lives on for many headers, or runs into the end of the stretch, is real.
#pragma once

#include <algorithm>

#include "analyzer/allocators/glibc_arenas.h"
#include "formats/base/mapped_file.h"

namespace residue::glibc {

// The word's width, the alignment and the byte order are constants here: walking is the one loop
// that touches every chunk.
template <typename Word, uint64_t kAlignment, ByteOrder kOrder>
class ChunkChain {
 public:
  static constexpr Shape kShape = {sizeof(Word), kAlignment, kOrder};
  static constexpr uint64_t kWord = kShape.word, kHeaderSize = kShape.header();
  static constexpr uint64_t kMinSize = kShape.min_size(), kFencepostSize = kShape.fencepost();
  // After this many believable headers in a row a chain counts as found again.
  static constexpr unsigned kProvingHeaders = 64;
  // Fewer are enough where the bytes end: there is no more to see.
  static constexpr unsigned kProvingBeforeGap = 4;
  // And where a chain has just stepped over a header that cannot be true.
  static constexpr unsigned kProvingBehind = 8;

  ChunkChain(const Image& image, const Arena& arena, const Stretch& stretch)
      : image_(image),
        is_main_(arena.is_main),
        base_(stretch.first_chunk.value()),
        length_(stretch.memory.end().value() - stretch.first_chunk.value()),
        ends_in_top_(stretch.ends_in_top),
        top_(ends_in_top_ ? arena.top.value() - base_ : ~uint64_t{0}) {}

  // Positions are relative to base(). The readable piece of the stretch is [piece(), piece_end()).
  uint64_t base() const { return base_; }
  uint64_t length() const { return length_; }
  bool ends_in_top() const { return ends_in_top_; }
  uint64_t piece() const { return piece_; }
  uint64_t piece_end() const { return piece_ + bytes_.size(); }
  std::span<const std::byte> bytes() const { return bytes_; }
  bool readable(uint64_t at) const { return at >= piece_ && at + kHeaderSize <= piece_end(); }
  uint64_t word_at(uint64_t at) const { return load<Word>(bytes_.subspan(at - piece_), kOrder); }
  uint64_t head(uint64_t at) const { return word_at(at + kWord); }
  uint64_t size(uint64_t at) const { return head(at) & ~kSizeFlags; }

  // Makes the bytes from `at` on readable; false if there are none, or too few for a header.
  bool load_piece(uint64_t at) {
    if (at >= length_) return false;
    piece_ = at;
    bytes_ = image_.view(Address(base_ + at), length_ - at);
    return bytes_.size() >= kHeaderSize;
  }

  // The next position behind `at` with bytes, or the end of the stretch.
  uint64_t next_piece(uint64_t at) const {
    auto region =
        std::upper_bound(image_.regions.begin(), image_.regions.end(), Address(base_ + at),
                         [](Address a, const Region& r) { return a < r.range.base; });
    for (; region != image_.regions.end(); ++region) {
      const uint64_t begin =
          (region->range.base.value() - base_ + kAlignment - 1) & ~(kAlignment - 1);
      if (begin >= length_) break;
      if (!region->bytes.empty()) return begin;
    }
    return length_;
  }

  // The chain ends here as it should: at top, or at what closes an older heap (sysmalloc): a header
  // of size 0 at the very end, and before it a fencepost, which is a remnant of the old top where
  // that was too small to be freed. A piece of the main arena ends in two fenceposts, three with
  // such a remnant.
  bool is_end(uint64_t at) const {
    if (ends_in_top_) return at == top_;
    const uint64_t fence = size(at);
    if (fence != kFencepostSize && fence != kMinSize) return false;
    uint64_t last = at + fence;
    if (is_main_ && is_fencepost(at) && is_fencepost(last)) {
      if (last + 2 * kHeaderSize == length_ && is_fencepost(last + kHeaderSize)) {
        last += kHeaderSize;
      }
      return last + kHeaderSize <= length_ && length_ - last - kHeaderSize < kAlignment;
    }
    return last + kHeaderSize <= length_ && length_ - last - kHeaderSize < kAlignment &&
           readable(last) && size(last) == 0;
  }
  bool is_fencepost(uint64_t at) const { return readable(at) && size(at) == kFencepostSize; }

  // A header that can be true: aligned, big enough, inside the stretch and before top.
  bool plausible(uint64_t at, uint64_t size_word) const {
    const uint64_t size = size_word & ~kSizeFlags;
    const uint64_t limit = ends_in_top_ ? top_ : length_;
    return size >= kMinSize && size % kAlignment == 0 && (size_word & kIsMmapped) == 0 &&
           at < limit && size <= limit - at;
  }

  // The next header of a chain that obeys every law, or 0.
  uint64_t step(uint64_t at) const {
    const uint64_t word = head(at);
    if (!plausible(at, word) || (is_main_ && (word & kNonMainArena) != 0)) return 0;
    const uint64_t next = at + (word & ~kSizeFlags);
    if (!readable(next)) return next;
    const bool used = (head(next) & kPrevInUse) != 0;
    if (!used && word_at(next) != (word & ~kSizeFlags)) return 0;
    return next;
  }

  // Whether a believable chain starts at `from`: it reaches the end, or goes on long enough, or to
  // where the readable bytes end.
  bool starts(uint64_t from) const {
    uint64_t at = from;
    for (unsigned n = 0; n < kProvingHeaders; ++n) {
      if (!readable(at)) return n >= kProvingBeforeGap;
      if (is_end(at)) return n > 0 || at == top_;
      at = step(at);
      if (at == 0) return false;
    }
    return true;
  }

  // Whether a believable chain from `from` steps over `bad`, so that no chunk begins there. Both
  // this and leads_to() take their steps from `effort`, and fail without.
  bool steps_over(uint64_t from, uint64_t bad, uint64_t* effort) const {
    const uint64_t past = follow(from, bad, effort);
    return past > bad && starts_briefly(past);
  }

  // Whether a chain from `from` has a header at `target`.
  bool leads_to(uint64_t from, uint64_t target, uint64_t* effort) const {
    return follow(from, target, effort) == target;
  }

  // The nearest place after `bad` from which the chain can be believed, or the end of the readable
  // bytes. Chains from wrong places die within a few steps.
  uint64_t resynchronise(uint64_t bad) const {
    for (uint64_t from = bad + kAlignment; readable(from); from = next_place(from)) {
      if (starts(from)) return from;
    }
    return piece_end();
  }

  bool is_odd(uint64_t at) const { return is_main_ && (head(at) & kNonMainArena) != 0; }

 private:
  // The first header at or behind `target` of the chain from `from`, or 0 if it dies before.
  uint64_t follow(uint64_t from, uint64_t target, uint64_t* effort) const {
    uint64_t at = from;
    while (at < target) {
      if (*effort == 0 || !readable(at) || is_end(at)) return 0;
      --*effort;
      at = step(at);
      if (at == 0) return 0;
    }
    return at;
  }

  bool starts_briefly(uint64_t at) const {
    for (unsigned n = 0; n < kProvingBehind; ++n) {
      if (!readable(at)) return n >= kProvingBeforeGap;
      if (is_end(at)) return true;
      at = step(at);
      if (at == 0) return false;
    }
    return true;
  }

  // The next place for a header. A header that is all zeros, in a hole of the file, is none.
  uint64_t next_place(uint64_t from) const {
    const uint64_t next = from + kAlignment;
    if ((next - piece_) % MappedFile::kMinHole >= kAlignment) return next;
    const uint64_t at = (next - piece_) / Holes::kGrain * Holes::kGrain;
    const uint64_t data = piece_ + image_.holes.skip(bytes_, at) / kAlignment * kAlignment;
    // Top is known by its place alone.
    return std::max(next, next <= top_ ? std::min(data, top_) : data);
  }

  const Image& image_;
  bool is_main_;
  uint64_t base_;
  uint64_t length_;
  bool ends_in_top_;
  uint64_t top_;
  uint64_t piece_ = 0;
  std::span<const std::byte> bytes_;
};

}  // namespace residue::glibc
