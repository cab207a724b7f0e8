#include "symbolize/unwind/cfi_row.h"

#include <array>

#include "symbolize/dwarf/leb128.h"

namespace residue {
namespace {

// DWARF 5, table 7.29, and the vendors' range: GCC's dwarf2.def, AADWARF64 (2025Q1) for 0x2b-0x2d.
enum Opcode : uint8_t {
  kAdvance = 0x40,  // in the two high bits, with an operand in the low ones
  kOffsetOf = 0x80,
  kRestoreOf = 0xc0,
  kNop = 0x00,
  kSetLocation = 0x01,
  kAdvance1 = 0x02,
  kAdvance2 = 0x03,
  kAdvance4 = 0x04,
  kOffsetExtended = 0x05,
  kRestoreExtended = 0x06,
  kUndefined = 0x07,
  kSameValue = 0x08,
  kRegister = 0x09,
  kRememberState = 0x0a,
  kRestoreState = 0x0b,
  kDefCfa = 0x0c,
  kDefCfaRegister = 0x0d,
  kDefCfaOffset = 0x0e,
  kDefCfaExpression = 0x0f,
  kExpression = 0x10,
  kOffsetExtendedSigned = 0x11,
  kDefCfaSigned = 0x12,
  kDefCfaOffsetSigned = 0x13,
  kValOffset = 0x14,
  kValOffsetSigned = 0x15,
  kValExpression = 0x16,
  kMipsAdvance8 = 0x1d,
  kAArch64SetRaState = 0x2b,
  kAArch64NegateRaStateWithPc = 0x2c,
  kWindowSave = 0x2d,  // AArch64: negate_ra_state
  kArgsSize = 0x2e,
  kNegativeOffsetExtended = 0x2f,
};

// Compilers nest two or three deep.
constexpr size_t kMaxRemembered = 64;

struct State {
  CfaRule cfa;
  std::array<RegisterRule, RegisterSet::kCount> rules;
  bool is_signed = false;
};

class Machine {
 public:
  Machine(const CfiSection& section, const Fde& fde, uint64_t pc, Architecture architecture)
      : section_(section),
        fde_(fde),
        pc_(pc),
        is_aarch64_(architecture == Architecture::kAArch64),
        location_(fde.begin) {}

  // The CIE's instructions first; what they leave is what DW_CFA_restore goes back to.
  Result<void> run() {
    ByteCursor common(fde_.cie.instructions, section_.order,
                      FileOffset(fde_.cie.instructions_address));
    RESIDUE_TRY(run(common));
    initial_ = state_;
    if (location_ > pc_) return {};
    remembered_.clear();
    ByteCursor own(fde_.instructions, section_.order, FileOffset(fde_.instructions_address));
    return run(own);
  }
  const State& state() const { return state_; }

 private:
  using Rule = RegisterRule::Kind;

  Result<void> run(ByteCursor& cursor) {
    while (cursor.remaining() > 0) {
      RESIDUE_ASSIGN(const uint8_t opcode, cursor.read<uint8_t>());
      const auto low = static_cast<unsigned>(opcode & 0x3f);
      switch (opcode & 0xc0) {
        case kAdvance:
          advance(low);
          break;
        case kOffsetOf: {
          RESIDUE_ASSIGN(const uint64_t offset, read_uleb128(cursor));
          set(low, Rule::kOffset, scaled(offset));
          break;
        }
        case kRestoreOf:
          restore(low);
          break;
        default:
          RESIDUE_TRY(is_location(opcode) ? move(opcode, cursor) : extended(opcode, cursor));
          break;
      }
      if (location_ > pc_) break;
    }
    return {};
  }

  static bool is_location(uint8_t opcode) {
    return (opcode >= kSetLocation && opcode <= kAdvance4) || opcode == kMipsAdvance8;
  }

