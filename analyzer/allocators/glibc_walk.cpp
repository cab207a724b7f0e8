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

class StretchWalker {
 public:
  StretchWalker(const Image& image, const Arena& arena, const Stretch& stretch, HeapId heap,
                Diagnostics& diagnostics)
      : arena_(arena),
        heap_(heap),
        diagnostics_(diagnostics),
        base_(stretch.first_chunk.value()),
        length_(stretch.memory.end().value() - stretch.first_chunk.value()),
        ends_in_top_(stretch.ends_in_top) {
    bytes_ = image.view(stretch.first_chunk, length_);
    top_ = ends_in_top_ ? arena.top.value() - base_ : ~uint64_t{0};
  }

  StretchWalk walk() {
    if (bytes_.size() < length_) {
      lose(bytes_.size(), length_ - bytes_.size(), "heap memory is not in the dump");
    }
    uint64_t at = 0;
    while (at + kHeaderSize <= bytes_.size()) {
      const uint64_t stopped = walk_run(at);
      if (stopped == kDone) break;
      const uint64_t next = resynchronise(stopped);
      skip(stopped, next);
      at = next;
    }
    return std::move(result_);
  }

 private:
  static constexpr uint64_t kDone = ~uint64_t{0};

  uint64_t head(uint64_t at) const { return load<uint64_t>(bytes_.subspan(at + kWord)); }

  void lose(uint64_t at, uint64_t bytes, const char* why) {
    result_.problems.push_back(std::to_string(bytes) + " bytes at " + hex(base_ + at) + ": " + why);
    diagnostics_.add(Severity::kDamage, kStage, "address " + hex(base_ + at), bytes, why);
  }

  // When brk moved under it, malloc closes the old run with fenceposts and counts the foreign bytes
  // in system_mem: no damage. Anything else that is no header is.
  void skip(uint64_t from, uint64_t to) {
    if (from + kHeaderSize > bytes_.size()) return;
    const AddressRange gap{Address(base_ + from), ByteCount(to - from)};
    result_.skipped.push_back(gap);
    if (head(from) == (kFencepostSize | kPrevInUse) && to < bytes_.size()) {
      diagnostics_.add(Severity::kNote, kStage, "address " + hex(gap.base.value()), to - from,
                       "memory in the middle of the heap was taken with sbrk by others");
      return;
    }
    lose(from, to - from, "no chunk header here; skipped to the next provable one");
  }

  // The chain ends here as it should: at top, or at what closes an older heap (sysmalloc): a header
  // of size 0 at the very end, and before it a fencepost, which is a remnant of the old top where
  // that was too small to be freed.
  bool is_end(uint64_t at) const {
    if (ends_in_top_) return at == top_;
    const uint64_t size = head(at) & ~kSizeFlags;
    if (size != kFencepostSize && size != kMinSize) return false;
    const uint64_t last = at + size;
    return last + kHeaderSize == length_ && last + kHeaderSize <= bytes_.size() &&
           (head(last) & ~kSizeFlags) == 0;
  }

  // A header that can be true: aligned, big enough, inside the stretch and before top.
  bool plausible(uint64_t at, uint64_t size_word) const {
    const uint64_t size = size_word & ~kSizeFlags;
    const uint64_t limit = ends_in_top_ ? top_ : length_;
    return size >= kMinSize && size % kAlignment == 0 && (size_word & kIsMmapped) == 0 &&
           at < limit && size <= limit - at;
  }

  // Walks one run from `start`. Returns kDone at the proper end, else where it could not go on.
  uint64_t walk_run(uint64_t start) {
    WalkedRun walked;
    Run& run = walked.run;
    run.heap = heap_;
    run.gap = kWord;
    run.begin = Address(base_ + start + kHeaderSize);
    uint64_t at = start;
    uint64_t released = start;
    uint64_t stopped = kDone;
    uint64_t previous_size = 0;
    while (true) {
      if (at + kHeaderSize > bytes_.size()) break;
      const uint64_t size_word = head(at);
      if ((size_word & kPrevInUse) == 0 && !walked.states.empty()) {
        walked.states.back() = ChunkState::kFree;
        ++result_.free_chunks;
        result_.free_bytes += previous_size;
      }
      if (is_end(at)) {
        if (ends_in_top_) add_top(&walked, &at);
        break;
      }
      if (!plausible(at, size_word)) {
        stopped = at;
        break;
      }
      add_chunk(&walked, (at - start) / kAlignment, ChunkState::kUsed);
      const uint64_t size = size_word & ~kSizeFlags;
      note_tcache_size(at, size);
      previous_size = size;
      at += size;
      __builtin_prefetch(bytes_.data() + std::min<uint64_t>(at + kPrefetchDistance, bytes_.size()));
      if (at - released >= kReleaseEvery) {
        release_pages(bytes_.subspan(released, std::min<uint64_t>(at, bytes_.size()) - released));
        released = at;
      }
    }
    keep(std::move(walked), start, std::min(at, length_));
    return stopped;
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
      if (size == layout.chunk_size) {
        result_.tcache_sized.push_back(Address(base_ + at + kHeaderSize));
      }
    }
  }

  void keep(WalkedRun walked, uint64_t start, uint64_t end) {
    if (walked.states.empty()) return;
    walked.run.end = Address(base_ + end + kHeaderSize);
    walked.starts.resize(((end - start) / kAlignment + 63) / 64);
    const uint64_t user = start + kHeaderSize;
    const uint64_t until = std::min<uint64_t>(end + kHeaderSize, bytes_.size());
    walked.run.bytes =
        user < until ? bytes_.subspan(user, until - user) : std::span<const std::byte>();
    result_.runs.push_back(std::move(walked));
  }

  // Whether a believable chain starts at `from`: it reaches the end, or goes on long enough.
  bool chain_starts(uint64_t from) const {
    uint64_t at = from;
    for (unsigned n = 0; n < kProvingHeaders; ++n) {
      if (at + kHeaderSize > bytes_.size()) return false;
      if (is_end(at)) return n > 0 || at == top_;
      if (!plausible(at, head(at))) return false;
      at += head(at) & ~kSizeFlags;
    }
    return true;
  }

  // The nearest place after `bad` from which the chain can be believed, or the end of the bytes.
  // Chains from wrong places die within a few steps.
  uint64_t resynchronise(uint64_t bad) const {
    for (uint64_t from = bad + kAlignment; from + kHeaderSize <= bytes_.size();
         from += kAlignment) {
      if (chain_starts(from)) return from;
    }
    return bytes_.size();
  }

  const Arena& arena_;
  HeapId heap_;
  Diagnostics& diagnostics_;
  uint64_t base_;
  uint64_t length_;
  bool ends_in_top_;
  uint64_t top_ = 0;
  std::span<const std::byte> bytes_;
  StretchWalk result_;
};

}  // namespace

StretchWalk walk_stretch(const Image& image, const Arena& arena, const Stretch& stretch,
                         HeapId heap, Diagnostics& diagnostics) {
  return StretchWalker(image, arena, stretch, heap, diagnostics).walk();
}

}  // namespace residue::glibc
