#include "tests/analyzer/glibc_heap_builder.h"

#include <stdexcept>

namespace residue::test {
namespace {

constexpr uint64_t kPage = 4096;
constexpr uint64_t kSizeMask = ~uint64_t{7};
constexpr uint64_t kPrevInUse = 1;

uint64_t align(uint64_t value, uint64_t to) { return (value + to - 1) & ~(to - 1); }

// malloc.c: MIN_LARGE_SIZE, smallbin_index(), largebin_index_64(), _32() and _32_big().
uint64_t min_large_size(const GlibcRelease& release) {
  return (release.alignment > release.header() ? 63 : 64) * release.alignment;
}

unsigned bin_of(const GlibcRelease& release, uint64_t size) {
  const bool narrow = release.word() == 4, wide_steps = narrow && release.alignment == 16;
  const auto index = [&]() -> uint64_t {
    if (size < min_large_size(release)) return size / release.alignment + (wide_steps ? 1 : 0);
    if (!narrow && size >> 6 <= 48) return 48 + (size >> 6);
    if (wide_steps && size >> 6 <= 45) return 49 + (size >> 6);
    if (narrow && !wide_steps && size >> 6 <= 38) return 56 + (size >> 6);
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
  arena.top = release_.chunk_place(places_.sbrk_base);
  arena.end = places_.sbrk_base + kGrowth;
  arena.system_mem = kGrowth;
  arenas_.push_back(std::move(arena));
}

void GlibcHeapBuilder::grow(size_t arena, uint64_t bytes) {
  Arena& a = arenas_[arena];
  memory_->grow(a.heaps.back(), bytes);
  a.end += bytes;
  a.system_mem += bytes;
  require(arena == kMain || a.end - a.heaps.back() <= heap_max(), "heap is full");
}

uint64_t GlibcHeapBuilder::alloc(uint64_t size, size_t arena) {
  Arena& a = arenas_[arena];
  const uint64_t chunk = release_.chunk_size(size);
  if (a.end - a.top < chunk + release_.min_size()) grow(arena, align(chunk + kGrowth, kPage));
  const uint64_t header = a.top;
  set_size(header, chunk | flags_of(arena));
  a.top += chunk;
  const uint64_t user = header + release_.header();
  blocks_[user] = {chunk - release_.word(), ChunkState::kUsed, arena};
  return user;
}

std::vector<uint64_t> GlibcHeapBuilder::alloc_many(size_t count, uint64_t size, size_t arena) {
  std::vector<uint64_t> users;
  users.reserve(count);
  for (size_t i = 0; i < count; ++i) users.push_back(alloc(size, arena));
  return users;
}

uint64_t GlibcHeapBuilder::alloc_all_but(uint64_t bytes, size_t arena) {
  const uint64_t left = arenas_[arena].end - arenas_[arena].top;
  const uint64_t least = release_.min_size();
  require(bytes >= least && left >= bytes + 2 * least, "top is too small");
  const uint64_t chunk = (left - bytes) / release_.alignment * release_.alignment;
  return alloc(chunk - release_.word(), arena);
}

uint64_t GlibcHeapBuilder::reserve_mmap(uint64_t bytes) {
  next_mmap_ -= bytes + kPage;  // a hole keeps the kernel from merging it with the one before
  memory_->map(next_mmap_, bytes, kReadWrite, RegionKind::kAnonymous);
  return next_mmap_;
}

void GlibcHeapBuilder::put_mmapped_header(uint64_t header, uint64_t lead, uint64_t total) {
  memory_->put_word(header, lead);
  set_size(header, (total - lead - (release_.mmapped_size_is_net ? release_.header() : 0)) | 2);
}

// malloc.c: sysmalloc_mmap(), and in older releases sysmalloc(); `lead` is what memalign() needs.
uint64_t GlibcHeapBuilder::mapping_size(uint64_t request, uint64_t lead) const {
  const uint64_t chunk = release_.chunk_size(request) + lead;
  if (release_.mmapped_size_is_net) return align(chunk + mapping_lead() + release_.header(), kPage);
  const uint64_t padding = mapping_lead() == 0 ? 0 : release_.alignment - 1;
  return align(chunk + release_.word() + padding, kPage);
}

// A chunk with so many bytes from its header to the end of the mapping.
void GlibcHeapBuilder::add_mmapped_block(uint64_t header, uint64_t bytes) {
  const uint64_t slack = release_.header() + (release_.mmapped_size_is_net ? release_.word() : 0);
  blocks_[header + release_.header()] = {bytes - slack, ChunkState::kUsed, kMmapped};
}

std::vector<uint64_t> GlibcHeapBuilder::alloc_mmapped_adjacent(const std::vector<uint64_t>& sizes) {
  uint64_t all = 0;
  for (const uint64_t size : sizes) all += mapping_size(size, 0);
  uint64_t base = reserve_mmap(all);
  std::vector<uint64_t> users;
  for (const uint64_t size : sizes) {
    const uint64_t total = mapping_size(size, 0), lead = mapping_lead();
    put_mmapped_header(base + lead, lead, total);
    add_mmapped_block(base + lead, total - lead);
    users.push_back(base + lead + release_.header());
    ++mmapped_count_;
    mmapped_bytes_ += total;
    base += total;
  }
  return users;
}

uint64_t GlibcHeapBuilder::alloc_mmapped_aligned(uint64_t size, uint64_t lead) {
  require(lead % release_.alignment == 0 && lead != 0, "not a memalign");
  const uint64_t total = mapping_size(size, lead);
  const uint64_t base = reserve_mmap(total), first = mapping_lead(), moved = first + lead;
  put_mmapped_header(base + first, first, total);
  put_mmapped_header(base + moved, moved, total);
  add_mmapped_block(base + moved, total - moved);
  ++mmapped_count_;
  mmapped_bytes_ += total;
  return base + moved + release_.header();
}

uint64_t GlibcHeapBuilder::chunk_size(uint64_t user) const {
  return memory_->get_word(user - release_.word()) & kSizeMask;
}

void GlibcHeapBuilder::retire_block(uint64_t user, ChunkState state) {
  const auto it = blocks_.find(user);
  require(it != blocks_.end() && it->second.state == ChunkState::kUsed &&
              it->second.arena != kMmapped && !it->second.is_tcache_struct,
          "only a used chunk of an arena can be freed");
  it->second.state = state;
}

uint64_t GlibcHeapBuilder::tcache_head(size_t cache, uint64_t user) const {
  return caches_[cache].user + release_.tcache.entries + release_.word() * tcache_index(user);
}

uint64_t GlibcHeapBuilder::tcache_index(uint64_t user) const {
  return (chunk_size(user) - release_.min_size()) / release_.alignment;
}

uint64_t GlibcHeapBuilder::link(uint64_t place, uint64_t target) const {
  return release_.safe_linking ? target ^ (place >> 12) : target;
}

void GlibcHeapBuilder::free_to_tcache(uint64_t user, size_t cache) {
  const uint64_t index = tcache_index(user);
  require(release_.has_tcache() && index < 63, "no cache for this size");
  std::deque<uint64_t>& list = caches_.at(cache).lists[index];
  require(list.size() < release_.tcache.fill, "the cache's list is full");
  retire_block(user, ChunkState::kCached);
  list.push_front(user);
}

void GlibcHeapBuilder::free_to_fastbin(uint64_t user) {
  const uint64_t size = chunk_size(user);
  require(release_.has_fastbins() && size <= 16 * release_.word(), "no fastbin for this size");
  const size_t arena = blocks_.at(user).arena;
  retire_block(user, ChunkState::kFree);
  arenas_[arena].fastbins[size / release_.header() - 2].push_front(user - release_.header());
}

void GlibcHeapBuilder::mark_free(uint64_t header, size_t arena) {
  const uint64_t size_word = memory_->get_word(header + release_.word());
  const uint64_t size = size_word & kSizeMask;
  const uint64_t next = header + size;
  require((size_word & kPrevInUse) != 0, "the chunk before is free too");
  require(next != arenas_[arena].top, "the chunk would merge with top");
  set_size(header, size | kPrevInUse);  // the arena bit goes
  set_size(next, memory_->get_word(next + release_.word()) & ~kPrevInUse);
  memory_->put_word(next, size);
  if (size >= min_large_size(release_)) {  // fd_nextsize, bk_nextsize
    memory_->put_word(header + 4 * release_.word(), 0);
    memory_->put_word(header + 5 * release_.word(), 0);
  }
}

void GlibcHeapBuilder::free_to_unsorted(uint64_t user) {
  const size_t arena = blocks_.at(user).arena;
  retire_block(user, ChunkState::kFree);
  mark_free(user - release_.header(), arena);
  arenas_[arena].bins[kUnsorted].push_front(user - release_.header());
}

void GlibcHeapBuilder::free_to_bin(uint64_t user) {
  const size_t arena = blocks_.at(user).arena;
  retire_block(user, ChunkState::kFree);
  mark_free(user - release_.header(), arena);
  const uint64_t size = chunk_size(user);
  std::deque<uint64_t>& bin = arenas_[arena].bins[bin_of(release_, size)];
  // Small bins hold one size; large bins are sorted, the largest in front.
  auto place = bin.begin();
  while (place != bin.end() && (memory_->get_word(*place + release_.word()) & kSizeMask) > size) {
    ++place;
  }
  bin.insert(place, user - release_.header());
}

void GlibcHeapBuilder::free_to_nowhere(uint64_t user) {
  const size_t arena = blocks_.at(user).arena;
  retire_block(user, ChunkState::kFree);
  mark_free(user - release_.header(), arena);
}

void GlibcHeapBuilder::map_heap(size_t arena, uint64_t previous) {
  Arena& a = arenas_[arena];
  const uint64_t heap = next_heap_;
  next_heap_ -= heap_max();
  memory_->map(heap, kGrowth, kReadWrite, RegionKind::kAnonymous);
  a.heaps.push_back(heap);
  a.end = heap + kGrowth;
  a.system_mem += kGrowth;
  if (previous == 0) a.state = heap + release_.heap_info_size;
  const uint64_t after =
      previous == 0 ? a.state + release_.state.size : heap + release_.heap_info_size;
  a.top = release_.chunk_place(after);
  memory_->put_word(heap, a.state);
  memory_->put_word(heap + release_.word(), previous);
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
  const uint64_t fence = release_.header();
  const uint64_t rest =
      (old_end - old_top - release_.min_size()) / release_.alignment * release_.alignment;
  set_size(old_top + rest + fence, kPrevInUse);
  map_heap(arena, a.heaps.back());
  if (rest >= release_.min_size()) {
    set_size(old_top, rest | flags_of(arena));
    set_size(old_top + rest, fence | kPrevInUse);
    memory_->put_word(old_top + rest + fence, fence);
    blocks_[old_top + release_.header()] = {rest - release_.word(), ChunkState::kUsed, arena};
    free_to_unsorted(old_top + release_.header());
  } else {
    set_size(old_top, (rest + fence) | kPrevInUse);
    memory_->put_word(old_top + rest + fence, rest + fence);
  }
}

// malloc.c, sysmalloc(): the double fencepost, behind what is left of the old top.
void GlibcHeapBuilder::put_fenceposts(uint64_t old_top, uint64_t old_end) {
  const uint64_t fence = release_.header();
  const uint64_t rest = (old_end - old_top - 2 * fence) / release_.alignment * release_.alignment;
  if (rest != 0) set_size(old_top, rest | kPrevInUse);
  set_size(old_top + rest, fence | kPrevInUse);
  set_size(old_top + rest + fence, fence | kPrevInUse);
  if (rest < release_.min_size()) return;
  blocks_[old_top + release_.header()] = {rest - release_.word(), ChunkState::kUsed, kMain};
  free_to_unsorted(old_top + release_.header());
}

// The same, "contiguous" with a break that somebody else has moved.
uint64_t GlibcHeapBuilder::foreign_sbrk(uint64_t bytes) {
  Arena& a = arenas_[kMain];
  const uint64_t old_top = a.top, old_end = a.end;
  const uint64_t start = release_.chunk_place(old_end + bytes);
  grow(kMain, align(start + kGrowth, kPage) - old_end);
  a.top = start;
  put_fenceposts(old_top, old_end);
  return old_end;
}

// The same, when MORECORE fails: MMAP_AS_MORECORE_SIZE is 1 MiB.
void GlibcHeapBuilder::grow_by_mmap() {
  constexpr uint64_t kPiece = 1 << 20;
  Arena& a = arenas_[kMain];
  const uint64_t old_top = a.top, old_end = a.end;
  const uint64_t piece = reserve_mmap(kPiece);
  a.heaps.push_back(piece);
  a.contiguous = false;
  a.top = release_.chunk_place(piece);
  a.end = piece + kPiece;
  a.system_mem += kPiece;
  put_fenceposts(old_top, old_end);
}

size_t GlibcHeapBuilder::add_tcache(size_t arena, uint64_t slot) {
  require(release_.has_tcache(), "this release has no tcache");
  const uint64_t user = alloc(release_.tcache.struct_size, arena);
  blocks_[user].is_tcache_struct = true;
  memory_->put_word(slot, user);
  caches_.push_back({user, std::vector<std::deque<uint64_t>>(release_.tcache.bins)});
  return caches_.size() - 1;
}

ArenaTotals GlibcHeapBuilder::totals(size_t arena) const {
  const Arena& a = arenas_[arena];
  ArenaTotals t;
  t.system_mem = a.system_mem;
  t.top = a.end - a.top;
  for (const auto& [index, headers] : a.bins) {
    for (const uint64_t header : headers) t.binned += chunk_size(header + release_.header());
  }
  for (const auto& headers : a.fastbins) {
    for (const uint64_t header : headers) t.fast += chunk_size(header + release_.header());
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