  Result<void> move(uint8_t opcode, ByteCursor& cursor) {
    uint64_t delta = 0;
    switch (opcode) {
      case kSetLocation: {
        PointerBases bases = section_.bases;
        bases.width = fde_.cie.address_size;
        bases.function = fde_.begin;
        RESIDUE_ASSIGN(location_, read_encoded(cursor, fde_.cie.pointer_encoding, bases));
        return {};
      }
      case kAdvance1: {
        RESIDUE_ASSIGN(delta, cursor.read<uint8_t>());
        break;
      }
      case kAdvance2: {
        RESIDUE_ASSIGN(delta, cursor.read<uint16_t>());
        break;
      }
      case kAdvance4: {
        RESIDUE_ASSIGN(delta, cursor.read<uint32_t>());
        break;
      }
      default: {
        RESIDUE_ASSIGN(delta, cursor.read<uint64_t>());
        break;
      }
    }
    advance(delta);
    return {};
  }

  // A product that wraps would go back: any place behind the function ends the run as well.
  void advance(uint64_t delta) {
    uint64_t bytes = 0;
    if (__builtin_mul_overflow(delta, fde_.cie.code_alignment, &bytes) ||
        __builtin_add_overflow(location_, bytes, &location_)) {
      location_ = ~uint64_t{0};
    }
  }

  Result<void> extended(uint8_t opcode, ByteCursor& cursor) {
    switch (opcode) {
      case kNop:
        return {};
      case kDefCfa:
      case kDefCfaSigned:
      case kDefCfaRegister:
      case kDefCfaOffset:
      case kDefCfaOffsetSigned:
      case kDefCfaExpression:
        return define_cfa(opcode, cursor);
      case kRememberState:
        if (remembered_.size() >= kMaxRemembered) {
          return Error{ErrorCode::kCorrupt, "states are remembered too deep", cursor.offset()};
        }
        remembered_.push_back(state_);
        return {};
      case kRestoreState:
        if (remembered_.empty()) {
          return Error{ErrorCode::kCorrupt, "no state was remembered", cursor.offset()};
        }
        state_ = remembered_.back();
        remembered_.pop_back();
        return {};
      case kArgsSize: {
        RESIDUE_TRY(read_uleb128(cursor));
        return {};
      }
      case kAArch64SetRaState:
      case kAArch64NegateRaStateWithPc:
      case kWindowSave:
        return sign_return_address(opcode, cursor);
      default:
        return define_register(opcode, cursor);
    }
  }

  Result<void> sign_return_address(uint8_t opcode, ByteCursor& cursor) {
    // On SPARC, which is not supported, 0x2d saves a register window.
    if (!is_aarch64_) return unknown(opcode, cursor);
    if (opcode != kAArch64SetRaState) {
      state_.is_signed = !state_.is_signed;
      return {};
    }
    RESIDUE_ASSIGN(const uint64_t signing, read_uleb128(cursor));
    RESIDUE_TRY(read_sleb128(cursor));  // where it was signed
    state_.is_signed = signing != 0;
    return {};
  }

  Result<void> define_cfa(uint8_t opcode, ByteCursor& cursor) {
    CfaRule& cfa = state_.cfa;
    if (opcode == kDefCfaExpression) {
      RESIDUE_ASSIGN(const uint64_t size, read_uleb128(cursor));
      RESIDUE_ASSIGN(cfa.expression, cursor.take(size));
      cfa.kind = CfaRule::Kind::kExpression;
      return {};
    }
    if (opcode == kDefCfa || opcode == kDefCfaSigned || opcode == kDefCfaRegister) {
      RESIDUE_ASSIGN(const uint64_t reg, read_uleb128(cursor));
      if (reg >= RegisterSet::kCount) {
        return Error{ErrorCode::kUnsupported, "the CFA counts from register " + std::to_string(reg),
                     cursor.offset()};
      }
      cfa.reg = static_cast<unsigned>(reg);
      cfa.kind = CfaRule::Kind::kRegister;
    }
    if (opcode == kDefCfa || opcode == kDefCfaOffset) {
      RESIDUE_ASSIGN(const uint64_t offset, read_uleb128(cursor));
      cfa.offset = static_cast<int64_t>(offset);
    } else if (opcode != kDefCfaRegister) {
      RESIDUE_ASSIGN(const int64_t offset, read_sleb128(cursor));
      cfa.offset = scaled(static_cast<uint64_t>(offset));
    }
    return {};
  }

