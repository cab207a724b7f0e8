// The second half of GlibcHeapBuilder: writing arenas, lists, caches and counters.
#include "tests/analyzer/glibc_heap_builder.h"

namespace residue::test {
namespace {

constexpr uint64_t kBinCount = 127;  // numbered from 1, which is the unsorted one
constexpr uint64_t kRandomKey = 0x9d3c5a7be18f2645;

// What bins call a chunk: the address whose third and fourth word are the bin's two words.
uint64_t bin_header(uint64_t bins, uint64_t index, uint64_t word) {
  return bins + 2 * word * (index - 1) - 2 * word;
}

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
  memory_->put_word(a.state + at.top, a.top);
  // Newest first; the oldest points back to the main arena.
  const size_t next = arena == kMain ? arenas_.size() - 1 : arena - 1;
  memory_->put_word(a.state + at.next, arenas_[next].state);
  memory_->put_word(a.state + at.system_mem, a.system_mem);
  memory_->put_word(a.state + at.max_system_mem, a.system_mem + 0x1000);
  if (at.attached_threads != kAbsent) memory_->put_word(a.state + at.attached_threads, 1);
  bool fast = false;
  for (const auto& list : a.fastbins) fast = fast || !list.empty();
  uint32_t flags = arena == kMain && a.contiguous ? 0 : 2;
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
    memory_->put_word(heap + 2 * release_.word(), size);
    memory_->put_word(heap + 3 * release_.word(), size);
    if (release_.minor >= 35) memory_->put_word(heap + 4 * release_.word(), 4096);
    memory_->reserve(heap + size, heap_max() - size);
  }
}

void GlibcHeapBuilder::write_bins(size_t arena) {
  const Arena& a = arenas_[arena];
  const uint64_t bins = a.state + release_.state.bins, w = release_.word();
  for (uint64_t index = 1; index <= kBinCount; ++index) {
    const uint64_t header = bin_header(bins, index, w);
    const auto it = a.bins.find(static_cast<unsigned>(index));
    uint64_t before = header;
    if (it != a.bins.end()) {
      for (const uint64_t chunk : it->second) {
        memory_->put_word(before + 2 * w, chunk);
        memory_->put_word(chunk + 3 * w, before);
        before = chunk;
      }
      if (index >= 64) write_sorted_sizes(it->second);
      const uint64_t map_word = a.state + release_.state.binmap + 4 * (index / 32);
      memory_->put32(map_word, memory_->get32(map_word) | 1U << (index % 32));
    }
    memory_->put_word(before + 2 * w, header);
    memory_->put_word(header + 3 * w, before);
  }
}

// Of the chunks of one large bin, the first of each size are linked in a ring of their own.
void GlibcHeapBuilder::write_sorted_sizes(const std::deque<uint64_t>& headers) {
  std::vector<uint64_t> leaders;
  for (const uint64_t header : headers) {
    const uint64_t user = release_.header();
    if (leaders.empty() || chunk_size(leaders.back() + user) != chunk_size(header + user)) {
      leaders.push_back(header);
    }
  }
  for (size_t i = 0; i < leaders.size(); ++i) {
    const uint64_t next = leaders[(i + 1) % leaders.size()];
    memory_->put_word(leaders[i] + 4 * release_.word(), next);
    memory_->put_word(next + 5 * release_.word(), leaders[i]);
  }
}

void GlibcHeapBuilder::write_fastbins(size_t arena) {
  const Arena& a = arenas_[arena];
  for (size_t index = 0; index < release_.fastbin_count; ++index) {
    uint64_t next = 0;
    const auto& list = a.fastbins[index];
    for (auto it = list.rbegin(); it != list.rend(); ++it) {
      const uint64_t place = *it + release_.header();
      memory_->put_word(place, link(place, next));
      next = *it;
    }
    memory_->put_word(a.state + release_.state.fastbins + release_.word() * index, next);
  }
}

void GlibcHeapBuilder::write_cache(const Cache& cache) {
  const TcacheShape& shape = release_.tcache;
  for (size_t index = 0; index < cache.lists.size(); ++index) {
    const auto& list = cache.lists[index];
    uint64_t next = 0;
    for (auto it = list.rbegin(); it != list.rend(); ++it) {
      const uint64_t key = *it + release_.word();
      memory_->put_word(*it, link(*it, next));
      if (shape.key == TcacheKey::kStruct) memory_->put_word(key, cache.user);
      if (shape.key == TcacheKey::kRandom) memory_->put_word(key, kRandomKey);
      next = *it;
    }
    memory_->put_word(cache.user + shape.entries + release_.word() * index, next);
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
  const uint64_t mp = places_.mp, w = release_.word();
  memory_->put_word(mp, 128 << 10);          // trim_threshold
  memory_->put_word(mp + w, 128 << 10);      // top_pad
  memory_->put_word(mp + 2 * w, 128 << 10);  // mmap_threshold
  if (at.arena_test != kAbsent) {
    memory_->put_word(mp + at.arena_test, w == 8 ? 8 : 2);
    memory_->put_word(mp + at.arena_test + w, 0);  // arena_max
  }
  memory_->put32(mp + at.n_mmaps, mmapped_count_);
  memory_->put32(mp + at.n_mmaps_max, 65536);
  memory_->put32(mp + at.max_n_mmaps, mmapped_count_ + 1);
  if (at.pagesize != kAbsent) memory_->put32(mp + at.pagesize, 4096);
  memory_->put_word(mp + at.mmapped_mem, mmapped_bytes_);
  memory_->put_word(mp + at.max_mmapped_mem, mmapped_bytes_ + 0x30000);
  memory_->put_word(mp + at.sbrk_base, places_.sbrk_base);
  if (at.tcache == kAbsent) return;
  memory_->put_word(mp + at.tcache, 64);
  memory_->put_word(mp + at.tcache + w, release_.tcache.max_bytes);
  memory_->put_word(mp + at.tcache + 2 * w, release_.tcache.fill);
  memory_->put_word(mp + at.tcache + 3 * w, 0);
}

}  // namespace residue::test
