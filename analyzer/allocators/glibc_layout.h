// Layouts of glibc's malloc, release by release, for 64-bit and 32-bit words; the byte order makes
// no difference to them.
//
// Source: malloc/malloc.c, malloc/arena.c and sysdeps/*/malloc-alignment.h of the tags named in
// each row, offsets computed from the declarations; the LP64 row of 2.27–2.42 was also read from
// libc6-dbg of 2.36. Distributions backport, so a layout is chosen by fit and never by a version
// string.
//
// MALLOC_ALIGNMENT is two words, or that of long double where it is more and no old ABI forbade it.
// With 64-bit words that is 16 everywhere. With 32-bit words it is 8 on i386 up to 2.25 and on ARM,
// MIPS o32, … always; 16 on i386 from 2.26, on PowerPC from 2.26 (its ABI had 8 before, for the
// sake of malloc_get_state), on x32 and riscv32 always.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <span>

#include "formats/base/byte_cursor.h"

namespace residue::glibc {

inline constexpr uint64_t kPrevInUse = 1, kIsMmapped = 2, kNonMainArena = 4, kSizeFlags = 7;
inline constexpr unsigned kBinCount = 127;      // bins 1..127; bin 1 is the unsorted one
inline constexpr uint64_t kNonContiguous = 2;   // bit of malloc_state.flags, all releases
inline constexpr unsigned kSafeLinkShift = 12;  // PROTECT_PTR, 2.32 on

// What the machine decides: all sizes and places of chunks follow from it (malloc.c, 2.12 on).
struct Shape {
  uint64_t word = 8;        // SIZE_SZ
  uint64_t alignment = 16;  // MALLOC_ALIGNMENT
  ByteOrder order = ByteOrder::kLittle;

  constexpr uint64_t header() const { return 2 * word; }     // from a chunk to its user's memory
  constexpr uint64_t fencepost() const { return 2 * word; }  // its size
  constexpr uint64_t round_up(uint64_t n) const { return (n + alignment - 1) & ~(alignment - 1); }
  constexpr uint64_t min_size() const { return round_up(4 * word); }  // MINSIZE
  // request2size(): of the chunk that malloc gives for so many bytes.
  constexpr uint64_t chunk_size(uint64_t request) const {
    const uint64_t size = round_up(request + word);
    return size < min_size() ? min_size() : size;
  }
  // User addresses are aligned; headers lie before them.
  constexpr bool is_user(uint64_t a) const { return (a & (alignment - 1)) == 0; }
  constexpr bool is_chunk(uint64_t a) const { return is_user(a + header()); }
  // The first place for a chunk from `a` on.
  constexpr uint64_t next_chunk(uint64_t a) const { return round_up(a + header()) - header(); }
  // Size of the chunks in fastbin `bin`: fastbin_index() counts in steps of two words.
  constexpr uint64_t fastbin_size(uint32_t bin) const { return (uint64_t{bin} + 2) * 2 * word; }
  constexpr unsigned granule_shift() const {
    return static_cast<unsigned>(std::countr_zero(alignment));
  }
  // HEAP_MAX_SIZE with default settings.
  constexpr uint64_t heap_max() const { return word == 8 ? 64ULL << 20 : 1ULL << 20; }

