#include "symbolize/unwind/arm_exception.h"

#include <algorithm>

namespace residue {
namespace {

constexpr uint64_t kPairSize = 8;
constexpr uint32_t kCannotUnwind = 1;
constexpr uint32_t kInline = 0x80000000;
constexpr unsigned kSp = 13, kLr = 14, kPc = 15;
constexpr unsigned kMaxWords = 255;

std::optional<uint32_t> word_at(const Image& image, uint64_t a) {
  return image.value<uint32_t>(Address(a & 0xffffffff));
}

// A 31-bit offset from its own place.
std::optional<uint64_t> relative(const Image& image, uint64_t a) {
  const auto word = word_at(image, a);
  if (!word) return std::nullopt;
  const auto offset = static_cast<int32_t>(*word << 1) >> 1;
  return (a + static_cast<uint64_t>(int64_t{offset})) & 0xffffffff;
}

// The last pair whose function begins at or before `pc`.
std::optional<uint64_t> find_pair(const Image& image, AddressRange index, uint64_t pc) {
  uint64_t low = 0, high = index.size.value() / kPairSize;
  while (low < high) {
    const uint64_t middle = low + (high - low) / 2;
    const auto begin = relative(image, index.base.value() + middle * kPairSize);
    if (!begin) return std::nullopt;
    if (*begin <= pc) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  if (low == 0) return std::nullopt;
  return index.base.value() + (low - 1) * kPairSize;
}

void append(uint32_t word, unsigned bytes, std::vector<uint8_t>* out) {
  for (unsigned n = bytes; n-- > 0;) out->push_back(static_cast<uint8_t>(word >> (8 * n)));
}

// Personality routines 0 (three bytes in the word), 1 and 2 (two, and as many words as the third
// says). `rest`: where the words that follow lie.
std::optional<ArmUnwindCode> compact(const Image& image, uint32_t word, uint64_t rest) {
  ArmUnwindCode code;
  const uint32_t model = word >> 24 & 0xf;
  if (model > 2) return std::nullopt;
  if (model == 0) {
    append(word, 3, &code.bytes);
    return code;
  }
  append(word, 2, &code.bytes);
  for (uint32_t n = word >> 16 & 0xff; n > 0; --n, rest += 4) {
    const auto more = word_at(image, rest);
    if (!more) return std::nullopt;
    append(*more, 4, &code.bytes);
  }
  return code;
}

class ArmMachine {
 public:
  ArmMachine(const ArmUnwindCode& code, const FrameState& frame, ProcessMemory& memory)
      : bytes_(code.bytes), registers_(frame.registers), memory_(memory), sp_(frame.sp) {}

  // False if the code is damaged, refuses, or needs memory that is not there.
  bool run() {
    while (position_ < bytes_.size()) {
      const uint8_t op = bytes_[position_++];
      if (op == 0xb0) break;
      if (!step(op)) return false;
    }
    if (!has_pc_) {
      const auto link = registers_.get(kLr);
      if (!link) return false;
      registers_.set(kPc, *link);
    }
    registers_.set(kSp, sp_);
    return true;
  }
  const RegisterSet& registers() const { return registers_; }
  uint64_t sp() const { return sp_; }
  uint64_t missing() const { return missing_; }

 private:
  bool step(uint8_t op) {
    if (op < 0x40) return move(uint64_t{op & 0x3fU} * 4 + 4);
    if (op < 0x80) return move(0 - (uint64_t{op & 0x3fU} * 4 + 4));
    if (op < 0x90) return pop_mask(op);
    if (op < 0xa0) return set_sp(op & 0xf);
    if (op < 0xb0) {
      for (unsigned reg = 4; reg <= 4U + (op & 7); ++reg) {
        if (!pop(reg)) return false;
      }
      return (op & 8) == 0 || pop(kLr);
    }
    return op < 0xc0 ? step_b(op) : step_c(op);
  }

  bool step_b(uint8_t op) {
    switch (op) {
      case 0xb1: {
        const auto mask = next();
        if (!mask || *mask == 0 || *mask > 0xf) return false;
        for (unsigned reg = 0; reg < 4; ++reg) {
          if ((*mask >> reg & 1) != 0 && !pop(reg)) return false;
        }
        return true;
      }
      case 0xb2: {
        uint64_t value = 0;
        for (unsigned shift = 0;; shift += 7) {
          const auto byte = next();
          if (!byte || shift > 28) return false;
          value |= uint64_t{*byte & 0x7fU} << shift;
          if ((*byte & 0x80) == 0) break;
        }
        return move(0x204 + (value << 2));
      }
      case 0xb3: {  // FSTMX: a word more than the registers
        const auto operand = next();
        return operand && move((uint64_t{*operand & 0xfU} + 1) * 8 + 4);
      }
      case 0xb4:  // the return address' authentication code
        return move(4);
      case 0xb5:  // its modifier is the stack pointer
        return true;
      default:
        if (op < 0xb8) return false;
        return move((uint64_t{op & 7U} + 1) * 8 + 4);
    }
  }

  // Floating-point and iWMMXt registers: only their size matters.
  bool step_c(uint8_t op) {
    if (op <= 0xc5) return move((uint64_t{op & 7U} + 1) * 8);
    if (op == 0xc6 || op == 0xc8 || op == 0xc9) {
      const auto operand = next();
      return operand && move((uint64_t{*operand & 0xfU} + 1) * 8);
    }
    if (op == 0xc7) {
      const auto mask = next();
      if (!mask || *mask == 0 || *mask > 0xf) return false;
      return move(4 * static_cast<uint64_t>(__builtin_popcount(*mask)));
    }
    if (op >= 0xd0 && op <= 0xd7) return move((uint64_t{op & 7U} + 1) * 8);
    return false;
  }

  bool pop_mask(uint8_t op) {
    const auto low = next();
    if (!low) return false;
    const unsigned mask = (op & 0xfU) << 8 | *low;
    if (mask == 0) return false;  // "refuse to unwind"
    bool popped_sp = false;
    for (unsigned bit = 0; bit < 12; ++bit) {
      if ((mask >> bit & 1) == 0) continue;
      if (!pop(bit + 4)) return false;
      popped_sp = popped_sp || bit + 4 == kSp;
    }
    if (popped_sp) sp_ = registers_.get(kSp).value_or(sp_);
    return true;
  }

  bool set_sp(unsigned reg) {
    const auto value = registers_.get(reg);
    if (!value || reg == kSp || reg == kPc) return false;
    sp_ = *value;
    return true;
  }

  bool move(uint64_t bytes) {
    sp_ = (sp_ + bytes) & 0xffffffff;
    return true;
  }

  bool pop(unsigned reg) {
    const auto value = memory_.word(sp_, 4);
    if (!value) {
      missing_ = sp_;
      return false;
    }
    registers_.set(reg, *value);
    has_pc_ = has_pc_ || reg == kPc;
    return move(4);
  }

  std::optional<uint8_t> next() {
    if (position_ >= bytes_.size()) return std::nullopt;
    return bytes_[position_++];
  }

  const std::vector<uint8_t>& bytes_;
  size_t position_ = 0;
  RegisterSet registers_;
  ProcessMemory& memory_;
  uint64_t sp_;
  uint64_t missing_ = 0;
  bool has_pc_ = false;
};

}  // namespace

std::optional<ArmUnwindCode> arm_unwind_code(const Image& image, AddressRange index, uint64_t pc) {
  const auto pair = find_pair(image, index, pc);
  if (!pair) return std::nullopt;
  const auto content = word_at(image, *pair + 4);
  if (!content) return std::nullopt;
  if (*content == kCannotUnwind) return ArmUnwindCode{.cannot_unwind = true, .bytes = {}};
  if ((*content & kInline) != 0) return compact(image, *content, *pair + 8);
  const auto table = relative(image, *pair + 4);
  if (!table) return std::nullopt;
  const auto first = word_at(image, *table);
  if (!first) return std::nullopt;
  if ((*first & kInline) != 0) return compact(image, *first, *table + 4);
  // A personality routine of the language's. GCC's and clang's keep the code behind its address in
  // the form of routine 1, with the count in the top byte.
  const auto second = word_at(image, *table + 4);
  if (!second) return std::nullopt;
  ArmUnwindCode code;
  append(*second, 3, &code.bytes);
  const unsigned words = std::min(*second >> 24, kMaxWords);
  for (unsigned n = 0; n < words; ++n) {
    const auto more = word_at(image, *table + 8 + uint64_t{n} * 4);
    if (!more) return std::nullopt;
    append(*more, 4, &code.bytes);
  }
  return code;
}

Step step_by_arm_code(const ArmUnwindCode& unwind, const FrameState& frame,
                      const UnwindArchitecture& architecture, const CodeMap& code,
                      ProcessMemory& memory, FrameState* caller) {
  if (unwind.cannot_unwind) return outermost("its function says that it cannot be unwound");
  ArmMachine machine(unwind, frame, memory);
  if (!machine.run()) {
    return machine.missing() != 0 ? failed("stack memory is not in the dump", machine.missing())
                                  : failed("the exception table cannot be followed");
  }
  caller->registers = machine.registers();
  caller->sp = machine.sp();
  caller->pc = code.strip(machine.registers().get(architecture.pc).value_or(0));
  caller->registers.set(architecture.pc, caller->pc);
  caller->pc_is_exact = false;
  Step step;
  step.status = StepStatus::kCaller;
  step.cfa = machine.sp();
  step.trust = FrameTrust::kCfi;
  return step;
}

}  // namespace residue
