#include "symbolize/unwind/code_map.h"

#include <algorithm>
#include <array>

#include "symbolize/debug_files.h"
#include "symbolize/symbol_file.h"

namespace residue {
namespace {

// Intel SDM 2A: CALL is E8 rel32, or FF /2 with 2 to 7 bytes, and a prefix or two before it.
constexpr uint8_t kCallNear = 0xe8, kGroup5 = 0xff;
constexpr unsigned kMaxIndirectCall = 7;

bool is_indirect_call(std::span<const std::byte> code) {
  if (code.size() < 2 || static_cast<uint8_t>(code[0]) != kGroup5) return false;
  const auto modrm = static_cast<unsigned>(code[1]);
  const unsigned mode = modrm >> 6, operation = modrm >> 3 & 7, rm = modrm & 7;
  if (operation != 2) return false;
  size_t size = 2;
  if (mode != 3 && rm == 4) {  // a SIB byte
    if (code.size() < 3) return false;
    const unsigned base = static_cast<unsigned>(code[2]) & 7;
    size = 3;
    if (mode == 0 && base == 5) size += 4;
  }
  if (mode == 0 && rm == 5) size += 4;
  if (mode == 1) size += 1;
  if (mode == 2) size += 4;
  return code.size() == size;
}

// What follows the call of a thread's function in musl's clone (1.1 to 1.2.5): the exit system
// call.
struct ThreadExit {
  Architecture architecture;
  std::array<uint8_t, 8> code;
};
constexpr ThreadExit kThreadExits[] = {
    // mov %eax,%edi; xor %eax,%eax; mov $60,%al; syscall
    {Architecture::kX86_64, {0x89, 0xc7, 0x31, 0xc0, 0xb0, 0x3c, 0x0f, 0x05}},
    // mov x8,#93; svc #0
    {Architecture::kAArch64, {0xa8, 0x0b, 0x80, 0xd2, 0x01, 0x00, 0x00, 0xd4}},
    // li a7,93; ecall
    {Architecture::kRiscv64, {0x93, 0x08, 0xd0, 0x05, 0x73, 0x00, 0x00, 0x00}},
    // mov r7,#1; svc 0
    {Architecture::kArm, {0x01, 0x70, 0xa0, 0xe3, 0x00, 0x00, 0x00, 0xef}},
};

// ELF header: e_entry, of either class. Entry code is short: it calls the C library's start
// function.
constexpr uint64_t kEntryOffset = 24;
constexpr uint64_t kEntryCode = 64;

Answer answer(bool yes) { return yes ? Answer::kYes : Answer::kNo; }

}  // namespace

bool CodeMap::is_code(uint64_t pc) const {
  const Region* region = image_.find_region(Address(pc));
  if (region == nullptr) return false;
  if (region->permissions.execute) return true;
  if (region->module == kNone<ModuleId>) return false;
  // Mappings that the dump leaves out, and of which only the file's name is known.
  const Module& module = image_.modules[region->module.value()];
  if (module.segments.empty()) return true;
  return std::any_of(module.segments.begin(), module.segments.end(), [&](const Segment& segment) {
    return segment.permissions.execute && segment.range.contains(Address(pc));
  });
}

uint64_t CodeMap::strip(uint64_t pc) const {
  switch (image_.architecture) {
    case Architecture::kArm:
    case Architecture::kMips:
    case Architecture::kMips64:
      return pc & ~uint64_t{1};
    case Architecture::kAArch64:
      break;
    default:
      return pc;
  }
  pc &= ~image_.code_signature_mask & (~uint64_t{0} >> 8);
  if (is_code(pc) || image_.code_signature_mask != 0) return pc;
  // The mask is not in the dump. It covers what the kernel's configuration leaves of 55 bits:
  // addresses have 52, 48 (most), 42 or 39.
  for (const unsigned bits : {52U, 48U, 42U, 39U}) {
    const uint64_t cut = pc & ((uint64_t{1} << bits) - 1);
    if (is_code(cut)) return cut;
  }
  return pc;
}

std::span<const std::byte> CodeMap::view(uint64_t address, uint64_t n) const {
  const auto bytes = image_.view(Address(address), n);
  if (!bytes.empty() || files_ == nullptr) return bytes;
  const Region* region = image_.find_region(Address(address));
  if (region == nullptr || region->module == kNone<ModuleId>) return {};
  const SymbolFile* file = files_->of(region->module).binary;
  if (file == nullptr) return {};
  const auto text = file->section(".text");
  const auto base = file->section_address(".text");
  if (!base) return {};
  const uint64_t at = address - image_.modules[region->module.value()].bias - *base;
  if (at >= text.size()) return {};
  return text.subspan(at, std::min<uint64_t>(n, text.size() - at));
}

bool CodeMap::starts_thread(uint64_t pc) const {
  const auto after = view(pc, 8);
  for (const ThreadExit& exit : kThreadExits) {
    if (exit.architecture == image_.architecture && after.size() == exit.code.size() &&
        std::equal(after.begin(), after.end(), exit.code.begin(),
                   [](std::byte a, uint8_t b) { return a == std::byte{b}; })) {
      return true;
    }
  }
  const Module* module = image_.module_of(Address(pc));
  if (module == nullptr) return false;
  const auto entry = image_.word(module->range.base + ByteCount(kEntryOffset));
  return entry && *entry != 0 && pc - (*entry + module->bias) - 1 < kEntryCode;
}

std::optional<uint32_t> CodeMap::instruction(uint64_t pc) const {
  const auto bytes = view(pc, 4);
  if (bytes.size() < 4) return std::nullopt;
  // AArch64, ARM (BE8) and RISC-V code is little-endian whatever the data is.
  const bool data_order =
      image_.architecture != Architecture::kAArch64 && image_.architecture != Architecture::kArm;
  return load<uint32_t>(bytes, data_order ? image_.order : ByteOrder::kLittle);
}

std::optional<uint16_t> CodeMap::half(uint64_t pc) const {
  const auto bytes = view(pc, 2);
  if (bytes.size() < 2) return std::nullopt;
  return load<uint16_t>(bytes, ByteOrder::kLittle);
}

Answer CodeMap::follows_x86_call(uint64_t pc) const {
  uint64_t n = std::min<uint64_t>(kMaxIndirectCall, pc);
  auto code = view(pc - n, n);
  // The first bytes of a mapping have fewer before them.
  while (n > 1 && code.size() < n) {
    --n;
    code = view(pc - n, n);
  }
  if (n <= 1) return Answer::kUnknown;
  if (n >= 5 && static_cast<uint8_t>(code[n - 5]) == kCallNear) return Answer::kYes;
  for (size_t size = 2; size <= n; ++size) {
    if (is_indirect_call(code.last(size))) return Answer::kYes;
  }
  return Answer::kNo;
}

// A32 BL and BLX (Arm ARM, A8.8.25/26), T32 BL and BLX. Which of the two sets the code is in is not
// known once the low bit of the return address is gone: either will do.
Answer CodeMap::follows_arm_call(uint64_t pc) const {
  const auto word = instruction(pc - 4);
  if (!word) return Answer::kUnknown;
  const bool a32 = (*word & 0x0f000000) == 0x0b000000 || (*word & 0xfe000000) == 0xfa000000 ||
                   (*word & 0x0ffffff0) == 0x012fff30;
  const bool t32 = (*word & 0xc000f800) == 0xc000f000;
  const bool t16 = (*word >> 16 & 0xff87) == 0x4780;
  return answer((a32 && pc % 4 == 0) || t32 || t16);
}

// JAL and JALR with a link register (ra or t0), and their compressed forms.
Answer CodeMap::follows_riscv_call(uint64_t pc) const {
  const auto last = half(pc - 2);
  if (!last) return Answer::kUnknown;
  if ((*last & 0xf07f) == 0x9002 && (*last & 0x0f80) != 0) return Answer::kYes;
  if (image_.architecture == Architecture::kRiscv32 && (*last & 0xe003) == 0x2001) {
    return Answer::kYes;
  }
  const auto first = half(pc - 4);
  if (!first) return Answer::kUnknown;
  const uint32_t word = uint32_t{*first} | uint32_t{*last} << 16;
  const uint32_t opcode = word & 0x7f, link = word >> 7 & 0x1f;
  const bool is_jump = opcode == 0x6f || (opcode == 0x67 && (word & 0x7000) == 0);
  return answer(is_jump && (link == 1 || link == 5));
}

// BRASL, BRAS, BASR, BAS with r14 as link.
Answer CodeMap::follows_s390_call(uint64_t pc) const {
  const auto at = [&](unsigned back) -> unsigned {
    const auto bytes = view(pc - back, 2);
    return bytes.size() < 2 ? 0 : load<uint16_t>(bytes, ByteOrder::kBig);
  };
  if (view(pc - 2, 2).size() < 2) return Answer::kUnknown;
  return answer(at(6) == 0xc0e5 || at(4) == 0xa7e5 || (at(2) & 0xfff0) == 0x0de0 ||
                (at(4) & 0xfff0) == 0x4de0);
}

Answer CodeMap::follows_call(uint64_t pc) const {
  const auto matches = [&](uint64_t back, auto&& test) {
    const auto word = instruction(pc - back);
    return word ? answer(test(*word)) : Answer::kUnknown;
  };
  switch (image_.architecture) {
    case Architecture::kX86:
    case Architecture::kX86_64:
      return follows_x86_call(pc);
    case Architecture::kAArch64:  // BL; BLR, and BLRA* that authenticates
      return matches(4, [](uint32_t w) {
        return (w & 0xfc000000) == 0x94000000 || (w & 0xfffffc1f) == 0xd63f0000 ||
               (w & 0xfefff800) == 0xd63f0800;
      });
    case Architecture::kArm:
      return follows_arm_call(pc);
    case Architecture::kRiscv32:
    case Architecture::kRiscv64:
      return follows_riscv_call(pc);
    case Architecture::kPpc:
    case Architecture::kPpc64:
    case Architecture::kPpc64Le:  // bl, bctrl, blrl
      return matches(4, [](uint32_t w) {
        return (w & 0xfc000001) == 0x48000001 || w == 0x4e800421 || w == 0x4e800021;
      });
    case Architecture::kS390x:
      return follows_s390_call(pc);
    case Architecture::kMips:
    case Architecture::kMips64:  // jal; jalr; bal and bgezal, each with a delay slot behind it
      return matches(8, [](uint32_t w) {
        return (w & 0xfc000000) == 0x0c000000 || (w & 0xfc00003f) == 0x00000009 ||
               (w & 0xfc1e0000) == 0x04100000;
      });
    case Architecture::kLoongArch64:  // bl; jirl ra
      return matches(4, [](uint32_t w) {
        return (w & 0xfc000000) == 0x54000000 || (w & 0xfc00001f) == 0x4c000001;
      });
    case Architecture::kUnknown:
      break;
  }
  return Answer::kUnknown;
}

// `jmp *slot(%rip)`, after `endbr64` and a BND prefix if they are there.
std::optional<uint64_t> CodeMap::jump_slot_target(uint64_t plt) const {
  auto code = view(plt, 16);
  const auto begins = [&](std::initializer_list<uint8_t> bytes) {
    return code.size() >= bytes.size() &&
           std::equal(bytes.begin(), bytes.end(), code.begin(),
                      [](uint8_t a, std::byte b) { return std::byte{a} == b; });
  };
  const auto skip = [&](size_t n) {
    code = code.subspan(n);
    plt += n;
  };
  if (begins({0xf3, 0x0f, 0x1e, 0xfa})) skip(4);
  if (begins({0xf2})) skip(1);
  if (!begins({0xff, 0x25}) || code.size() < 6) return std::nullopt;
  const auto offset = static_cast<int32_t>(load<uint32_t>(code.subspan(2)));
  return image_.word(Address(plt + 6 + static_cast<uint64_t>(int64_t{offset})));
}

std::optional<uint64_t> CodeMap::call_target(uint64_t pc) const {
  if (image_.architecture == Architecture::kAArch64) {
    const auto word = instruction(pc - 4);
    if (!word || (*word & 0xfc000000) != 0x94000000) return std::nullopt;
    const auto offset = static_cast<int32_t>(*word << 6) >> 4;
    return pc - 4 + static_cast<uint64_t>(int64_t{offset});
  }
  const bool is_64 = image_.architecture == Architecture::kX86_64;
  if (!is_64 && image_.architecture != Architecture::kX86) return std::nullopt;
  const auto code = view(pc - 6, 6);
  if (code.size() < 6) return std::nullopt;
  const auto last = static_cast<int32_t>(load<uint32_t>(code.last(4)));
  const uint64_t there = pc + static_cast<uint64_t>(int64_t{last});
  if (is_64 && code[0] == std::byte{kGroup5} && code[1] == std::byte{0x15}) {
    return image_.word(Address(there));  // call *slot(%rip)
  }
  if (code[1] != std::byte{kCallNear}) return std::nullopt;
  if (!is_64) return there & 0xffffffff;
  if (const auto behind = jump_slot_target(there)) return behind;
  return there;
}

}  // namespace residue
