// Where a thread's own memory lies around its stack and thread pointers: ABI and glibc, per
// architecture.
#pragma once

#include <cstdint>
#include <optional>

#include "formats/image.h"

namespace residue {

struct ThreadLayout {
  // Bytes below the stack pointer that belong to the running function.
  uint64_t red_zone = 0;
  // ELF TLS, variant II: the modules' blocks lie below the thread pointer and glibc's struct
  // pthread at it. Variant I: struct pthread, the TCB, then the blocks.
  bool tls_below = false;
  // Variant I: the thread pointer minus the place where the blocks (aarch64: the TCB) begin.
  uint64_t pointer_bias = 0;
  // Where glibc keeps the address of the thread's vector of dynamic TLS, from the thread pointer.
  int64_t dtv = 0;
  // Bytes of a pointer.
  uint64_t word = 8;
  // struct pthread begins with {pointer to itself, dtv, pointer to itself}, by which those of ended
  // threads are found; the thread's id lies so many bytes from its start. 0 if it does not.
  uint64_t tid = 0;
};

// x86-64's (or i386's, as the width of pointers goes) for architectures of which nothing is known.
const ThreadLayout& thread_layout(Architecture architecture, unsigned pointer_width);
const ThreadLayout& thread_layout(const Image& image);

// Static TLS and struct pthread of a thread, as far as they may reach. `tls_size`: of all modules'
// blocks together.
struct ThreadBlock {
  uint64_t begin = 0, end = 0;
};
ThreadBlock thread_block(const ThreadLayout& layout, uint64_t thread_pointer, uint64_t tls_size);

// Bytes of static TLS that the image's modules may need together, with what alignment takes.
uint64_t static_tls_size(const Image& image);

// Whether the region is the stack the kernel gave the process: it ends with the program's name and
// a null word (Linux, fs/exec.c and binfmt_elf.c, on every architecture whose stack grows
// downwards).
bool is_kernel_stack(const Region& region);

// The `n`th word of static TLS, counted away from the thread pointer; the first is 0.
Address static_tls_word(const ThreadLayout& layout, uint64_t thread_pointer, uint64_t n);

}  // namespace residue
