// The machine that runs a DWARF expression. Private to symbolize/dwarf; see expression.h.
//
// A location is built beside the stack: an operation such as DW_OP_reg0 or DW_OP_stack_value says
// what the current piece is, DW_OP_piece closes it. Without such an operation the top of the stack
// is the address of memory.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "symbolize/dwarf/expression.h"
#include "symbolize/dwarf/typed_value.h"

namespace residue::dwarf {

class ExpressionMachine {
 public:
  // REQUIRES: both outlive this.
  ExpressionMachine(const ExpressionFormat& format, const ExpressionContext& context)
      : format_(format), context_(context) {}

  Result<void> push(uint64_t value);
  // Runs all of `expression`. Pieces are as long as it lives.
  Result<void> run(std::span<const std::byte> expression);

  Result<std::vector<LocationPiece>> location() &&;
  Result<uint64_t> value() const;

 private:
  using Bytes = std::span<const std::byte>;

  // The groups of operations; each is asked only for its own.
  Result<void> step(uint8_t operation, ByteCursor& code);
  Result<void> constant(uint8_t operation, ByteCursor& code);
  Result<void> rearrange(uint8_t operation, ByteCursor& code);
  Result<void> calculate(uint8_t operation, ByteCursor& code);
  Result<void> jump(uint8_t operation, ByteCursor& code);
  Result<void> frame_and_registers(uint8_t operation, ByteCursor& code);
  Result<void> load_memory(uint8_t operation, ByteCursor& code);
  Result<void> describe(uint8_t operation, ByteCursor& code);
  Result<void> piece(uint8_t operation, ByteCursor& code);
  Result<void> call(uint8_t operation, ByteCursor& code);
  Result<void> surroundings(uint8_t operation, ByteCursor& code);
  Result<void> typed(uint8_t operation, ByteCursor& code);
  Result<void> entry_value(Bytes expression);
  Result<void> encoded_address(ByteCursor& code);

  Result<void> push_typed(TypedValue value);
  Result<void> push_known(std::optional<uint64_t> value, const char* what);
  Result<void> push_register(uint64_t number, int64_t offset);
  Result<TypedValue> pop();
  Result<uint64_t> pop_address();
  Result<ValueType> type_at(uint64_t die) const;
  Result<uint64_t> load_number(uint64_t address, unsigned size) const;
  uint64_t number(Bytes bytes) const;
  // A reference to an entry of .debug_info: as wide as an address in DWARF 2.
  Result<uint64_t> section_offset(ByteCursor& code) const;
  Result<uint64_t> address_operand(ByteCursor& code) const;
  ValueType generic() const { return ValueType::generic(format_.address_size); }
  LocationPiece top_as_memory() const;

  const ExpressionFormat& format_;
  const ExpressionContext& context_;
  std::vector<TypedValue> stack_;
  std::vector<LocationPiece> pieces_;
  std::optional<LocationPiece> current_;  // set by a location operation since the last piece
  bool in_pieces_ = false;                // a piece was seen
  unsigned operations_ = 0;
  unsigned depth_ = 0;
};

}  // namespace residue::dwarf
