// A piece begins on a page with a chunk, is tiled by chunks, and ends on a page: with top, or with
// the fenceposts that sysmalloc lays at the end of an old top when it moves on (two headers of
// 2 * SIZE_SZ, three if what was left of the old top is no chunk). Chunks of the main arena have
// neither IS_MMAPPED nor NON_MAIN_ARENA, and a free one's size stands behind it once more. A chain
// that keeps all of that from a page to a page is no accident, and a false one shows in the sum:
// system_mem counts every piece.
//
// The brk heap, if there is one, is a piece too, with one difference: while the arena was still
// contiguous, memory that others took with sbrk was counted as the arena's.
//
// Rejected: following the bins' pointers, which name only pieces that have free chunks.
//
// Cost: one header for each page of anonymous memory, and every chunk once.
#include "analyzer/allocators/glibc_pieces.h"

#include <algorithm>

#include "formats/base/text.h"

namespace residue::glibc {
namespace {

class PieceFinder {
 public:
  PieceFinder(const Image& image, const Arena& arena)
      : image_(image), arena_(arena), shape_(arena.shape) {}

  // `whole_brk`: the brk heap reaches to the last thing in it that can be its end, whatever lies
  // between.
  std::vector<AddressRange> find(bool whole_brk) const {
    std::vector<AddressRange> pieces;
    for (const Region& region : image_.regions) {
      const bool is_brk = region.kind == RegionKind::kHeap;
      // The kernel may merge a piece with a stack that has no guard page.
      const bool may_hold =
          is_brk || region.kind == RegionKind::kAnonymous || region.kind == RegionKind::kStack;
      if (!may_hold || !region.permissions.write) continue;
      scan(region, is_brk && whole_brk, &pieces);
    }
    return pieces;
  }

 private:
  uint64_t head(const Region& region, uint64_t at) const {
    return shape_.load_word(region.bytes.subspan(at + shape_.word));
  }
  bool readable(const Region& region, uint64_t at) const {
    return at <= region.bytes.size() && region.bytes.size() - at >= shape_.header();
  }

  void scan(const Region& region, bool whole, std::vector<AddressRange>* pieces) const {
    const uint64_t base = region.range.base.value();
    for (uint64_t at = 0; readable(region, at);) {
      uint64_t end = chain_end(region, at);
      if (end == 0) {
        const uint64_t data = image_.holes.skip(region.bytes, at / Holes::kGrain * Holes::kGrain);
        at = std::max(at + image_.page_size, data / image_.page_size * image_.page_size);
        continue;
      }
      if (whole) end = std::max(end, last_end(region, end));
      pieces->push_back({Address(base + at), ByteCount(end - at)});
      at = end;
    }
  }

  // Where a piece that begins on the page at `from` ends, or 0 if there is none. Offsets in the
  // region.
  uint64_t chain_end(const Region& region, uint64_t from) const {
    const uint64_t base = region.range.base.value();
    uint64_t at = shape_.next_chunk(base + from) - base;
    uint64_t previous = 0;
    while (readable(region, at)) {
      const uint64_t size_word = head(region, at);
      const uint64_t size = size_word & ~kSizeFlags;
      const bool previous_is_free = (size_word & kPrevInUse) == 0;
      if ((size_word & (kIsMmapped | kNonMainArena)) != 0) return 0;
      // Nothing lies before the first chunk, and a free one's size is kept twice.
      if (previous_is_free &&
          (previous == 0 || shape_.load_word(region.bytes.subspan(at)) != previous)) {
        return 0;
      }
      if (base + at == arena_.top.value()) return top_end(region);
      if (const uint64_t end = behind_fenceposts(region, at)) return previous == 0 ? 0 : end;
      if (size < shape_.min_size() || size % shape_.alignment != 0) return 0;
      if (size > region.bytes.size() - at) return 0;
      previous = size;
      at += size;
    }
    return 0;
  }

  uint64_t top_end(const Region& region) const {
    const uint64_t end = arena_.top.value() + arena_.top_size - region.range.base.value();
    return end <= region.range.size.value() ? end : 0;
  }

  // What two fenceposts leave of a piece whose chunks do not begin at multiples of the alignment.
  uint64_t slack() const { return shape_.alignment - shape_.header(); }

  bool is_fencepost(const Region& region, uint64_t at) const {
    return readable(region, at) && head(region, at) == (shape_.fencepost() | kPrevInUse);
  }

  // The page behind the fenceposts that begin at `at`, or 0. The first one has no PREV_INUSE where
  // the old top before it was freed.
  uint64_t behind_fenceposts(const Region& region, uint64_t at) const {
    if ((head(region, at) & ~kPrevInUse) != shape_.fencepost()) return 0;
    uint64_t end = at + shape_.header();
    for (unsigned posts = 1; posts < 3 && is_fencepost(region, end); ++posts) {
      end += shape_.header();
      const uint64_t until = end + slack();
      if ((region.range.base.value() + until) % image_.page_size == 0) return until;
    }
    return 0;
  }

  // The last end that the brk heap can have behind `end`, or 0.
  uint64_t last_end(const Region& region, uint64_t end) const {
    if (region.range.contains(arena_.top)) return top_end(region);
    const uint64_t posts = 2 * shape_.header() + slack();
    uint64_t at = region.bytes.size() / image_.page_size * image_.page_size;
    for (; at >= end + posts; at -= image_.page_size) {
      if (behind_fenceposts(region, at - posts) == at) return at;
    }
    return 0;
  }

  const Image& image_;
  const Arena& arena_;
  const Shape& shape_;
};

uint64_t total(const std::vector<AddressRange>& pieces) {
  uint64_t sum = 0;
  for (const AddressRange& piece : pieces) sum += piece.size.value();
  return sum;
}

}  // namespace

void add_pieces(const Image& image, Arena* arena) {
  const PieceFinder finder(image, *arena);
  std::vector<AddressRange> pieces = finder.find(false);
  if (total(pieces) != arena->system_mem) {
    std::vector<AddressRange> longer = finder.find(true);
    if (total(longer) == arena->system_mem) pieces = std::move(longer);
  }
  for (const AddressRange& piece : pieces) {
    const Address first(arena->shape.next_chunk(piece.base.value()));
    arena->stretches.push_back({piece, first, piece.contains(arena->top)});
    arena->claimed.push_back(piece);
  }
  if (total(pieces) != arena->system_mem) {
    arena->problems.push_back("pieces of " + std::to_string(total(pieces)) +
                              " bytes found, system_mem " + std::to_string(arena->system_mem));
  }
}

}  // namespace residue::glibc
