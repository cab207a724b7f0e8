// Helpers that make a sample's leaks exact: nothing may keep a leaked block alive by accident.
//
// A conservative heap analyser takes any word of a live stack or register that looks like a
// pointer for one. A sample which promises "exactly N leaked blocks" must therefore not leave
// copies of their addresses there. The sample does its leaking in functions that have returned by
// the time it parks, and then calls scrub_stale_pointers(): frames entered afterwards (the wait
// itself) reuse stack that has been zeroed, and vector registers, which no system call clears and
// which compilers use to copy pairs of pointers, are cleared too.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sample {

// Tells the compiler that `pointer` escapes, so that it does not remove an allocation nobody uses
// (clang drops unused new-expressions, GCC drops unused malloc).
inline void keep(void* pointer) { asm volatile("" : : "r"(pointer) : "memory"); }

#if defined(__x86_64__)
[[gnu::noinline]] inline void clear_vector_registers() {
  if (__builtin_cpu_supports("avx512f")) {
    // Registers 16-31 exist only here; glibc's string functions use them. The compiler cannot
    // hold anything in them (no -mavx512 in this build), so they need no clobber.
    asm volatile(
        "vpxorq %%zmm16, %%zmm16, %%zmm16\n\tvpxorq %%zmm17, %%zmm17, %%zmm17\n\t"
        "vpxorq %%zmm18, %%zmm18, %%zmm18\n\tvpxorq %%zmm19, %%zmm19, %%zmm19\n\t"
        "vpxorq %%zmm20, %%zmm20, %%zmm20\n\tvpxorq %%zmm21, %%zmm21, %%zmm21\n\t"
        "vpxorq %%zmm22, %%zmm22, %%zmm22\n\tvpxorq %%zmm23, %%zmm23, %%zmm23\n\t"
        "vpxorq %%zmm24, %%zmm24, %%zmm24\n\tvpxorq %%zmm25, %%zmm25, %%zmm25\n\t"
        "vpxorq %%zmm26, %%zmm26, %%zmm26\n\tvpxorq %%zmm27, %%zmm27, %%zmm27\n\t"
        "vpxorq %%zmm28, %%zmm28, %%zmm28\n\tvpxorq %%zmm29, %%zmm29, %%zmm29\n\t"
        "vpxorq %%zmm30, %%zmm30, %%zmm30\n\tvpxorq %%zmm31, %%zmm31, %%zmm31\n\t" ::
            : "memory");
  }
  // vzeroall clears every byte of registers 0-15, upper halves included.
  if (__builtin_cpu_supports("avx")) {
    asm volatile("vzeroall" ::
                     : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8",
                       "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
  }
}
#else
inline void clear_vector_registers() {}
#endif

// Zeroes 64 KiB of stack below the caller's frame: deeper than any call the samples make.
[[gnu::noinline]] inline void scrub_stale_pointers() {
  constexpr std::size_t kWords = std::size_t{64} * 1024 / sizeof(std::uint64_t);
  std::uint64_t dead[kWords];
  for (std::uint64_t& word : dead) word = 0;
  keep(dead);  // the stores must happen although nobody reads them
  clear_vector_registers();
}

}  // namespace sample
