// GlibcHeapBuilder: lays out in memory what glibc's malloc leaves in a process, for one release.
//
// A model of the allocator's data, not of its policy: the caller says where a freed chunk goes, and
// must keep neighbours of chunks in bins in use (nothing is coalesced). finish() writes the arenas,
// lists, caches and counters so that all of glibc's own invariants hold; a test may damage them
// afterwards. blocks() and totals() say what a correct walk finds.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <vector>

#include "analyzer/snapshot.h"
#include "tests/analyzer/glibc_release.h"
#include "tests/analyzer/image_builder.h"

namespace residue::test {

// Where the fixed things are. All of it must be mapped, but for the brk heap and the mmap area.
struct GlibcPlaces {
  uint64_t main_arena;
  uint64_t mp;
  uint64_t sbrk_base;   // page aligned
  uint64_t first_heap;  // of the first thread arena; further heaps go heap_max() lower each
  uint64_t mmap_top;    // mmapped chunks go below this
};

// One chunk as its user sees it.
struct Block {
  uint64_t usable;
  ChunkState state;
  size_t arena;  // or GlibcHeapBuilder::kMmapped
  bool is_tcache_struct = false;
};

// What one arena's counters say.
struct ArenaTotals {
  uint64_t system_mem = 0;
  uint64_t top = 0, binned = 0, fast = 0;  // bytes of chunks, headers included
  uint64_t used_count = 0, used_bytes = 0, cached_count = 0, cached_bytes = 0;  // usable bytes
};

class GlibcHeapBuilder {
 public:
  static constexpr size_t kMain = 0;
  static constexpr size_t kMmapped = ~size_t{0};
  static constexpr uint64_t kGrowth = 0x21000;  // what an arena takes from the system at a time

  // Maps the brk heap. `memory` must outlive this, and have the machine's width and byte order.
  GlibcHeapBuilder(ImageBuilder* memory, const GlibcRelease& release, const GlibcPlaces& places);

  // User address of a new chunk carved from the arena's top, which grows as needed.
  uint64_t alloc(uint64_t size, size_t arena = kMain);
  // As many chunks of one size, one after the other.
  std::vector<uint64_t> alloc_many(size_t count, uint64_t size, size_t arena = kMain);
  // Allocates one chunk such that the arena's top keeps the least possible not under `bytes`, which
  // is not under the smallest chunk's size.
  uint64_t alloc_all_but(uint64_t bytes, size_t arena = kMain);
  uint64_t alloc_mmapped(uint64_t size) { return alloc_mmapped_adjacent({size})[0]; }
  // Several mmapped chunks side by side in one mapping, as the kernel merges them.
  std::vector<uint64_t> alloc_mmapped_adjacent(const std::vector<uint64_t>& sizes);
  // memalign() of an mmapped chunk whose header moves `lead` bytes (a multiple of malloc's
  // alignment, > 0) up: for a mapping aligned itself, the wanted alignment less malloc's.
  uint64_t alloc_mmapped_aligned(uint64_t size, uint64_t lead);

  void free_to_tcache(uint64_t user, size_t cache = 0);
  void free_to_fastbin(uint64_t user);
  // REQUIRES for both: the chunks before and after are in use.
  void free_to_unsorted(uint64_t user);
  void free_to_bin(uint64_t user);  // the small or large bin of its size
  // As free_to_unsorted(), but on no list: what a damaged list leaves behind.
  void free_to_nowhere(uint64_t user);

  size_t add_arena();
  // A further heap for a thread arena; the rest of the one before becomes a free chunk, or a
  // remnant if it is too small for that.
  void add_heap(size_t arena);
  // Somebody else moves the break by `bytes`: the main heap goes on behind them.
  // Returns the first foreign byte.
  uint64_t foreign_sbrk(uint64_t bytes);
  // The break cannot be moved any more: the main arena goes on in a mapping of its own.
  void grow_by_mmap();
  // A thread's cache, allocated from `arena`, and the thread variable at `slot` pointing to it
  // (REQUIRES: release().has_tcache()). Returns the index for free_to_tcache().
  size_t add_tcache(size_t arena, uint64_t slot);

