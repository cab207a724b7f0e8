#include "analyzer/thread_layout.h"

#include <algorithm>

namespace residue {
namespace {

// struct pthread, and in variant I the TCB behind it (glibc 2.12–2.42: under 4 KiB).
constexpr uint64_t kThreadStruct = 4096;

// Between the modules' blocks of static TLS, for alignment. What glibc keeps in reserve below them
// is left to the stack: the first frames of a thread lie close behind it.
constexpr uint64_t kTlsAlignment = 64;
// More is a damaged header's.
constexpr uint64_t kMaxTls = 1 << 20;

// Red zones: x86-64 psABI 3.2.2; 64-bit PowerPC ELF ABIs (V1 3.2.2, V2 2.2.3.4: 288 bytes). The
// others have none.
// TLS: Drepper's "ELF Handling For Thread-Local Storage", the psABIs, and glibc's
// sysdeps/*/nptl/tls.h (2.12–2.42): TLS_TCB_OFFSET, TLS_TCB_SIZE and where THREAD_DTV() looks.
// Thread ids: nptl/descr.h (2.12–2.42): the header, padded to 24 words (x86-64: to 704 bytes), two
// links, the id.
constexpr ThreadLayout kX86_64 = {128, true, 0, 8, 8, 704 + 16};
constexpr ThreadLayout kX32 = {128, true, 0, 4, 4, 0};
constexpr ThreadLayout kX86 = {0, true, 0, 4, 4, 26 * 4};
constexpr ThreadLayout kS390x = {0, true, 0, 8, 8, 26 * 8};
constexpr ThreadLayout kAArch64 = {0, false, 0, 0, 8, 0};
constexpr ThreadLayout kArm = {0, false, 0, 0, 4, 0};
constexpr ThreadLayout kRiscv64 = {0, false, 0, -16, 8, 0};  // LoongArch too
constexpr ThreadLayout kRiscv32 = {0, false, 0, -8, 4, 0};
constexpr ThreadLayout kPpc64 = {288, false, 0x7000, -0x7008, 8, 0};
constexpr ThreadLayout kPpc = {0, false, 0x7000, -0x7004, 4, 0};
constexpr ThreadLayout kMips64 = {0, false, 0x7000, -0x7010, 8, 0};
constexpr ThreadLayout kMips = {0, false, 0x7000, -0x7008, 4, 0};  // o32, and n32 alike

}  // namespace

const ThreadLayout& thread_layout(Architecture architecture, unsigned pointer_width) {
  const bool narrow = pointer_width == 4;
  switch (architecture) {
    case Architecture::kX86:
      return kX86;
    case Architecture::kX86_64:
      return narrow ? kX32 : kX86_64;
    case Architecture::kArm:
      return kArm;
    case Architecture::kAArch64:
      return kAArch64;
    case Architecture::kRiscv32:
      return kRiscv32;
    case Architecture::kRiscv64:
    case Architecture::kLoongArch64:
      return kRiscv64;
    case Architecture::kPpc:
      return kPpc;
    case Architecture::kPpc64:
    case Architecture::kPpc64Le:
      return kPpc64;
    case Architecture::kS390x:
      return kS390x;
    case Architecture::kMips:
      return kMips;
    case Architecture::kMips64:
      return narrow ? kMips : kMips64;
    case Architecture::kUnknown:
      break;
  }
  return narrow ? kX86 : kX86_64;
}

const ThreadLayout& thread_layout(const Image& image) {
  return thread_layout(image.architecture, image.pointer_width);
}

ThreadBlock thread_block(const ThreadLayout& layout, uint64_t thread_pointer, uint64_t tls_size) {
  const uint64_t before = layout.tls_below ? tls_size : kThreadStruct;
  const uint64_t behind = layout.tls_below ? kThreadStruct : tls_size;
  const uint64_t middle = thread_pointer - std::min(thread_pointer, layout.pointer_bias);
  return {middle - std::min(middle, before), middle + std::min(behind, ~uint64_t{0} - middle)};
}

uint64_t static_tls_size(const Image& image) {
  uint64_t size = 0;
  for (const Module& module : image.modules) {
    if (module.tls_image) {
      size += std::min(module.tls_image->size.value(), kMaxTls) + kTlsAlignment;
    }
  }
  return std::min(size, kMaxTls);
}

bool is_kernel_stack(const Region& region) {
  constexpr size_t kMinNulls = 5, kMaxNulls = 9;  // a null word of the kernel's, and the name's end
  const auto bytes = region.bytes;
  if (!region.permissions.write || bytes.size() != region.range.size.value() ||
      bytes.size() <= kMaxNulls) {
    return false;
  }
  size_t nulls = 0;
  while (nulls <= kMaxNulls && bytes[bytes.size() - 1 - nulls] == std::byte{0}) ++nulls;
  return nulls >= kMinNulls && nulls <= kMaxNulls &&
         bytes[bytes.size() - 1 - nulls] > std::byte{' '};
}

Address static_tls_word(const ThreadLayout& layout, uint64_t thread_pointer, uint64_t n) {
  if (layout.tls_below) return Address(thread_pointer - (n + 1) * layout.word);
  return Address(thread_pointer - layout.pointer_bias + n * layout.word);
}

}  // namespace residue
