// The second half of GlibcHeapBuilder: writing arenas, lists, caches and counters.
#include "tests/analyzer/glibc_heap_builder.h"

namespace residue::test {
namespace {

constexpr uint64_t kBinCount = 127;  // numbered from 1, which is the unsorted one
constexpr uint64_t kRandomKey = 0x9d3c5a7be18f2645;

// What bins call a chunk: the address whose +16 and +24 are the bin's two words.
uint64_t bin_header(uint64_t bins, uint64_t index) { return bins + 16 * (index - 1) - 16; }

}  // namespace

void GlibcHeapBuilder::finish() {
  if (finished_) return;
  finished_ = true;
  for (size_t i = 0; i < arenas_.size(); ++i) write_arena(i);
  for (const Cache& cache : caches_) write_cache(cache);
  write_par();
}

void GlibcHeapBuilder::write_arena(size_t arena) {
  const Arena& a = arenas_[arena];
  const MallocStateOffsets& at = release_.state;
  set_size(a.top, (a.end - a.top) | 1);
  memory_->put64(a.state + at.top, a.top);
  // Newest first; the oldest points back to the main arena.
  const size_t next = arena == kMain ? arenas_.size() - 1 : arena - 1;
  memory_->put64(a.state + at.next, arenas_[next].state);
  memory_->put64(a.state + at.system_mem, a.system_mem);
  memory_->put64(a.state + at.max_system_mem, a.system_mem + 0x1000);
  if (at.attached_threads != kAbsent) memory_->put64(a.state + at.attached_threads, 1);
  bool fast = false;
  for (const auto& list : a.fastbins) fast = fast || !list.empty();
  uint32_t flags = arena == kMain ? 0 : 2;
  if (at.have_fastchunks != kAbsent) {
    memory_->put32(a.state + at.have_fastchunks, fast ? 1 : 0);
  } else if (release_.has_fastbins() && !fast) {
    flags |= 1;  // up to 2.26 the bit means that there are none
  }
  memory_->put32(a.state + 4, flags);
  write_bins(arena);
  if (release_.has_fastbins()) write_fastbins(arena);
  if (arena == kMain) return;
  for (size_t i = 0; i < a.heaps.size(); ++i) {
    const uint64_t heap = a.heaps[i];
    const uint64_t size = memory_->end_of_mapping(heap) - heap;
    memory_->put64(heap + 16, size);
    memory_->put64(heap + 24, size);
    if (release_.heap_info_size > 32) memory_->put64(heap + 32, 4096);
    memory_->reserve(heap + size, kHeapMax - size);
  }
}

void GlibcHeapBuilder::write_bins(size_t arena) {
  const Arena& a = arenas_[arena];
  const uint64_t bins = a.state + release_.state.bins;
  for (uint64_t index = 1; index <= kBinCount; ++index) {
    const uint64_t header = bin_header(bins, index);
    const auto it = a.bins.find(static_cast<unsigned>(index));
    uint64_t before = header;
    if (it != a.bins.end()) {
      for (const uint64_t chunk : it->second) {
        memory_->put64(before + 16, chunk);
        memory_->put64(chunk + 24, before);
        before = chunk;
      }
      if (index >= 64) write_sorted_sizes(it->second);
      const uint64_t map_word = a.state + release_.state.binmap + 4 * (index / 32);
      const auto old = static_cast<uint32_t>(memory_->get64(map_word));
      memory_->put32(map_word, old | 1U << (index % 32));
    }
    memory_->put64(before + 16, header);
    memory_->put64(header + 24, before);
  }
}

// Of the chunks of one large bin, the first of each size are linked in a ring of their own.
void GlibcHeapBuilder::write_sorted_sizes(const std::deque<uint64_t>& headers) {
  std::vector<uint64_t> leaders;
  for (const uint64_t header : headers) {
    if (leaders.empty() || chunk_size(leaders.back() + 16) != chunk_size(header + 16)) {
      leaders.push_back(header);
    }
  }
  for (size_t i = 0; i < leaders.size(); ++i) {
    const uint64_t next = leaders[(i + 1) % leaders.size()];
    memory_->put64(leaders[i] + 32, next);
    memory_->put64(next + 40, leaders[i]);
  }
}

void GlibcHeapBuilder::write_fastbins(size_t arena) {
  const Arena& a = arenas_[arena];
  for (size_t index = 0; index < a.fastbins.size(); ++index) {
    uint64_t next = 0;
    const auto& list = a.fastbins[index];
    for (auto it = list.rbegin(); it != list.rend(); ++it) {
      memory_->put64(*it + 16, link(*it + 16, next));
      next = *it;
    }
    memory_->put64(a.state + release_.state.fastbins + 8 * index, next);
  }
}

void GlibcHeapBuilder::write_cache(const Cache& cache) {
  const TcacheShape& shape = release_.tcache;
  for (size_t index = 0; index < cache.lists.size(); ++index) {
    const auto& list = cache.lists[index];
    uint64_t next = 0;
    for (auto it = list.rbegin(); it != list.rend(); ++it) {
      memory_->put64(*it, link(*it, next));
      if (shape.key == TcacheKey::kStruct) memory_->put64(*it + 8, cache.user);
      if (shape.key == TcacheKey::kRandom) memory_->put64(*it + 8, kRandomKey);
      next = *it;
    }
    memory_->put64(cache.user + shape.entries + 8 * index, next);
    if (shape.counts == TcacheCounts::kBytes) {
      memory_->put8(cache.user + index, static_cast<uint8_t>(list.size()));
    } else {
      const bool left = shape.counts == TcacheCounts::kSlotsLeft;
      const uint64_t count = left ? shape.fill - list.size() : list.size();
      memory_->put16(cache.user + 2 * index, static_cast<uint16_t>(count));
    }
  }
}

void GlibcHeapBuilder::write_par() {
  const MallocParOffsets& at = release_.par;
  const uint64_t mp = places_.mp;
  memory_->put64(mp + 0, 128 << 10);   // trim_threshold
  memory_->put64(mp + 8, 128 << 10);   // top_pad
  memory_->put64(mp + 16, 128 << 10);  // mmap_threshold
  memory_->put64(mp + 24, 8);          // arena_test
  memory_->put64(mp + 32, 0);          // arena_max
  memory_->put32(mp + at.n_mmaps, mmapped_count_);
  memory_->put32(mp + at.n_mmaps_max, 65536);
  memory_->put32(mp + at.max_n_mmaps, mmapped_count_ + 1);
  if (release_.minor < 15) memory_->put32(mp + 56, 4096);  // pagesize
  memory_->put64(mp + at.mmapped_mem, mmapped_bytes_);
  memory_->put64(mp + at.max_mmapped_mem, mmapped_bytes_ + 0x30000);
  memory_->put64(mp + at.sbrk_base, places_.sbrk_base);
  if (at.tcache == kAbsent) return;
  memory_->put64(mp + at.tcache, 64);
  memory_->put64(mp + at.tcache + 8, release_.tcache.max_bytes);
  memory_->put64(mp + at.tcache + 16, release_.tcache.fill);
  memory_->put64(mp + at.tcache + 24, 0);
}

}  // namespace residue::test
