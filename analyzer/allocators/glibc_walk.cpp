// From header to header.
//
// Chunks tile a stretch: each header gives the size, the size leads to the next header, and the
// next header's PREV_INUSE bit says whether this chunk is in use. The walk is proved when it lands
// exactly on top, or on the fenceposts at the end of an older heap. Where a header cannot be true,
// the walk says so and looks ahead for the next place from which the chain runs to the end of the
// stretch: that skips memory that somebody else took with sbrk, as well as a trampled header.
//
// Cost: one cache line per chunk, in order. Sizes are irregular, so the hardware's prefetcher gives
// up and the loop prefetches a fixed distance ahead itself (three times faster on random sizes).
#include "analyzer/allocators/glibc_walk.h"

#include <algorithm>

#include "formats/base/mapped_file.h"
#include "formats/base/text.h"

namespace residue::glibc {
namespace {

constexpr const char* kStage = "glibc";
constexpr uint64_t kPrefetchDistance = 1024;
constexpr uint64_t kReleaseEvery = 16 << 20;
// After this many believable headers in a row a chain counts as found again.
constexpr unsigned kProvingHeaders = 64;
// Fewer are enough where the bytes end: there is no more to see.
constexpr unsigned kProvingBeforeGap = 4;

// The word's width, the alignment and the byte order are constants here: the walk is the one loop
// that touches every chunk.
template <typename Word, uint64_t kAlignment, ByteOrder kOrder>
class StretchWalker {
  static constexpr Shape kShape = {sizeof(Word), kAlignment, kOrder};
  static constexpr uint64_t kWord = kShape.word, kHeaderSize = kShape.header();
  static constexpr uint64_t kMinSize = kShape.min_size(), kFencepostSize = kShape.fencepost();

 public:
  StretchWalker(const Image& image, const Arena& arena, const Stretch& stretch, HeapId heap,
                Diagnostics& diagnostics)
      : image_(image),
        arena_(arena),
        heap_(heap),
        diagnostics_(diagnostics),
        base_(stretch.first_chunk.value()),
        length_(stretch.memory.end().value() - stretch.first_chunk.value()),
        ends_in_top_(stretch.ends_in_top),
        top_(ends_in_top_ ? arena.top.value() - base_ : ~uint64_t{0}) {}

  StretchWalk walk() {
    for (uint64_t at = 0; at < length_;) {
      if (!load_piece(at)) {
        const uint64_t next = next_piece(at);
        lose(at, next - at, "heap memory is not in the dump");
        if (!load_piece(next)) break;
        at = chain_starts(next) ? next : resynchronise(next);
        if (at > next) skip(next, at);
        continue;
      }
      const Stop stop = walk_run(at);
      at = stop.at;
      if (stop.why == Stop::kEnd) break;
      if (stop.why == Stop::kNoBytes) continue;
      const uint64_t next = resynchronise(at);
      skip(at, next);
      at = next;
    }
    return std::move(result_);
  }

 private:
  // Where a run ended, and why.
  struct Stop {
    enum Why { kEnd, kNoBytes, kBadHeader } why;
    uint64_t at;
  };

  // Positions are relative to base_. The readable piece of the stretch is [piece_, piece_end()).
  uint64_t piece_end() const { return piece_ + bytes_.size(); }
  bool readable(uint64_t at) const { return at >= piece_ && at + kHeaderSize <= piece_end(); }
  uint64_t word_at(uint64_t at) const { return load<Word>(bytes_.subspan(at - piece_), kOrder); }
  uint64_t head(uint64_t at) const { return word_at(at + kWord); }

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
      const uint64_t begin = region->range.base.value() - base_;
      if (begin >= length_) break;
      if (!region->bytes.empty()) return begin;
    }
    return length_;
  }

  void lose(uint64_t at, uint64_t bytes, const char* why) {
    result_.problems.push_back(std::to_string(bytes) + " bytes at " + hex(base_ + at) + ": " + why);
    diagnostics_.add(Severity::kDamage, kStage, "address " + hex(base_ + at), bytes, why);
  }

