// DWARF expressions: the stack machine behind CFI rules and variable locations.
//
// Evaluates DWARF 2-5 with the GNU extensions that GCC and clang emit. Nothing is assumed about the
// machine that runs this: values are 64-bit, cut to the address size of the dumped program. Work is
// bounded (operations, stack depth, nesting of calls); a context that evaluates again for an entry
// value bounds that nesting itself.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "formats/base/byte_cursor.h"
#include "formats/base/result.h"

namespace residue {

// A base type entry (DW_TAG_base_type), as typed operations need it.
struct BaseType {
  unsigned size = 0;     // bytes
  uint8_t encoding = 0;  // DW_ATE_*
};

// What an expression may ask of its surroundings. The default answers "not known", which ends an
// evaluation with kNotFound.
class ExpressionContext {
 public:
  virtual ~ExpressionContext() = default;
  virtual std::optional<uint64_t> reg(unsigned /*dwarf*/) const { return std::nullopt; }
  // Fills all of `out` from the process's memory, or returns false.
  virtual bool read(uint64_t /*address*/, std::span<std::byte> /*out*/) const { return false; }
  virtual std::optional<uint64_t> frame_base() const { return std::nullopt; }  // DW_OP_fbreg
  virtual std::optional<uint64_t> cfa() const { return std::nullopt; }  // DW_OP_call_frame_cfa
  // DW_OP_push_object_address.
  virtual std::optional<uint64_t> object_address() const { return std::nullopt; }
  // DW_OP_addrx and constx: entry of .debug_addr of the unit.
  virtual std::optional<uint64_t> indexed_address(uint64_t /*index*/) const { return std::nullopt; }
  // Link-time address → address in the process (DW_OP_addr, addrx).
  virtual uint64_t relocate(uint64_t address) const { return address; }
  // Address of the thread-local variable at this offset of the module's TLS block.
  virtual std::optional<uint64_t> tls(uint64_t /*offset*/) const { return std::nullopt; }
  // DW_OP_entry_value: what the expression was worth when the function was entered.
  virtual std::optional<uint64_t> entry_value(std::span<const std::byte> /*expression*/) const {
    return std::nullopt;
  }
  // DW_OP_GNU_parameter_ref: what the caller passed for the parameter whose entry is at this offset
  // of the unit.
  virtual std::optional<uint64_t> parameter(uint64_t /*die*/) const { return std::nullopt; }
  // DW_OP_GNU_variable_value: the value of the variable at this offset of .debug_info.
  virtual std::optional<uint64_t> variable(uint64_t /*die*/) const { return std::nullopt; }
  // The base type entry at this offset of the unit (typed operations).
  virtual std::optional<BaseType> base_type(uint64_t /*die*/) const { return std::nullopt; }
  // DW_OP_call2, call4 (an offset in the unit) and call_ref (`in_section`: in .debug_info): the
  // DW_AT_location of that entry; empty if it has none.
  virtual std::optional<std::span<const std::byte>> called(uint64_t /*die*/,
                                                           bool /*in_section*/) const {
    return std::nullopt;
  }
};

struct ExpressionFormat {
  ByteOrder order = ByteOrder::kLittle;
  unsigned address_size = 8;
  unsigned offset_size = 4;  // 8 in 64-bit DWARF
  unsigned version = 5;
};

// Where a variable, or a part of it, is.
struct LocationPiece {
  enum class Kind : uint8_t {
    kMemory,    // at the address `value`
    kRegister,  // in the register with DWARF number `value`
    kValue,     // has no place; is worth `value`
    kImplicit,  // has no place; its bytes are `bytes`
    // A pointer that was optimised out; what it pointed to is described by the entry at `value` in
    // .debug_info, `pointer_offset` bytes from its start.
    kImplicitPointer,
    kNone,  // optimised out
  };
  Kind kind = Kind::kNone;
  uint64_t value = 0;
  std::span<const std::byte> bytes;  // inside the expression
  uint64_t bit_size = 0;             // 0: the whole variable
  uint64_t bit_offset = 0;           // of DW_OP_bit_piece
  int64_t pointer_offset = 0;
};

// What bounds the work of one evaluation; more is kCorrupt.
inline constexpr unsigned kMaxExpressionOperations = 10'000;
inline constexpr unsigned kMaxExpressionStack = 256;
inline constexpr unsigned kMaxExpressionCalls = 4;  // nested DW_OP_call*

// The location that `expression` describes: one piece as a rule, more for DW_OP_piece. An empty
// expression is a variable without a place (kNone). `initial` is pushed first (the CFA, for CFI).
//
// Errors name the operation and its offset in the expression: kTruncated and kCorrupt for a wrong
// expression, kUnsupported for operations that cannot be done here (other address spaces),
// kNotFound for what the context does not know, kNotMapped for memory that it cannot read.
Result<std::vector<LocationPiece>> evaluate_location(std::span<const std::byte> expression,
                                                     const ExpressionFormat& format,
                                                     const ExpressionContext& context,
                                                     std::optional<uint64_t> initial = {});

// The value on top of the stack at the end (CFI: DW_CFA_expression and the like). An expression
// that ends as a register location (DW_OP_reg0) is worth what the register holds.
Result<uint64_t> evaluate_value(std::span<const std::byte> expression,
                                const ExpressionFormat& format, const ExpressionContext& context,
                                std::optional<uint64_t> initial = {});

}  // namespace residue