  // REQUIRES: bytes.size() >= word.
  uint64_t load_word(std::span<const std::byte> bytes) const {
    return word == 8 ? load<uint64_t>(bytes, order) : load<uint32_t>(bytes, order);
  }
};

// struct malloc_state
struct ArenaLayout {
  const char* versions;
  uint32_t fastbins;  // offset; 0 where there are none
  uint32_t fastbin_count;
  uint32_t top;
  uint32_t bins;
  uint32_t next;
  uint32_t system_mem;  // max_system_mem follows it
  uint32_t size;
  uint32_t mmapped_trailer;  // bytes of a mapping that its chunk's size does not count, behind it
  uint32_t alignment;        // MALLOC_ALIGNMENT, which decides how many fastbins there are
};

// "no arenas per thread": up to 2.14 built without PER_THREAD (--enable-experimental-malloc), which
// leaves out next_free.
inline constexpr std::array<ArenaLayout, 5> kArenaLayouts64 = {{
    {"2.27-2.42", 16, 10, 96, 112, 2160, 2184, 2200, 0, 16},
    {"2.23-2.26", 8, 10, 88, 104, 2152, 2176, 2192, 0, 16},
    {"2.12-2.22", 8, 10, 88, 104, 2152, 2168, 2184, 0, 16},
    // From the development branch after 2.42: fastbins are gone.
    {"2.43", 0, 0, 8, 24, 2072, 2096, 2112, 16, 16},
    {"2.12-2.14 without arenas per thread", 8, 10, 88, 104, 2152, 2160, 2176, 0, 16},
}};
// Two pairs of rows differ in nothing but the alignment, which the chunks themselves must tell.
inline constexpr std::array<ArenaLayout, 9> kArenaLayouts32 = {{
    {"2.27-2.42", 12, 11, 56, 64, 1096, 1108, 1116, 0, 16},
    {"2.23-2.26", 8, 11, 52, 60, 1092, 1104, 1112, 0, 16},
    {"2.16-2.22", 8, 11, 52, 60, 1092, 1100, 1108, 0, 16},  // x32 alone
    {"2.43", 0, 0, 8, 16, 1048, 1060, 1068, 8, 16},
    {"2.27-2.42", 12, 10, 52, 60, 1092, 1104, 1112, 0, 8},
    {"2.23-2.26", 8, 10, 48, 56, 1088, 1100, 1108, 0, 8},
    {"2.12-2.22", 8, 10, 48, 56, 1088, 1096, 1104, 0, 8},
    {"2.43", 0, 0, 8, 16, 1048, 1060, 1068, 8, 8},
    {"2.12-2.14 without arenas per thread", 8, 10, 48, 56, 1088, 1092, 1100, 0, 8},
}};

inline std::span<const ArenaLayout> arena_layouts(uint64_t word) {
  if (word == 8) return kArenaLayouts64;
  return kArenaLayouts32;
}

// struct _heap_info: {ar_ptr, prev, size, mprotect_size}, a word each, from 2.35 on pagesize, and
// its padded size: such that a chunk can follow.
inline constexpr uint32_t kHeapPrev = 1, kHeapSize = 2, kHeapMprotectSize = 3;  // in words
inline std::array<uint64_t, 2> heap_info_sizes(const Shape& shape) {
  return {shape.next_chunk(5 * shape.word), shape.next_chunk(4 * shape.word)};
}

// struct malloc_par (mp_)
struct ParametersLayout {
  const char* versions;
  uint32_t arena_test;  // 0 where there is none
  uint32_t n_mmaps;     // int; n_mmaps_max, an int, follows it
  uint32_t mmapped_mem;
  uint32_t sbrk_base;
  uint32_t size;
};

inline constexpr std::array<ParametersLayout, 7> kParametersLayouts64 = {{
    {"2.35-2.42", 24, 60, 80, 96, 136},
    {"2.26-2.34", 24, 40, 56, 72, 112},
    {"2.24-2.25", 24, 40, 56, 72, 80},
    {"2.15-2.23", 24, 40, 56, 80, 88},
    {"2.12-2.14", 24, 40, 64, 88, 96},
    {"2.43", 24, 68, 88, 104, 144},
    {"2.12-2.14 without arenas per thread", 0, 24, 48, 72, 80},
}};
inline constexpr std::array<ParametersLayout, 7> kParametersLayouts32 = {{
    {"2.35-2.42", 12, 32, 48, 56, 76},
    {"2.26-2.34", 12, 20, 36, 44, 64},
    {"2.24-2.25", 12, 20, 36, 44, 48},
    {"2.15-2.23", 12, 20, 36, 48, 52},
    {"2.12-2.14", 12, 20, 40, 52, 56},
    {"2.43", 12, 36, 52, 60, 80},
    {"2.12-2.14 without arenas per thread", 0, 12, 32, 44, 48},
}};
inline std::span<const ParametersLayout> parameters_layouts(const Shape& shape) {
  if (shape.word == 8) return kParametersLayouts64;
  return kParametersLayouts32;
}
// What arena_test is unless a tunable changed it: NARENAS_FROM_NCORES(1).
inline uint64_t arena_test(const Shape& shape) { return shape.word == 8 ? 8 : 2; }
inline constexpr uint32_t kMmapsMax = 65536;  // DEFAULT_MMAP_MAX

// struct tcache_perthread_struct
struct TcacheLayout {
  const char* versions;
  uint32_t count_width;  // bytes per counter, at offset 0; the heads follow the counters
  uint32_t bins;
  bool counts_free_slots;  // 2.42: the counter holds the slots that are left
  bool padded_twice = false;

  // Offset of the heads.
  constexpr uint64_t entries() const { return uint64_t{bins} * count_width; }
  constexpr uint64_t size(uint64_t word) const { return entries() + bins * word; }
  // Of the chunk that holds it.
  constexpr uint64_t chunk_size(const Shape& shape) const {
    const uint64_t once = shape.chunk_size(size(shape.word));
    return padded_twice ? shape.chunk_size(once) : once;
  }
};

inline constexpr std::array<TcacheLayout, 4> kTcacheLayouts = {{
    {"2.30-2.41", 2, 64, false},
    {"2.26-2.29", 1, 64, false},
    {"2.42", 2, 76, true},
    // In 2.43 a cache that malloc rather than free sets up is padded twice: tcache_init asks
    // _int_malloc for request2size of its size.
    {"2.43", 2, 76, true, true},
}};
// Bins up to this index hold one chunk size each; 2.42's further ones hold ranges.
inline constexpr uint32_t kTcacheSmallBins = 64;

}  // namespace residue::glibc