  // When brk moved under it, malloc closes the old run with fenceposts and counts the foreign bytes
  // in system_mem: no damage. Anything else that is no header is.
  void skip(uint64_t from, uint64_t to) {
    if (!readable(from)) return;
    const AddressRange gap{Address(base_ + from), ByteCount(to - from)};
    result_.skipped.push_back(gap);
    // The first fencepost loses its PREV_INUSE when the old top before it is freed.
    if ((head(from) | kPrevInUse) == (kFencepostSize | kPrevInUse) && to < piece_end()) {
      diagnostics_.add(Severity::kNote, kStage, "address " + hex(gap.base.value()), to - from,
                       "memory in the middle of the heap was taken with sbrk by others");
      return;
    }
    lose(from, to - from, "no chunk header here; skipped to the next provable one");
  }

  // The chain ends here as it should: at top, or at what closes an older heap (sysmalloc): a header
  // of size 0 at the very end, and before it a fencepost, which is a remnant of the old top where
  // that was too small to be freed. A piece of the main arena ends in two fenceposts, three with
  // such a remnant.
  bool is_end(uint64_t at) const {
    if (ends_in_top_) return at == top_;
    const uint64_t size = head(at) & ~kSizeFlags;
    if (size != kFencepostSize && size != kMinSize) return false;
    uint64_t last = at + size;
    if (arena_.is_main && is_fencepost(at) && is_fencepost(last)) {
      if (last + 2 * kHeaderSize == length_) last += kHeaderSize;
      return last + kHeaderSize == length_ && is_fencepost(last);
    }
    return last + kHeaderSize == length_ && readable(last) && (head(last) & ~kSizeFlags) == 0;
  }
  bool is_fencepost(uint64_t at) const {
    return readable(at) && (head(at) & ~kSizeFlags) == kFencepostSize;
  }

  // A header that can be true: aligned, big enough, inside the stretch and before top.
  bool plausible(uint64_t at, uint64_t size_word) const {
    const uint64_t size = size_word & ~kSizeFlags;
    const uint64_t limit = ends_in_top_ ? top_ : length_;
    return size >= kMinSize && size % kAlignment == 0 && (size_word & kIsMmapped) == 0 &&
           at < limit && size <= limit - at;
  }

  Stop walk_run(uint64_t start) {
    WalkedRun walked;
    walked.granule_shift = kShape.granule_shift();
    walked.run.heap = heap_;
    walked.run.gap = kWord;
    walked.run.begin = Address(base_ + start + kHeaderSize);
    uint64_t at = start;
    uint64_t released = start;
    auto why = Stop::kNoBytes;
    uint64_t previous_size = 0;
    while (readable(at)) {
      const uint64_t size_word = head(at);
      const bool end = is_end(at);
      const bool good = end || plausible(at, size_word);
      // A header that is not to be believed says nothing of the chunk before it, unless the size it
      // keeps of that chunk is right.
      if ((size_word & kPrevInUse) == 0 && !walked.states.empty() &&
          (good || word_at(at) == previous_size)) {
        walked.states.back() = ChunkState::kFree;
        ++result_.free_chunks;
        result_.free_bytes += previous_size;
      }
      if (!good || end) {
        why = end ? Stop::kEnd : Stop::kBadHeader;
        if (end && ends_in_top_) add_top(&walked, &at);
        break;
      }
      add_chunk(&walked, (at - start) / kAlignment, ChunkState::kUsed);
      const uint64_t size = size_word & ~kSizeFlags;
      note_tcache_size(at, size);
      previous_size = size;
      at += size;
      __builtin_prefetch(bytes_.data() +
                         std::min<uint64_t>(at - piece_ + kPrefetchDistance, bytes_.size()));
      if (at - released >= kReleaseEvery) {
        const uint64_t until = std::min(at, piece_end());
        release_pages(bytes_.subspan(released - piece_, until - released));
        released = at;
      }
    }
    keep(std::move(walked), start, std::min(at, length_));
    return {why, at};
  }

