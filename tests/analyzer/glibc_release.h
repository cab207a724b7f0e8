// GlibcRelease: where one glibc release keeps what, on one machine.
//
// Laid out from the sources' declarations (malloc/malloc.c, malloc/arena.c and malloc-alignment.h
// at the tags glibc-2.12 to glibc-2.42 and master of January 2026) by C's rules, independently of
// the analyser's tables.
#pragma once

#include <cstdint>
#include <string>

#include "formats/image.h"

namespace residue::test {

inline constexpr uint64_t kAbsent = ~uint64_t{0};

// What malloc's layout depends on besides the release.
struct Machine {
  const char* name = "x86_64";
  Architecture architecture = Architecture::kX86_64;
  uint64_t word = 8;  // of pointers and of size_t
  ByteOrder order = ByteOrder::kLittle;
  unsigned first_release = 12;  // 2.minor
  // With 32-bit words: the release from which malloc aligns to 16 bytes, as long double is, and not
  // to two words.
  unsigned aligned_from = 0;
};
inline constexpr Machine kX8664;
inline constexpr Machine kS390x = {"s390x", Architecture::kS390x, 8, ByteOrder::kBig, 12, 0};
inline constexpr Machine kX86 = {"x86", Architecture::kX86, 4, ByteOrder::kLittle, 12, 26};
inline constexpr Machine kX32 = {"x32", Architecture::kX86_64, 4, ByteOrder::kLittle, 16, 0};
inline constexpr Machine kArm = {"arm", Architecture::kArm, 4, ByteOrder::kLittle, 12, 99};
inline constexpr Machine kPpc = {"ppc", Architecture::kPpc, 4, ByteOrder::kBig, 12, 26};

// Offsets in struct malloc_state; kAbsent where the release has no such field.
struct MallocStateOffsets {
  uint64_t have_fastchunks, fastbins, top, last_remainder, bins, binmap;
  uint64_t next, next_free, attached_threads, system_mem, max_system_mem, size;
};

// Offsets in struct malloc_par. The first three words are the same everywhere.
struct MallocParOffsets {
  uint64_t arena_test, n_mmaps, n_mmaps_max, max_n_mmaps, pagesize, mmapped_mem, max_mmapped_mem;
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
  Machine machine;
  uint64_t alignment;  // MALLOC_ALIGNMENT
  uint64_t fastbin_count;
  MallocStateOffsets state;
  MallocParOffsets par;
  TcacheShape tcache;
  uint64_t heap_info_size;
  bool safe_linking;
  bool mmapped_size_is_net;  // an mmapped chunk's size is without its own header
  uint64_t word() const { return machine.word; }
  uint64_t header() const { return 2 * machine.word; }
  uint64_t round_up(uint64_t n) const { return (n + alignment - 1) / alignment * alignment; }
  uint64_t min_size() const { return round_up(4 * machine.word); }
  uint64_t chunk_size(uint64_t request) const;
  // The first place from `a` on for a chunk whose user memory is aligned.
  uint64_t chunk_place(uint64_t a) const { return round_up(a + header()) - header(); }
  bool has_fastbins() const { return state.fastbins != kAbsent; }
  bool has_tcache() const { return tcache.counts != TcacheCounts::kNone; }
  // What strings(1) finds in the library.
  std::string banner() const;
};

// `arenas_per_thread`: how releases up to 2.14 were configured. REQUIRES: 12 <= minor <= 43.
GlibcRelease glibc_release(unsigned minor, const Machine& machine = kX8664,
                           bool arenas_per_thread = true);

}  // namespace residue::test
