// From header to header.
//
// Chunks tile a stretch: each header gives the size, the size leads to the next header, and the
// next header's PREV_INUSE bit says whether this chunk is in use. The walk is proved when it lands
// exactly on top, or on the fenceposts at the end of an older heap. Where a header cannot be true,
// the culprit is sought: a chunk before that claims too much, one whose flags contradict its
// neighbour, or the header itself. Past the last kind the walk goes on at the next place from which
// a chain can be believed: that skips memory that somebody else took with sbrk, too.
//
// Cost: one cache line per chunk, in order. Sizes are irregular, so the hardware's prefetcher gives
// up and the loop prefetches a fixed distance ahead itself (three times faster on random sizes).
#include "analyzer/allocators/glibc_walk.h"

#include <algorithm>

#include "analyzer/allocators/glibc_chain.h"
#include "formats/base/text.h"

namespace residue::glibc {
namespace {

constexpr const char* kStage = "glibc";
constexpr uint64_t kPrefetchDistance = 1024;
constexpr uint64_t kReleaseEvery = 16 << 20;
// How many chunks before a header that cannot be true may be to blame for it, and how far back.
constexpr size_t kSuspects = 32;
constexpr uint64_t kLookBack = 8 << 20;
// Steps that the search for culprits may cost, for each granule of the stretch.
constexpr uint64_t kEffort = 4;

template <typename Word, uint64_t kAlignment, ByteOrder kOrder>
class StretchWalker {
  using Chain = ChunkChain<Word, kAlignment, kOrder>;
  static constexpr Shape kShape = Chain::kShape;
  static constexpr uint64_t kWord = Chain::kWord, kHeaderSize = Chain::kHeaderSize;
  static constexpr uint64_t kMinSize = Chain::kMinSize;
  static constexpr uint64_t kFencepostSize = Chain::kFencepostSize;

 public:
  StretchWalker(const Image& image, const Arena& arena, const Stretch& stretch, HeapId heap,
                Diagnostics& diagnostics)
      : chain_(image, arena, stretch),
        arena_(arena),
        heap_(heap),
        diagnostics_(diagnostics),
        effort_(kEffort * (chain_.length() / kAlignment) + 4096) {}

