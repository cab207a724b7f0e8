// CfiRow: how to find the caller's registers at one instruction, as call frame instructions say
// (DWARF 5, 6.4).
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "formats/base/result.h"
#include "symbolize/dwarf/expression.h"
#include "symbolize/unwind/cfi_entry.h"
#include "symbolize/unwind/register_set.h"

namespace residue {

struct RegisterRule {
  enum class Kind : uint8_t {
    kUnspecified,    // the architecture's default
    kUndefined,      // not recoverable
    kSameValue,      // not changed
    kOffset,         // saved at CFA + offset
    kValOffset,      // is CFA + offset
    kRegister,       // is in the register `offset`
    kExpression,     // saved where the expression says
    kValExpression,  // is what the expression says
  };
  Kind kind = Kind::kUnspecified;
  int64_t offset = 0;
  std::span<const std::byte> expression;
};

struct CfaRule {
  enum class Kind : uint8_t { kNone, kRegister, kExpression };
  Kind kind = Kind::kNone;
  unsigned reg = 0;
  int64_t offset = 0;
  std::span<const std::byte> expression;
};

struct CfiRow {
  CfaRule cfa;
  // Registers that have a rule and a place in a RegisterSet, ascending.
  std::vector<std::pair<unsigned, RegisterRule>> rules;
  unsigned return_register = 0;
  bool is_signal_frame = false;
  bool return_address_is_signed = false;  // AArch64
  uint64_t begin = 0, end = 0;            // of the FDE
  ExpressionFormat format;
};

// The row at `pc`. REQUIRES: fde.covers(pc). Fails where an instruction up to there is damaged or
// unknown. The row's expressions are views into the FDE's bytes.
Result<CfiRow> cfi_row(const CfiSection& section, const Fde& fde, uint64_t pc,
                       Architecture architecture);

}  // namespace residue
