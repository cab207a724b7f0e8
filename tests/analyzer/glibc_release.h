// GlibcRelease: where one glibc release keeps what, on LP64.
//
// Written from the sources' declarations (malloc/malloc.c and malloc/arena.c at the tags
// glibc-2.12 to glibc-2.42 and master of January 2026), independently of the analyser's tables.
#pragma once

#include <cstdint>
#include <string>

namespace residue::test {

inline constexpr uint64_t kAbsent = ~uint64_t{0};

// Offsets in struct malloc_state; kAbsent where the release has no such field.
struct MallocStateOffsets {
  uint64_t have_fastchunks, fastbins, top, last_remainder, bins, binmap;
  uint64_t next, next_free, attached_threads, system_mem, max_system_mem, size;
};

// Offsets in struct malloc_par. The first five words are the same everywhere.
struct MallocParOffsets {
  uint64_t n_mmaps, n_mmaps_max, max_n_mmaps, mmapped_mem, max_mmapped_mem;
  uint64_t sbrk_base, tcache, size;
};

enum class TcacheCounts : uint8_t { kNone, kBytes, kWords, kSlotsLeft };
enum class TcacheKey : uint8_t { kNone, kStruct, kRandom };

struct TcacheShape {
  TcacheCounts counts;
  TcacheKey key;
  uint64_t bins;         // lists
  uint64_t entries;      // offset of the heads
  uint64_t struct_size;  // as asked of malloc
  uint64_t fill;         // chunks that fit into one list
  uint64_t max_bytes;    // mp_.tcache_max_bytes
};

struct GlibcRelease {
  unsigned minor;  // of 2.minor; 43 stands for the development version after 2.42
  MallocStateOffsets state;
  MallocParOffsets par;
  TcacheShape tcache;
  uint64_t heap_info_size;
  bool safe_linking;
  bool mmapped_size_is_net;  // an mmapped chunk's size is without its own header
  bool has_fastbins() const { return state.fastbins != kAbsent; }
  bool has_tcache() const { return tcache.counts != TcacheCounts::kNone; }
  // What strings(1) finds in the library.
  std::string banner() const;
};

// REQUIRES: 12 <= minor <= 43.
GlibcRelease glibc_release(unsigned minor);

}  // namespace residue::test