  StretchWalk walk() {
    for (uint64_t at = 0; at < chain_.length();) {
      if (!chain_.load_piece(at)) {
        const uint64_t next = chain_.next_piece(at);
        lose(at, next - at, "heap memory is not in the dump");
        if (!chain_.load_piece(next)) break;
        at = chain_.starts(next) ? next : chain_.resynchronise(next);
        if (at > next) skip(next, at);
        continue;
      }
      const Stop stop = walk_run(at);
      at = stop.at;
      if (stop.why == Stop::kEnd) break;
      if (stop.why == Stop::kNoBytes) continue;
      const uint64_t next = chain_.resynchronise(at);
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

  void lose(uint64_t at, uint64_t bytes, const char* why) {
    result_.problems.push_back(std::to_string(bytes) + " bytes at " + hex(chain_.base() + at) +
                               ": " + why);
    diagnostics_.add(Severity::kDamage, kStage, "address " + hex(chain_.base() + at), bytes, why);
  }

  // When brk moved under it, malloc closes the old run with fenceposts and counts the foreign bytes
  // in system_mem: no damage. Anything else that is no header is.
  void skip(uint64_t from, uint64_t to) {
    if (!chain_.readable(from)) return;
    const AddressRange gap{Address(chain_.base() + from), ByteCount(to - from)};
    result_.skipped.push_back(gap);
    // The first fencepost loses its PREV_INUSE when the old top before it is freed.
    if ((chain_.head(from) | kPrevInUse) == (kFencepostSize | kPrevInUse) &&
        to < chain_.piece_end()) {
      diagnostics_.add(Severity::kNote, kStage, "address " + hex(gap.base.value()), to - from,
                       "memory in the middle of the heap was taken with sbrk by others");
      return;
    }
    TrampledHeader bad;
    bad.header = gap.base;
    if (last_ != kNowhere) bad.before = user_of(last_);
    if (to < chain_.piece_end()) {
      bad.expected = (to - from) | kPrevInUse | (arena_.is_main ? 0 : kNonMainArena);
    }
    result_.trampled.push_back(bad);
    lose(from, to - from, "no chunk header here; skipped to the next provable one");
  }

  Address user_of(uint64_t at) const { return Address(chain_.base() + at + kHeaderSize); }

  // A run under construction.
  struct Building {
    WalkedRun walked;
    uint64_t start = 0;
    uint64_t at = 0;
    uint64_t previous = kNowhere;  // header of the chunk before `at`
    uint64_t previous_size = 0;
    uint64_t odd = kNowhere;  // a header whose flags contradict what stands before it
  };

  Stop walk_run(uint64_t start) {
    Building run;
    run.walked.granule_shift = kShape.granule_shift();
    run.walked.run.heap = heap_;
    run.walked.run.gap = kWord;
    run.walked.run.begin = user_of(start);
    run.start = run.at = start;
    uint64_t released = start;
    auto why = Stop::kNoBytes;
    while (chain_.readable(run.at)) {
      const uint64_t size_word = chain_.head(run.at);
      const bool end = chain_.is_end(run.at);
      const bool good = end || chain_.plausible(run.at, size_word);
      if ((size_word & kPrevInUse) == 0 && run.previous != kNowhere && !judge_free(&run, good)) {
        continue;  // the chunk before was too long: on from where it really ends
      }
      if (!good && (shorten(&run) || lengthen(&run))) continue;
      if (!good || end) {
        why = end ? Stop::kEnd : Stop::kBadHeader;
        if (end && chain_.ends_in_top()) add_top(&run.walked, &run.at);
        break;
      }
      add_chunk(&run.walked, (run.at - start) / kAlignment, ChunkState::kUsed);
      const uint64_t size = size_word & ~kSizeFlags;
      note_tcache_size(run.at, size);
      run.previous = run.at;
      run.previous_size = size;
      run.at += size;
      const auto bytes = chain_.bytes();
      __builtin_prefetch(
          bytes.data() +
          std::min<uint64_t>(run.at - chain_.piece() + kPrefetchDistance, bytes.size()));
      if (run.at - released >= kReleaseEvery) {
        const uint64_t until = std::min(run.at, chain_.piece_end());
        release_pages(bytes.subspan(released - chain_.piece(), until - released));
        released = run.at;
      }
    }
    last_ = run.previous;
    const uint64_t at = run.at;
    keep(std::move(run.walked), start, std::min(at, chain_.length()));
    return {why, at};
  }

  // The header at run->at calls the chunk before it free. Then that chunk's size stands before the
  // header; if something else does, either was written over, or the chunk is in use and only the
  // bit was. Which of them the bins must tell; a header that cannot be true says nothing.
  // False if the chunk before was found to be shorter than it says.
  bool judge_free(Building* run, bool good) {
    const uint64_t before = chain_.word_at(run->at);
    if (before == run->previous_size) {
      run->walked.states.back() = ChunkState::kFree;
      ++result_.free_chunks;
      result_.free_bytes += run->previous_size;
      return true;
    }
    if (!good) return true;
    // A free chunk that ends here, inside of what the one before claims.
    if (before >= kMinSize && before % kAlignment == 0 && before < run->previous_size &&
        chain_.size(run->at - before) == before) {
      const uint64_t target = run->at;
      const auto leads = [&](uint64_t from) { return chain_.leads_to(from, target, &effort_); };
      if (shorten_chunk(run, run->previous, leads)) return false;
    }
    result_.doubtful.push_back(user_of(run->previous));
    run->odd = run->at;
    return true;
  }

  // The header at run->at cannot be true. If a chunk before it claims too much, the true chain runs
  // through what it claims and steps over this place: then the run goes on there, and true is
  // returned. Stale headers inside a chunk lead to where it ends, which is here, and do not count.
  bool shorten(Building* run) {
    const uint64_t bad = run->at;
    const std::vector<uint64_t> suspects = last_chunks(*run);
    // Behind the one to blame follow accidental headers: so the oldest first. But a true chain has
    // more headers than the accidental ones it replaces; a stale one jumps over many true ones.
    for (size_t i = suspects.size(); i-- > 0;) {
      if (i != 0 && bad - suspects[i] > kLookBack) continue;
      const auto steps_over = [&](uint64_t from) {
        const uint64_t before = effort_;
        return chain_.steps_over(from, bad, &effort_) && before - effort_ >= i;
      };
      if (shorten_chunk(run, suspects[i], steps_over)) return true;
    }
    return false;
  }

  // The header at run->at cannot be true, and the one before it is odd: then that is the one which
  // was overwritten, and its chunk goes on to the next provable header.
  bool lengthen(Building* run) {
    const uint64_t odd = run->previous;
    if (odd == kNowhere || (run->odd != odd && !chain_.is_odd(odd))) return false;
    const uint64_t end = chain_.resynchronise(run->at);
    if (end >= chain_.piece_end()) return false;
    set_end(run, odd, end);
    run->odd = kNowhere;
    return true;
  }

  // The headers of the run's last chunks, the last first.
  std::vector<uint64_t> last_chunks(const Building& run) const {
    std::vector<uint64_t> found;
    const std::vector<uint64_t>& starts = run.walked.starts;
    if (run.previous == kNowhere) return found;
    uint64_t word = (run.previous - run.start) / kAlignment / 64;
    for (;; --word) {
      for (unsigned bit = 64; bit-- > 0;) {
        if ((starts[word] >> bit & 1) == 0) continue;
        found.push_back(run.start + (word * 64 + bit) * kAlignment);
        if (found.size() == kSuspects) return found;
      }
      if (word == 0) return found;
    }
  }

  // Looks in the chunk at `suspect` for the place where it really ends: the first from which a
  // chain is `good`. If there is one, the run is cut back to go on from there.
  template <typename Good>
  bool shorten_chunk(Building* run, uint64_t suspect, Good&& good) {
    const uint64_t claimed = std::min(suspect + chain_.size(suspect), run->at);
    for (uint64_t from = suspect + kMinSize; from < claimed; from += kAlignment) {
      if (effort_ == 0) return false;
      --effort_;
      if (!good(from)) continue;
      cut_back(run, suspect, from);
      return true;
    }
    return false;
  }

  // Makes the chunk at `suspect` the run's last, ending at `end`.
  void cut_back(Building* run, uint64_t suspect, uint64_t end) {
    std::vector<uint64_t>& starts = run->walked.starts;
    for (uint64_t at = run->previous; at != suspect;) {
      forget_chunk(run, at);
      const uint64_t granule = (at - run->start) / kAlignment;
      starts[granule / 64] &= ~(uint64_t{1} << (granule % 64));
      at = start_before(*run, granule);
    }
    std::erase(result_.doubtful, user_of(suspect));
    if (run->walked.states.back() == ChunkState::kFree) {
      run->walked.states.back() = ChunkState::kUsed;
      uncount_free(chain_.size(suspect));
    }
    set_end(run, suspect, end);
  }

  // The run's last chunk, with its header at `last`, ends at `end`, whatever it says.
  void set_end(Building* run, uint64_t last, uint64_t end) {
    TrampledHeader bad;
    bad.header = Address(chain_.base() + last);
    if (last != run->start) {
      bad.before = user_of(start_before(*run, (last - run->start) / kAlignment));
    }
    bad.expected = (end - last) | kPrevInUse | (arena_.is_main ? 0 : kNonMainArena);
    result_.trampled.push_back(bad);
    result_.problems.push_back("the size of the chunk at " + hex(bad.header.value()) +
                               " is wrong; it ends at " + hex(chain_.base() + end));
    run->previous = last;
    run->previous_size = end - last;
    run->at = end;
  }

  void forget_chunk(Building* run, uint64_t at) {
    if (run->walked.states.back() == ChunkState::kFree) uncount_free(chain_.size(at));
    run->walked.states.pop_back();
    std::erase(result_.doubtful, user_of(at));
    std::erase(result_.tcache_sized, user_of(at));
  }

  void uncount_free(uint64_t size) {
    --result_.free_chunks;
    result_.free_bytes -= size;
  }

  // The header of the chunk before the one at `granule`, which is not the first.
  uint64_t start_before(const Building& run, uint64_t granule) const {
    while (granule-- > 0) {
      if ((run.walked.starts[granule / 64] >> (granule % 64) & 1) != 0) break;
    }
    return run.start + granule * kAlignment;
  }

  static void add_chunk(WalkedRun* walked, uint64_t granule, ChunkState state) {
    const uint64_t word = granule / 64;
    if (word >= walked->starts.size()) walked->starts.resize(word + word / 2 + 64);
    walked->starts[word] |= uint64_t{1} << (granule % 64);
    walked->states.push_back(state);
  }

  void add_top(WalkedRun* walked, uint64_t* at) const {
    const uint64_t size = std::min(arena_.top_size, chain_.length() - *at);
    if (size < kMinSize) return;  // a heap that is used up: top is only a header
    const uint64_t start = walked->run.begin.value() - kHeaderSize - chain_.base();
    add_chunk(walked, (*at - start) / kAlignment, ChunkState::kFree);
    *at += size;
  }

  void note_tcache_size(uint64_t at, uint64_t size) {
    for (const TcacheLayout& layout : kTcacheLayouts) {
      if (size == layout.chunk_size(kShape)) result_.tcache_sized.push_back(user_of(at));
    }
  }

  void keep(WalkedRun walked, uint64_t start, uint64_t end) {
    if (walked.states.empty()) return;
    end = std::min(end, chain_.piece_end() + kMaxUnseen);
    walked.run.end = user_of(end);
    walked.starts.resize(((end - start) / kAlignment + 63) / 64);
    const uint64_t user = start + kHeaderSize;
    const uint64_t until = std::min<uint64_t>(end + kHeaderSize, chain_.piece_end());
    walked.run.bytes = user < until ? chain_.bytes().subspan(user - chain_.piece(), until - user)
                                    : std::span<const std::byte>();
    result_.runs.push_back(std::move(walked));
  }

  static constexpr uint64_t kNowhere = ~uint64_t{0};

  Chain chain_;
  const Arena& arena_;
  HeapId heap_;
  Diagnostics& diagnostics_;
  uint64_t effort_;
  uint64_t last_ = kNowhere;  // header of the last chunk of the last run
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