  // Writes arenas, lists and counters; a second call does nothing, so that what a test damages
  // stays damaged. Nothing may be allocated or freed after this.
  void finish();

  const GlibcRelease& release() const { return release_; }
  // HEAP_MAX_SIZE.
  uint64_t heap_max() const { return release_.word() == 8 ? 64 << 20 : 1 << 20; }
  const std::map<uint64_t, Block>& blocks() const { return blocks_; }
  ArenaTotals totals(size_t arena) const;
  size_t arena_count() const { return arenas_.size(); }
  uint64_t arena_address(size_t arena) const { return arenas_[arena].state; }
  uint64_t heap_address(size_t arena, size_t heap) const { return arenas_[arena].heaps[heap]; }
  uint64_t top_of(size_t arena) const { return arenas_[arena].top; }
  uint64_t end_of(size_t arena) const { return arenas_[arena].end; }
  uint64_t mp_address() const { return places_.mp; }
  uint64_t tcache_struct(size_t cache) const { return caches_[cache].user; }
  // Address of the head of the cache's list for chunks like `user`.
  uint64_t tcache_head(size_t cache, uint64_t user) const;
  // How a link is stored in the word at `place` of a tcache or fastbin chunk.
  uint64_t link(uint64_t place, uint64_t target) const;
  uint64_t mmapped_bytes() const { return mmapped_bytes_; }
  uint64_t chunk_size(uint64_t user) const;  // with its header

 private:
  struct Arena {
    uint64_t state;
    std::vector<uint64_t> heaps;  // mappings, oldest first
    uint64_t top, end;
    uint64_t system_mem = 0;
    bool contiguous = true;
    std::map<unsigned, std::deque<uint64_t>> bins;  // headers, from the front
    std::array<std::deque<uint64_t>, 11> fastbins;  // headers, from the head
  };
  struct Cache {
    uint64_t user;
    std::vector<std::deque<uint64_t>> lists;  // user addresses, from the head
  };

  void set_size(uint64_t header, uint64_t size_and_flags) {
    memory_->put_word(header + release_.word(), size_and_flags);
  }
  // Closes what [old_top, old_end) leaves of the main arena before its top moved on.
  void put_fenceposts(uint64_t old_top, uint64_t old_end);
  uint64_t flags_of(size_t arena) const { return arena == kMain ? 1 : 1 | 4; }
  uint64_t tcache_index(uint64_t user) const;
  void map_heap(size_t arena, uint64_t previous);
  void grow(size_t arena, uint64_t bytes);
  // Marks a chunk as free, for its own header and for its neighbour's.
  void mark_free(uint64_t header, size_t arena);
  void retire_block(uint64_t user, ChunkState state);
  void put_mmapped_header(uint64_t header, uint64_t lead, uint64_t total);
  uint64_t reserve_mmap(uint64_t bytes);
  uint64_t mapping_size(uint64_t request, uint64_t lead) const;
  uint64_t mapping_lead() const { return release_.chunk_place(0); }
  void add_mmapped_block(uint64_t header, uint64_t bytes);
  void write_arena(size_t arena);
  void write_bins(size_t arena);
  void write_sorted_sizes(const std::deque<uint64_t>& headers);
  void write_fastbins(size_t arena);
  void write_cache(const Cache& cache);
  void write_par();

  ImageBuilder* memory_;
  GlibcRelease release_;
  GlibcPlaces places_;
  std::vector<Arena> arenas_;
  std::vector<Cache> caches_;
  std::map<uint64_t, Block> blocks_;
  uint64_t next_heap_;
  uint64_t next_mmap_;
  uint32_t mmapped_count_ = 0;
  uint64_t mmapped_bytes_ = 0;
  bool finished_ = false;
};

}  // namespace residue::test
