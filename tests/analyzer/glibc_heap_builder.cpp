#include "tests/analyzer/glibc_heap_builder.h"

#include <stdexcept>

namespace residue::test {
namespace {

constexpr uint64_t kPage = 4096;
constexpr uint64_t kMinChunk = 32;
constexpr uint64_t kSizeMask = ~uint64_t{7};
constexpr uint64_t kPrevInUse = 1;

uint64_t align(uint64_t value, uint64_t to) { return (value + to - 1) & ~(to - 1); }

uint64_t chunk_size_for(uint64_t request) {
  const uint64_t size = align(request + 8, 16);
  return size < kMinChunk ? kMinChunk : size;
}

// malloc.c: smallbin_index() and largebin_index_64().
unsigned bin_of(uint64_t size) {
  const auto index = [&]() -> uint64_t {
    if (size < 1024) return size >> 4;
    if (size >> 6 <= 48) return 48 + (size >> 6);
    if (size >> 9 <= 20) return 91 + (size >> 9);
    if (size >> 12 <= 10) return 110 + (size >> 12);
    if (size >> 15 <= 4) return 119 + (size >> 15);
    if (size >> 18 <= 2) return 124 + (size >> 18);
    return 126;
  };
  return static_cast<unsigned>(index());
}

constexpr unsigned kUnsorted = 1;

void require(bool condition, const char* what) {
  if (!condition) throw std::logic_error(what);
}

}  // namespace

GlibcHeapBuilder::GlibcHeapBuilder(ImageBuilder* memory, const GlibcRelease& release,
                                   const GlibcPlaces& places)
    : memory_(memory),
      release_(release),
      places_(places),
      next_heap_(places.first_heap),
      next_mmap_(places.mmap_top) {
  memory_->map(places_.sbrk_base, kGrowth, kReadWrite, RegionKind::kHeap, "[heap]");
  Arena arena;
  arena.state = places_.main_arena;
  arena.heaps = {places_.sbrk_base};
  arena.top = places_.sbrk_base;
  arena.end = places_.sbrk_base + kGrowth;
  arena.system_mem = kGrowth;
  arenas_.push_back(std::move(arena));
}

void GlibcHeapBuilder::grow(size_t arena, uint64_t bytes) {
  Arena& a = arenas_[arena];
  memory_->grow(a.heaps.back(), bytes);
  a.end += bytes;
  a.system_mem += bytes;
  require(arena == kMain || a.end - a.heaps.back() <= kHeapMax, "heap is full");
}

uint64_t GlibcHeapBuilder::alloc(uint64_t size, size_t arena) {
  Arena& a = arenas_[arena];
  const uint64_t chunk = chunk_size_for(size);
  if (a.end - a.top < chunk + kMinChunk) grow(arena, align(chunk + kGrowth, kPage));
  const uint64_t header = a.top;
  set_size(header, chunk | flags_of(arena));
  a.top += chunk;
  blocks_[header + 16] = {chunk - 8, ChunkState::kUsed, arena};
  return header + 16;
}

std::vector<uint64_t> GlibcHeapBuilder::alloc_many(size_t count, uint64_t size, size_t arena) {
  std::vector<uint64_t> users;
  users.reserve(count);
  for (size_t i = 0; i < count; ++i) users.push_back(alloc(size, arena));
  return users;
}

uint64_t GlibcHeapBuilder::alloc_all_but(uint64_t bytes, size_t arena) {
  const uint64_t left = arenas_[arena].end - arenas_[arena].top;
  require(bytes >= kMinChunk && bytes % 16 == 0 && left >= bytes + kMinChunk, "top is too small");
  return alloc(left - bytes - 8, arena);
}

uint64_t GlibcHeapBuilder::reserve_mmap(uint64_t bytes) {
  next_mmap_ -= bytes + kPage;  // a hole keeps the kernel from merging it with the one before
  memory_->map(next_mmap_, bytes, kReadWrite, RegionKind::kAnonymous);
  return next_mmap_;
}

void GlibcHeapBuilder::put_mmapped_header(uint64_t header, uint64_t lead, uint64_t total) {
  memory_->put64(header, lead);
  set_size(header, (total - lead - (release_.mmapped_size_is_net ? 16 : 0)) | 2);
}

std::vector<uint64_t> GlibcHeapBuilder::alloc_mmapped_adjacent(const std::vector<uint64_t>& sizes) {
  uint64_t all = 0;
  for (const uint64_t size : sizes) all += align(chunk_size_for(size) + 8, kPage);
  uint64_t base = reserve_mmap(all);
  std::vector<uint64_t> users;
  for (const uint64_t size : sizes) {
    const uint64_t total = align(chunk_size_for(size) + 8, kPage);
    put_mmapped_header(base, 0, total);
    const uint64_t slack = release_.mmapped_size_is_net ? 24 : 16;
    blocks_[base + 16] = {total - slack, ChunkState::kUsed, kMmapped};
    users.push_back(base + 16);
    ++mmapped_count_;
    mmapped_bytes_ += total;
    base += total;
  }
  return users;
}

uint64_t GlibcHeapBuilder::alloc_mmapped_aligned(uint64_t size, uint64_t lead) {
  require(lead % 16 == 0 && lead != 0, "not a memalign");
  const uint64_t total = align(chunk_size_for(size) + 8 + lead, kPage);
  const uint64_t base = reserve_mmap(total);
  put_mmapped_header(base, 0, total);
  put_mmapped_header(base + lead, lead, total);
  const uint64_t slack = release_.mmapped_size_is_net ? 24 : 16;
  blocks_[base + lead + 16] = {total - lead - slack, ChunkState::kUsed, kMmapped};
  ++mmapped_count_;
  mmapped_bytes_ += total;
  return base + lead + 16;
}

uint64_t GlibcHeapBuilder::chunk_size(uint64_t user) const {
  return memory_->get64(user - 8) & kSizeMask;
}

void GlibcHeapBuilder::retire_block(uint64_t user, ChunkState state) {
  const auto it = blocks_.find(user);
  require(it != blocks_.end() && it->second.state == ChunkState::kUsed &&
              it->second.arena != kMmapped && !it->second.is_tcache_struct,
          "only a used chunk of an arena can be freed");
  it->second.state = state;
}

uint64_t GlibcHeapBuilder::tcache_head(size_t cache, uint64_t user) const {
  return caches_[cache].user + release_.tcache.entries + 8 * ((chunk_size(user) - kMinChunk) / 16);
}

uint64_t GlibcHeapBuilder::link(uint64_t place, uint64_t target) const {
  return release_.safe_linking ? target ^ (place >> 12) : target;
}

void GlibcHeapBuilder::free_to_tcache(uint64_t user, size_t cache) {
  const uint64_t index = (chunk_size(user) - kMinChunk) / 16;
  require(release_.has_tcache() && index < 63, "no cache for this size");
  std::deque<uint64_t>& list = caches_.at(cache).lists[index];
  require(list.size() < release_.tcache.fill, "the cache's list is full");
  retire_block(user, ChunkState::kCached);
  list.push_front(user);
}

void GlibcHeapBuilder::free_to_fastbin(uint64_t user) {
  const uint64_t size = chunk_size(user);
  require(release_.has_fastbins() && size <= 0x80, "no fastbin for this size");
  const size_t arena = blocks_.at(user).arena;
  retire_block(user, ChunkState::kFree);
  arenas_[arena].fastbins[(size >> 4) - 2].push_front(user - 16);
}

void GlibcHeapBuilder::mark_free(uint64_t header, size_t arena) {
  const uint64_t size_word = memory_->get64(header + 8);
  const uint64_t size = size_word & kSizeMask;
  const uint64_t next = header + size;
  require((size_word & kPrevInUse) != 0, "the chunk before is free too");
  require(next != arenas_[arena].top, "the chunk would merge with top");
  set_size(header, size | kPrevInUse);  // the arena bit goes
  set_size(next, memory_->get64(next + 8) & ~kPrevInUse);
  memory_->put64(next, size);
  if (size >= 1024) {  // fd_nextsize, bk_nextsize
    memory_->put64(header + 32, 0);
    memory_->put64(header + 40, 0);
  }
}

void GlibcHeapBuilder::free_to_unsorted(uint64_t user) {
  const size_t arena = blocks_.at(user).arena;
  retire_block(user, ChunkState::kFree);
  mark_free(user - 16, arena);
  arenas_[arena].bins[kUnsorted].push_front(user - 16);
}

void GlibcHeapBuilder::free_to_bin(uint64_t user) {
  const size_t arena = blocks_.at(user).arena;
  retire_block(user, ChunkState::kFree);
  mark_free(user - 16, arena);
  const uint64_t size = chunk_size(user);
  std::deque<uint64_t>& bin = arenas_[arena].bins[bin_of(size)];
  // Small bins hold one size; large bins are sorted, the largest in front.
  auto place = bin.begin();
  while (place != bin.end() && (memory_->get64(*place + 8) & kSizeMask) > size) ++place;
  bin.insert(place, user - 16);
}

void GlibcHeapBuilder::free_to_nowhere(uint64_t user) {
  const size_t arena = blocks_.at(user).arena;
  retire_block(user, ChunkState::kFree);
  mark_free(user - 16, arena);
}

void GlibcHeapBuilder::map_heap(size_t arena, uint64_t previous) {
  Arena& a = arenas_[arena];
  const uint64_t heap = next_heap_;
  next_heap_ -= kHeapMax;
  memory_->map(heap, kGrowth, kReadWrite, RegionKind::kAnonymous);
  a.heaps.push_back(heap);
  a.end = heap + kGrowth;
  a.system_mem += kGrowth;
  if (previous == 0) a.state = heap + release_.heap_info_size;
  a.top = previous == 0 ? align(a.state + release_.state.size, 16) : heap + release_.heap_info_size;
  memory_->put64(heap, a.state);
  memory_->put64(heap + 8, previous);
}

size_t GlibcHeapBuilder::add_arena() {
  arenas_.emplace_back();
  map_heap(arenas_.size() - 1, 0);
  return arenas_.size() - 1;
}

// arena.c and malloc.c, sysmalloc(): "Setup fencepost and free the old top chunk".
void GlibcHeapBuilder::add_heap(size_t arena) {
  Arena& a = arenas_[arena];
  require(arena != kMain, "main_arena has no heaps");
  const uint64_t old_top = a.top, old_end = a.end;
  const uint64_t rest = old_end - old_top - kMinChunk;
  set_size(old_end - 16, kPrevInUse);
  map_heap(arena, a.heaps.back());
  if (rest >= kMinChunk) {
    set_size(old_top, rest | flags_of(arena));
    set_size(old_end - 32, 16 | kPrevInUse);
    memory_->put64(old_end - 16, 16);
    blocks_[old_top + 16] = {rest - 8, ChunkState::kUsed, arena};
    free_to_unsorted(old_top + 16);
  } else {
    set_size(old_top, (rest + 16) | kPrevInUse);
    memory_->put64(old_top + rest + 16, rest + 16);
  }
}

// malloc.c, sysmalloc(), "contiguous" with a break that somebody else has moved.
uint64_t GlibcHeapBuilder::foreign_sbrk(uint64_t bytes) {
  Arena& a = arenas_[kMain];
  const uint64_t old_top = a.top, old_end = a.end;
  const uint64_t rest = old_end - old_top - kMinChunk;
  const uint64_t start = align(old_end + bytes, 16);
  grow(kMain, align(start + kGrowth, kPage) - old_end);
  a.top = start;
  if (rest != 0) set_size(old_top, rest | kPrevInUse);
  set_size(old_end - 32, 16 | kPrevInUse);
  set_size(old_end - 16, 16 | kPrevInUse);
  if (rest >= kMinChunk) {
    blocks_[old_top + 16] = {rest - 8, ChunkState::kUsed, kMain};
    free_to_unsorted(old_top + 16);
  }
  return old_end;
}

size_t GlibcHeapBuilder::add_tcache(size_t arena, uint64_t slot) {
  require(release_.has_tcache(), "this release has no tcache");
  const uint64_t user = alloc(release_.tcache.struct_size, arena);
  blocks_[user].is_tcache_struct = true;
  memory_->put64(slot, user);
  caches_.push_back({user, std::vector<std::deque<uint64_t>>(release_.tcache.bins)});
  return caches_.size() - 1;
}

ArenaTotals GlibcHeapBuilder::totals(size_t arena) const {
  const Arena& a = arenas_[arena];
  ArenaTotals t;
  t.system_mem = a.system_mem;
  t.top = a.end - a.top;
  for (const auto& [index, headers] : a.bins) {
    for (const uint64_t header : headers) t.binned += chunk_size(header + 16);
  }
  for (const auto& headers : a.fastbins) {
    for (const uint64_t header : headers) t.fast += chunk_size(header + 16);
  }
  for (const auto& [user, block] : blocks_) {
    if (block.arena != arena) continue;
    const bool used = block.state == ChunkState::kUsed;
    if (used) ++t.used_count, t.used_bytes += block.usable;
    if (block.state == ChunkState::kCached) ++t.cached_count, t.cached_bytes += block.usable;
  }
  return t;
}

}  // namespace residue::test