  static void add_chunk(WalkedRun* walked, uint64_t granule, ChunkState state) {
    const uint64_t word = granule / 64;
    if (word >= walked->starts.size()) walked->starts.resize(word + word / 2 + 64);
    walked->starts[word] |= uint64_t{1} << (granule % 64);
    walked->states.push_back(state);
  }

  void add_top(WalkedRun* walked, uint64_t* at) const {
    const uint64_t size = std::min(arena_.top_size, length_ - *at);
    if (size < kMinSize) return;  // a heap that is used up: top is only a header
    const uint64_t start = walked->run.begin.value() - kHeaderSize - base_;
    add_chunk(walked, (*at - start) / kAlignment, ChunkState::kFree);
    *at += size;
  }

  void note_tcache_size(uint64_t at, uint64_t size) {
    for (const TcacheLayout& layout : kTcacheLayouts) {
      if (size == layout.chunk_size(kShape)) {
        result_.tcache_sized.push_back(Address(base_ + at + kHeaderSize));
      }
    }
  }

  void keep(WalkedRun walked, uint64_t start, uint64_t end) {
    if (walked.states.empty()) return;
    end = std::min(end, piece_end() + kMaxUnseen);
    walked.run.end = Address(base_ + end + kHeaderSize);
    walked.starts.resize(((end - start) / kAlignment + 63) / 64);
    const uint64_t user = start + kHeaderSize;
    const uint64_t until = std::min<uint64_t>(end + kHeaderSize, piece_end());
    walked.run.bytes =
        user < until ? bytes_.subspan(user - piece_, until - user) : std::span<const std::byte>();
    result_.runs.push_back(std::move(walked));
  }

  // Whether a believable chain starts at `from`: it reaches the end, or goes on long enough, or to
  // where the readable bytes end.
  bool chain_starts(uint64_t from) const {
    uint64_t at = from;
    for (unsigned n = 0; n < kProvingHeaders; ++n) {
      if (!readable(at)) return n >= kProvingBeforeGap;
      if (is_end(at)) return n > 0 || at == top_;
      if (!plausible(at, head(at))) return false;
      at += head(at) & ~kSizeFlags;
    }
    return true;
  }

  // The nearest place after `bad` from which the chain can be believed, or the end of the readable
  // bytes. Chains from wrong places die within a few steps.
  uint64_t resynchronise(uint64_t bad) const {
    for (uint64_t from = bad + kAlignment; readable(from); from = next_place(from)) {
      if (chain_starts(from)) return from;
    }
    return piece_end();
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
  const Arena& arena_;
  HeapId heap_;
  Diagnostics& diagnostics_;
  uint64_t base_;
  uint64_t length_;
  bool ends_in_top_;
  uint64_t top_;
  uint64_t piece_ = 0;
  std::span<const std::byte> bytes_;
  StretchWalk result_;
};

}  // namespace

StretchWalk walk_stretch(const Image& image, const Arena& arena, const Stretch& stretch,
                         HeapId heap, Diagnostics& diagnostics) {
  const auto walk = [&]<typename Word, uint64_t kAlignment>() {
    if (arena.shape.order == ByteOrder::kLittle) {
      return StretchWalker<Word, kAlignment, ByteOrder::kLittle>(image, arena, stretch, heap,
                                                                 diagnostics)
          .walk();
    }
    return StretchWalker<Word, kAlignment, ByteOrder::kBig>(image, arena, stretch, heap,
                                                            diagnostics)
        .walk();
  };
  if (arena.shape.word == 8) return walk.template operator()<uint64_t, 16>();
  if (arena.shape.alignment == 16) return walk.template operator()<uint32_t, 16>();
  return walk.template operator()<uint32_t, 8>();
}

}  // namespace residue::glibc
