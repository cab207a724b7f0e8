#include "symbolize/thread_locals.h"

namespace residue {
namespace {

// The public part of struct link_map ends after five words; where the private fields stand has
// changed with almost every release, but not their order (glibc include/link.h, 2.3-2.42):
// l_tls_initimage, l_tls_initimage_size, l_tls_blocksize, l_tls_align, l_tls_firstbyte_offset,
// l_tls_offset, l_tls_modid. The first is known from the module's program headers, and so is the
// third: together they give the place away.
constexpr uint64_t kFirstPrivateWord = 5, kPrivateWords = 200;
constexpr uint64_t kInitImage = 0, kBlockSize = 2, kModuleNumber = 6;
constexpr uint64_t kMaxModuleNumber = 1 << 20;
// The first object with thread-local variables, the program itself in a static one.
constexpr uint64_t kProgramNumber = 1;

std::optional<uint64_t> module_number(const Image& image, const Module& module) {
  if (!module.link_map) {
    return module.is_executable ? std::optional(kProgramNumber) : std::nullopt;
  }
  const uint64_t word = image.pointer_width;
  const auto field = [&](uint64_t i) {
    return image.word(*module.link_map + ByteCount(i * word)).value_or(0);
  };
  for (uint64_t i = kFirstPrivateWord; i < kFirstPrivateWord + kPrivateWords; ++i) {
    if (field(i + kInitImage) != module.tls_image->base.value()) continue;
    if (field(i + kBlockSize) != module.tls_image->size.value()) continue;
    const uint64_t number = field(i + kModuleNumber);
    if (number != 0 && number < kMaxModuleNumber) return number;
  }
  return std::nullopt;
}

// Where the thread control block keeps the pointer to the DTV, in bytes from the thread pointer
// (glibc's tcbhead_t; 2.3-2.42): x86 after the pointer to itself, AArch64 and ARM first, RISC-V and
// LoongArch below the thread pointer.
std::optional<int64_t> dtv_offset(const Image& image) {
  switch (image.architecture) {
    case Architecture::kX86_64:
    case Architecture::kX86:
      return image.pointer_width;
    case Architecture::kAArch64:
    case Architecture::kArm:
      return 0;
    case Architecture::kRiscv64:
    case Architecture::kLoongArch64:
      return -16;
    default:
      return std::nullopt;
  }
}

}  // namespace

ThreadLocals::ThreadLocals(const Image& image) : image_(image) {
  for (uint32_t i = 0; i < image.modules.size(); ++i) {
    const Module& module = image.modules[i];
    if (!module.tls_image || module.tls_image->size.value() == 0) continue;
    if (const auto number = module_number(image, module)) {
      modules_.push_back({ModuleId(i), *number, module.tls_image->size.value()});
    }
  }
}

std::optional<Address> ThreadLocals::block(size_t thread, ModuleId module) const {
  const auto offset = dtv_offset(image_);
  const uint64_t pointer = image_.threads[thread].thread_pointer;
  if (!offset || pointer == 0) return std::nullopt;
  const auto dtv = image_.word(Address(pointer + static_cast<uint64_t>(*offset)));
  if (!dtv) return std::nullopt;
  for (const TlsModule& m : modules_) {
    if (m.module != module) continue;
    // dtv_t is a pair of words, the first of them the block, all ones if it is not allocated.
    const auto block = image_.word(Address(*dtv + m.number * 2 * image_.pointer_width));
    if (!block || *block == 0 || image_.view(Address(*block), 1).empty()) return std::nullopt;
    return Address(*block);
  }
  return std::nullopt;
}

std::optional<ThreadLocals::Place> ThreadLocals::find(size_t thread, Address a) const {
  for (const TlsModule& m : modules_) {
    const auto begin = block(thread, m.module);
    if (begin && AddressRange{*begin, ByteCount(m.size)}.contains(a)) {
      return Place{m.module, (a - *begin).value()};
    }
  }
  return std::nullopt;
}

}  // namespace residue