  Result<void> define_register(uint8_t opcode, ByteCursor& cursor) {
    const bool known = (opcode >= kOffsetExtended && opcode <= kRegister) ||
                       opcode == kExpression || opcode == kOffsetExtendedSigned ||
                       (opcode >= kValOffset && opcode <= kValExpression) ||
                       opcode == kNegativeOffsetExtended;
    if (!known) return unknown(opcode, cursor);
    RESIDUE_ASSIGN(const uint64_t reg, read_uleb128(cursor));
    switch (opcode) {
      case kRestoreExtended:
        restore(reg);
        return {};
      case kUndefined:
        set(reg, Rule::kUndefined, 0);
        return {};
      case kSameValue:
        set(reg, Rule::kSameValue, 0);
        return {};
      case kExpression:
      case kValExpression: {
        RESIDUE_ASSIGN(const uint64_t size, read_uleb128(cursor));
        RESIDUE_ASSIGN(const auto expression, cursor.take(size));
        set(reg, opcode == kExpression ? Rule::kExpression : Rule::kValExpression, 0, expression);
        return {};
      }
      case kOffsetExtendedSigned:
      case kValOffsetSigned: {
        RESIDUE_ASSIGN(const int64_t offset, read_sleb128(cursor));
        set(reg, opcode == kValOffsetSigned ? Rule::kValOffset : Rule::kOffset,
            scaled(static_cast<uint64_t>(offset)));
        return {};
      }
      default:
        break;
    }
    RESIDUE_ASSIGN(const uint64_t operand, read_uleb128(cursor));
    if (opcode == kRegister) {
      set(reg, Rule::kRegister, static_cast<int64_t>(operand));
    } else if (opcode == kNegativeOffsetExtended) {
      set(reg, Rule::kOffset, scaled(0 - operand));
    } else {
      set(reg, opcode == kValOffset ? Rule::kValOffset : Rule::kOffset, scaled(operand));
    }
    return {};
  }

  static Error unknown(uint8_t opcode, const ByteCursor& cursor) {
    return {ErrorCode::kUnsupported, "unknown call frame instruction " + hex(opcode),
            cursor.offset()};
  }

  int64_t scaled(uint64_t factored) const {
    return static_cast<int64_t>(factored * static_cast<uint64_t>(fde_.cie.data_alignment));
  }

  // Vector registers lie above kCount: no frame is found through them.
  void set(uint64_t reg, Rule kind, int64_t offset, std::span<const std::byte> expression = {}) {
    if (reg < RegisterSet::kCount) state_.rules[reg] = {kind, offset, expression};
  }
  void restore(uint64_t reg) {
    if (reg < RegisterSet::kCount) state_.rules[reg] = initial_.rules[reg];
  }

  const CfiSection& section_;
  const Fde& fde_;
  const uint64_t pc_;
  const bool is_aarch64_;
  uint64_t location_;
  State state_;
  State initial_;
  std::vector<State> remembered_;
};

}  // namespace

Result<CfiRow> cfi_row(const CfiSection& section, const Fde& fde, uint64_t pc,
                       Architecture architecture) {
  Machine machine(section, fde, pc, architecture);
  RESIDUE_TRY(machine.run());
  const State& state = machine.state();
  CfiRow row;
  row.cfa = state.cfa;
  for (unsigned reg = 0; reg < RegisterSet::kCount; ++reg) {
    if (state.rules[reg].kind != RegisterRule::Kind::kUnspecified) {
      row.rules.emplace_back(reg, state.rules[reg]);
    }
  }
  row.return_register = fde.cie.return_register;
  row.is_signal_frame = fde.cie.is_signal_frame;
  row.return_address_is_signed = state.is_signed;
  row.begin = fde.begin;
  row.end = fde.end;
  row.format = {section.order, fde.cie.address_size, fde.cie.offset_size, 5};
  return row;
}

}  // namespace residue
