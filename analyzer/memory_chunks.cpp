// Ten million chunks in some 50 ms: states, classes and sizes are columns, and the chunks' bytes
// are not looked at. Threads take equal shares of the ids; a share begins with a short search.
#include "analyzer/memory_chunks.h"

#include <algorithm>

#include "formats/base/mapped_file.h"
#include "formats/base/parallel.h"

namespace residue {
namespace {

// Fewer chunks are not worth a thread.
constexpr uint32_t kMinShare = 1 << 18;
// malloc keeps {prev_size, size, fd, bk, fd_nextsize, bk_nextsize} in a free chunk: four words of
// them in the user's memory; and a copy of the size in its last word. malloc_trim() leaves their
// pages alone (mtrim() in malloc.c, glibc 2.8-2.42).
constexpr uint64_t kLinkWords = 4;

class Adder {
 public:
  Adder(const Image& image, const Snapshot& s, const std::vector<bool>& suppressed)
      : image_(image), chunks_(s.chunks), suppressed_(suppressed), sums_(s.heaps.size()) {}

  void add(uint32_t first, uint32_t last) {
    chunks_.map.for_each(first, last,
                         [this](ChunkId id, Address start, ByteCount usable, const Run& run) {
                           chunk(id.value(), start.value(), usable.value(), run);
                         });
  }
  const std::vector<HeapSums>& sums() const { return sums_; }

 private:
  ChunkShare share_of(uint32_t i) const {
    switch (chunks_.state[i]) {
      case ChunkState::kUsed:
        break;
      case ChunkState::kFree:
        return ChunkShare::kFree;
      case ChunkState::kCached:
        return ChunkShare::kCached;
    }
    if (chunks_.reach.empty() || !is_leak(chunks_.reach[i])) return ChunkShare::kLive;
    const uint32_t cluster = chunks_.cluster[i];
    const bool hidden = cluster < suppressed_.size() && suppressed_[cluster];
    return hidden ? ChunkShare::kLive : ChunkShare::kLeaked;
  }

  void chunk(uint32_t i, uint64_t start, uint64_t usable, const Run& run) {
    HeapSums& heap = sums_[run.heap.value()];
    const ChunkShare share = share_of(i);
    HeapSums::Share& sum = heap[share];
    const uint64_t at = start - run.begin.value();
    const uint64_t there = at < run.bytes.size() ? std::min(usable, run.bytes.size() - at) : 0;
    ++sum.count;
    sum.bytes += usable;
    sum.in_dump += there;
    if (there >= MappedFile::kMinHole) sum.holes += holes(run.bytes.subspan(at, there));
    if (share == ChunkShare::kFree) free_chunk(&heap, start, usable);
  }

  uint64_t holes(std::span<const std::byte> bytes) const {
    if (image_.holes.empty()) return 0;
    uint64_t data = 0;
    image_.holes.for_each_data(bytes, [&](size_t from, size_t until) { data += until - from; });
    return bytes.size() - data;
  }

  void free_chunk(HeapSums* heap, uint64_t start, uint64_t usable) const {
    heap->largest_free = std::max(heap->largest_free, usable);
    const uint64_t word = image_.pointer_width;
    const uint64_t page = std::max<uint64_t>(image_.page_size, 1);
    if (usable < page + (kLinkWords + 1) * word) return;
    const uint64_t from = (start + kLinkWords * word + page - 1) / page * page;
    const uint64_t until = (start + usable - word) / page * page;
    if (from < until) heap->free_pages += until - from;
  }

  const Image& image_;
  const ChunkTable& chunks_;
  const std::vector<bool>& suppressed_;
  std::vector<HeapSums> sums_;
};

void add_sums(const std::vector<HeapSums>& part, std::vector<HeapSums>* to) {
  for (size_t h = 0; h < to->size(); ++h) {
    HeapSums& heap = (*to)[h];
    for (size_t i = 0; i < kChunkShares; ++i) {
      heap.shares[i].count += part[h].shares[i].count;
      heap.shares[i].bytes += part[h].shares[i].bytes;
      heap.shares[i].in_dump += part[h].shares[i].in_dump;
      heap.shares[i].holes += part[h].shares[i].holes;
    }
    heap.largest_free = std::max(heap.largest_free, part[h].largest_free);
    heap.free_pages += part[h].free_pages;
  }
}

}  // namespace

std::vector<HeapSums> sum_chunks(const Image& image, const Snapshot& s, unsigned jobs) {
  std::vector<bool> suppressed;
  for (const ClusterRow& row : s.clusters) {
    suppressed.push_back(row.suppression != ClusterRow::kNotSuppressed);
  }
  const uint32_t count = s.chunks.map.size();
  const size_t parts = std::min(worker_count(jobs), count / kMinShare + 1);
  std::vector<Adder> adders(parts, Adder(image, s, suppressed));
  parallel_for(parts, jobs, [&](size_t i) {
    const auto first_of = [&](size_t part) {
      return static_cast<uint32_t>(uint64_t{count} * part / parts);
    };
    adders[i].add(first_of(i), first_of(i + 1));
  });

  std::vector<HeapSums> sums(s.heaps.size());
  for (const Adder& adder : adders) add_sums(adder.sums(), &sums);
  return sums;
}

}  // namespace residue
