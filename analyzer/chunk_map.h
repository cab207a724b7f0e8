// ChunkMap: where every chunk of every walked heap is, at a few bits per chunk.
//
// Problem: ten million chunks must be found by address (also from a pointer to their inside),
// walked in address order, and numbered densely so that side tables can be plain arrays. An array
// of {address, size} objects with binary search costs 16 bytes a chunk and 200 cycles a look-up.
//
// Model: allocators hand out chunks whose user addresses are multiples of a granule (16 bytes for
// glibc on 64-bit). A *run* is a piece of memory tiled by chunks without a gap: the part of an
// arena that was walked, one heap of a thread arena, one mmapped chunk. Each run owns a stretch of
// a bitmap with one bit per granule, set where a chunk's user memory begins. Two summary levels
// (one bit per 64 below) find the start before an interior pointer in a bounded number of steps
// even inside huge chunks. A rank directory (a count per bitmap word) turns a start into its
// ChunkId, ids being dense and in address order. Sizes need no storage: a chunk ends where the next
// one begins, less what the allocator puts between the two (`Run::gap`).
//
// Cost: at most 1/128 of the heap for the bits, half of that for the ranks; a look-up is a run
// search, one or two words and a popcount. Built once with add_run()/add_chunk() in address order
// per run, then finish(); const and shareable after that.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "formats/base/address.h"

namespace residue {

struct Run {
  Address begin;  // user address of the first chunk; a multiple of the granule
  Address end;    // where the user address of a further chunk would be
  HeapId heap;
  uint32_t gap = 0;          // bytes at the end of each chunk's span that are not the user's
  uint64_t words = 0;        // bitmap words up to the last chunk's start; set by add_run()
  uint64_t first_word = 0;   // index of its first bitmap word; set by finish()
  uint32_t first_chunk = 0;  // id of its first chunk; set by finish()
  // The dumped bytes of [begin, end): may be shorter where the dump is cut; never longer.
  std::span<const std::byte> bytes;
};

class ChunkMap {
 public:
  // `granule_shift`: log2 of the alignment of user addresses, 3 or 4.
  explicit ChunkMap(unsigned granule_shift = 4) : shift_(granule_shift) {}

  // Builder: collects runs in any order; `starts` are the user addresses of the run's chunks,
  // as bits: bit i of word i / 64 is granule i. The first granule must be a start. Words of zeros
  // at the end may be left out, and are not kept: a chunk of 100 GB takes one word. REQUIRES: runs
  // do not overlap; starts.size() <= words_for(run).
  void add_run(const Run& run, std::vector<uint64_t> starts);
  uint64_t words_for(const Run& run) const;
  // Sorts the runs by address, lays out the bitmap, builds summaries and ranks.
  void finish();

  uint32_t size() const { return count_; }
  const std::vector<Run>& runs() const { return runs_; }
  unsigned granule_shift() const { return shift_; }

  // Index into runs() of the run whose [begin, end) holds `a`, or -1.
  int64_t find_run(uint64_t a) const;

  // The chunk whose span holds `a`: from its user start up to the next chunk's user start, so that
  // a pointer to the end of the user bytes still belongs to the chunk. `start` receives the chunk's
  // user address. kNone if no run holds `a`.
  ChunkId find(uint64_t a, uint64_t* start) const;

  // User address of a chunk. Costs a short search: for_each() is the way through many.
  Address address(ChunkId id) const;
  const Run& run_of(ChunkId id) const;
  // Usable bytes of the user's.
  ByteCount usable(ChunkId id) const;

  // Calls f(id, user address, usable bytes, run) for every chunk in [first, last) in id order.
  template <typename F>
  void for_each(uint32_t first, uint32_t last, F&& f) const;
  template <typename F>
  void for_each(F&& f) const {
    for_each(0, count_, f);
  }

 private:
  size_t run_index_of(ChunkId id) const;
  // Bitmap word that holds chunk `id`, and the position of its bit.
  void locate(ChunkId id, uint64_t* word, unsigned* bit) const;
  // The next start after granule `g` (global numbering) in `run`, as a user address; run.end if
  // none.
  uint64_t next_start(const Run& run, uint64_t g) const;

  unsigned shift_;
  uint32_t count_ = 0;
  std::vector<Run> runs_;
  std::vector<uint64_t> bases_;               // runs_[i].begin, for the search
  std::vector<std::vector<uint64_t>> parts_;  // bits per added run, until finish()
  std::vector<uint64_t> bits_;
  std::vector<uint64_t> summary1_;  // one bit per word of bits_
  std::vector<uint64_t> summary2_;  // one bit per word of summary1_
  std::vector<uint32_t> rank_;      // chunks before word i
  static constexpr uint32_t kSelectStep = 256;
  std::vector<uint64_t>
      select_;  // the word of every kSelectStep-th chunk: bounds locate()'s search
};

template <typename F>
void ChunkMap::for_each(uint32_t first, uint32_t last, F&& f) const {
  if (last > count_) last = count_;
  if (first >= last) return;
  uint32_t id = first;
  for (size_t r = run_index_of(ChunkId(first)); r < runs_.size() && id < last; ++r) {
    const Run& run = runs_[r];
    uint64_t word = run.first_word;
    uint64_t pending = 0;
    if (id == run.first_chunk) {
      pending = bits_[word];
    } else {
      unsigned bit = 0;
      locate(ChunkId(id), &word, &bit);
      pending = bits_[word] & (~uint64_t{0} << bit);
    }
    const uint64_t end_word = run.first_word + run.words;
    const auto user = [&](uint64_t w, uint64_t bits) {
      return run.begin.value() +
             ((((w - run.first_word) << 6) + static_cast<unsigned>(std::countr_zero(bits)))
              << shift_);
    };
    // One start ahead, because a chunk's size is known only from its successor.
    while (pending == 0 && word + 1 < end_word) pending = bits_[++word];
    uint64_t start = user(word, pending);
    pending &= pending - 1;
    for (;;) {
      while (pending == 0 && word + 1 < end_word) pending = bits_[++word];
      const uint64_t next = pending != 0 ? user(word, pending) : run.end.value();
      if (id >= last) return;
      f(ChunkId(id), Address(start), ByteCount(next - start - run.gap), run);
      ++id;
      if (pending == 0) break;
      pending &= pending - 1;
      start = next;
    }
  }
}

}  // namespace residue
