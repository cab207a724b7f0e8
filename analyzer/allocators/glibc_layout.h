// Layouts of glibc's malloc on LP64 (x86-64 and aarch64), release by release.
//
// Source: malloc/malloc.c and malloc/arena.c of the tags named in each row, offsets computed from
// the declarations; the 2.27–2.42 row was also read from libc6-dbg of 2.36. Distributions backport,
// so a layout is chosen by fit and never by a version string.
#pragma once

#include <array>
#include <cstdint>

namespace residue::glibc {

inline constexpr uint64_t kWord = 8;         // SIZE_SZ
inline constexpr uint64_t kAlignment = 16;   // MALLOC_ALIGNMENT
inline constexpr uint64_t kHeaderSize = 16;  // chunk to user memory (2 * SIZE_SZ)
inline constexpr uint64_t kMinSize = 32;     // MINSIZE
inline constexpr uint64_t kPrevInUse = 1, kIsMmapped = 2, kNonMainArena = 4, kSizeFlags = 7;
inline constexpr uint64_t kFencepostSize = 16;            // 2 * SIZE_SZ, all releases
inline constexpr unsigned kBinCount = 127;                // bins 1..127; bin 1 is the unsorted one
inline constexpr uint64_t kNonContiguous = 2;             // bit of malloc_state.flags, all releases
inline constexpr uint64_t kDefaultHeapMax = 64ull << 20;  // HEAP_MAX_SIZE with default settings
inline constexpr unsigned kSafeLinkShift = 12;            // PROTECT_PTR, 2.32 on

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
};

inline constexpr std::array<ArenaLayout, 4> kArenaLayouts = {{
    {"2.27-2.42", 16, 10, 96, 112, 2160, 2184, 2200, 0},
    {"2.23-2.26", 8, 10, 88, 104, 2152, 2176, 2192, 0},
    {"2.12-2.22", 8, 10, 88, 104, 2152, 2168, 2184, 0},
    // From the development branch after 2.42: fastbins are gone.
    {"2.43", 0, 0, 8, 24, 2072, 2096, 2112, 16},
}};

// struct _heap_info: {ar_ptr 0, prev 8, size 16, mprotect_size 24}, and its padded size.
inline constexpr uint32_t kHeapArena = 0, kHeapPrev = 8, kHeapSize = 16, kHeapMprotectSize = 24;
inline constexpr std::array<uint32_t, 2> kHeapInfoSizes = {48, 32};  // 2.35 on, up to 2.34

// struct malloc_par (mp_)
struct ParametersLayout {
  const char* versions;
  uint32_t arena_test;  // 8 on 64-bit
  uint32_t n_mmaps;     // int; n_mmaps_max, an int, follows it
  uint32_t mmapped_mem;
  uint32_t sbrk_base;
  uint32_t size;
};

inline constexpr std::array<ParametersLayout, 6> kParametersLayouts = {{
    {"2.35-2.42", 24, 60, 80, 96, 136},
    {"2.26-2.34", 24, 40, 56, 72, 112},
    {"2.24-2.25", 24, 40, 56, 72, 80},
    {"2.15-2.23", 24, 40, 56, 80, 88},
    {"2.12-2.14", 24, 40, 64, 88, 96},
    {"2.43", 24, 68, 88, 104, 144},
}};
inline constexpr uint64_t kArenaTest = 8;
inline constexpr uint32_t kMmapsMax = 65536;  // DEFAULT_MMAP_MAX

// struct tcache_perthread_struct
struct TcacheLayout {
  const char* versions;
  uint64_t chunk_size;   // of the chunk that holds it
  uint32_t count_width;  // bytes per counter, at offset 0
  uint32_t bins;
  uint32_t entries;        // offset of the heads
  bool counts_free_slots;  // 2.42: the counter holds the slots that are left
};

inline constexpr std::array<TcacheLayout, 3> kTcacheLayouts = {{
    {"2.30-2.41", 0x290, 2, 64, 128, false},
    {"2.26-2.29", 0x250, 1, 64, 64, false},
    {"2.42", 0x300, 2, 76, 152, true},
}};
// Bins up to this index hold one chunk size each; 2.42's further ones hold ranges.
inline constexpr uint32_t kTcacheSmallBins = 64;

}  // namespace residue::glibc
