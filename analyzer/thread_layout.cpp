#include "analyzer/thread_layout.h"

#include <algorithm>

namespace residue {
namespace {

// struct pthread, and in variant I the TCB behind it (glibc 2.12–2.42: under 4 KiB).
constexpr uint64_t kThreadStruct = 4096;
constexpr uint64_t kWord = 8;

// Red zones: x86-64 psABI 3.2.2; Power ELF V2 ABI 2.2.3.4 (288 bytes). The others have none.
// TLS: Drepper's "ELF Handling For Thread-Local Storage", the psABIs, and glibc's
// sysdeps/*/nptl/tls.h (2.27–2.42): TLS_TCB_OFFSET, TLS_TCB_SIZE and where THREAD_DTV() looks.
constexpr ThreadLayout kX86_64 = {128, true, 0, 8, true};
constexpr ThreadLayout kAArch64 = {0, false, 0, 0, false};
constexpr ThreadLayout kRiscv = {0, false, 0, -16, false};  // LoongArch too
constexpr ThreadLayout kPpc64 = {288, false, 0x7000, -0x7008, false};
constexpr ThreadLayout kMips = {0, false, 0x7000, -0x7010, false};

}  // namespace

const ThreadLayout& thread_layout(Architecture architecture) {
  switch (architecture) {
    case Architecture::kAArch64:
      return kAArch64;
    case Architecture::kRiscv64:
    case Architecture::kLoongArch64:
      return kRiscv;
    case Architecture::kPpc64Le:
      return kPpc64;
    case Architecture::kMips64:
      return kMips;
    default:
      return kX86_64;
  }
}

ThreadBlock thread_block(const ThreadLayout& layout, uint64_t thread_pointer, uint64_t tls_size) {
  const uint64_t before = layout.tls_below ? tls_size : kThreadStruct;
  const uint64_t behind = layout.tls_below ? kThreadStruct : tls_size;
  const uint64_t middle = thread_pointer - std::min(thread_pointer, layout.pointer_bias);
  return {middle - std::min(middle, before), middle + std::min(behind, ~uint64_t{0} - middle)};
}

Address static_tls_word(const ThreadLayout& layout, uint64_t thread_pointer, uint64_t n) {
  if (layout.tls_below) return Address(thread_pointer - (n + 1) * kWord);
  return Address(thread_pointer - layout.pointer_bias + n * kWord);
}

}  // namespace residue
