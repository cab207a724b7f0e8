#include "symbolize/dwarf/expression_machine.h"

#include <algorithm>

#include "formats/base/text.h"
#include "symbolize/dwarf/leb128.h"
#include "symbolize/dwarf/operations.h"

namespace residue::dwarf {
namespace {

Error corrupt(std::string message) {
  return Error{ErrorCode::kCorrupt, std::move(message), std::nullopt};
}

// What may follow an operation that describes a place: nothing but the end of its piece.
bool may_follow_location(uint8_t operation) {
  return operation == kOpPiece || operation == kOpBitPiece || operation == kOpGnuUninit ||
         operation == kOpNop;
}

}  // namespace

Result<void> ExpressionMachine::run(Bytes expression) {
  ByteCursor code(expression, format_.order);
  while (code.remaining() != 0) {
    const size_t at = code.position();
    RESIDUE_ASSIGN(const uint8_t operation, code.read<uint8_t>());
    Result<void> done = step(operation, code);
    if (done) continue;
    Error error = std::move(done).error();
    error.offset.reset();  // counts from the start of the expression, which the caller places
    return std::move(error).in(operation_name(operation).append(" at ").append(hex(at)));
  }
  return {};
}

Result<void> ExpressionMachine::step(uint8_t operation, ByteCursor& code) {
  if (++operations_ > kMaxExpressionOperations) {
    return corrupt(std::string("more than ")
                       .append(std::to_string(kMaxExpressionOperations))
                       .append(" steps"));
  }
  if (current_ && !may_follow_location(operation)) {
    return corrupt("follows a complete location, where only DW_OP_piece may");
  }
  if (operation >= kOpLit0 && operation <= kOpLit31) return push(operation - kOpLit0);
  if (operation >= kOpReg0 && operation <= kOpReg31) return describe(operation, code);
  if (operation >= kOpBreg0 && operation <= kOpBreg31) return frame_and_registers(operation, code);
  if (operation >= kOpConst1u && operation <= kOpConsts) return constant(operation, code);
  if (operation >= kOpDup && operation <= kOpRot) return rearrange(operation, code);
  if (operation == kOpBra || operation == kOpSkip) return jump(operation, code);
  if (operation >= kOpAbs && operation <= kOpNe) return calculate(operation, code);
  switch (operation) {
    case kOpNop:
    case kOpGnuUninit:  // the variable is not initialised yet; its place is right
      return {};
    case kOpDeref:
    case kOpXderef:
    case kOpDerefSize:
    case kOpXderefSize:
    case kOpDerefType:
    case kOpGnuDerefType:
    case kOpXderefType:
      return load_memory(operation, code);
    case kOpRegx:
    case kOpImplicitValue:
    case kOpStackValue:
    case kOpImplicitPointer:
    case kOpGnuImplicitPointer:
      return describe(operation, code);
    case kOpPiece:
    case kOpBitPiece:
      return piece(operation, code);
    case kOpCall2:
    case kOpCall4:
    case kOpCallRef:
      return call(operation, code);
    case kOpFbreg:
    case kOpBregx:
    case kOpCallFrameCfa:
      return frame_and_registers(operation, code);
    case kOpConstType:
    case kOpGnuConstType:
    case kOpRegvalType:
    case kOpGnuRegvalType:
    case kOpConvert:
    case kOpGnuConvert:
    case kOpReinterpret:
    case kOpGnuReinterpret:
      return typed(operation, code);
    default:
      return surroundings(operation, code);
  }
}

Result<void> ExpressionMachine::push(uint64_t value) {
  return push_typed({generic(), generic().cut(value)});
}

Result<void> ExpressionMachine::push_typed(TypedValue value) {
  if (stack_.size() >= kMaxExpressionStack) {
    return corrupt(
        std::string("more than ").append(std::to_string(kMaxExpressionStack)).append(" values"));
  }
  stack_.push_back(value);
  return {};
}

Result<TypedValue> ExpressionMachine::pop() {
  if (stack_.empty()) return corrupt("the stack is empty");
  const TypedValue top = stack_.back();
  stack_.pop_back();
  return top;
}

Result<uint64_t> ExpressionMachine::pop_address() {
  RESIDUE_ASSIGN(const TypedValue top, pop());
  if (top.type.kind() == ValueType::Kind::kFloat) {
    return corrupt("a floating-point number is no address");
  }
  return convert(top, generic()).bits;
}

Result<void> ExpressionMachine::constant(uint8_t operation, ByteCursor& code) {
  switch (operation) {
    case kOpConstu: {
      RESIDUE_ASSIGN(const uint64_t value, read_uleb128(code));
      return push(value);
    }
    case kOpConsts: {
      RESIDUE_ASSIGN(const int64_t value, read_sleb128(code));
      return push(static_cast<uint64_t>(value));
    }
    default:
      break;
  }
  // const1u, const1s, const2u, …: a power of two of bytes, the odd numbers signed.
  const unsigned size = 1U << ((operation - kOpConst1u) / 2);
  RESIDUE_ASSIGN(const Bytes bytes, code.take(size));
  const ValueType type = ValueType::generic(size);
  const bool is_signed = (operation - kOpConst1u) % 2 != 0;
  const uint64_t value = number(bytes);
  return push(is_signed ? static_cast<uint64_t>(type.as_signed(value)) : value);
}

Result<void> ExpressionMachine::rearrange(uint8_t operation, ByteCursor& code) {
  size_t depth = 0;  // of the deepest entry that is used
  if (operation == kOpPick) {
    RESIDUE_ASSIGN(depth, code.read<uint8_t>());
  } else if (operation == kOpOver || operation == kOpSwap) {
    depth = 1;
  } else if (operation == kOpRot) {
    depth = 2;
  }
  if (depth >= stack_.size()) {
    return corrupt(
        std::string("the stack has only ").append(std::to_string(stack_.size())).append(" values"));
  }
  const auto deepest = stack_.end() - static_cast<ptrdiff_t>(depth) - 1;
  switch (operation) {
    case kOpDrop:
      stack_.pop_back();
      return {};
    case kOpSwap:
    case kOpRot:
      std::rotate(deepest, stack_.end() - 1, stack_.end());
      return {};
    default:
      return push_typed(TypedValue(*deepest));
  }
}

Result<void> ExpressionMachine::calculate(uint8_t operation, ByteCursor& code) {
  if (operation == kOpPlusUconst) {
    RESIDUE_ASSIGN(const uint64_t addend, read_uleb128(code));
    RESIDUE_ASSIGN(const TypedValue a, pop());
    RESIDUE_ASSIGN(const TypedValue sum,
                   apply(kOpPlus, a, {a.type, a.type.cut(addend)}, format_.address_size));
    if (a.type.kind() == ValueType::Kind::kFloat) return corrupt("adds to a floating-point number");
    return push_typed(sum);
  }
  RESIDUE_ASSIGN(const TypedValue top, pop());
  if (operation == kOpAbs || operation == kOpNeg || operation == kOpNot) {
    RESIDUE_ASSIGN(const TypedValue result, apply(operation, top));
    return push_typed(result);
  }
  RESIDUE_ASSIGN(const TypedValue second, pop());
  RESIDUE_ASSIGN(const TypedValue result, apply(operation, second, top, format_.address_size));
  return push_typed(result);
}

Result<void> ExpressionMachine::jump(uint8_t operation, ByteCursor& code) {
  RESIDUE_ASSIGN(const uint16_t distance, code.read<uint16_t>());
  if (operation == kOpBra) {
    RESIDUE_ASSIGN(const TypedValue condition, pop());
    if (condition.type.kind() == ValueType::Kind::kFloat) {
      return corrupt("a floating-point number is no condition");
    }
    if (condition.bits == 0) return {};
  }
  const auto target = static_cast<int64_t>(code.position()) + static_cast<int16_t>(distance);
  if (target < 0 || target > static_cast<int64_t>(code.position() + code.remaining())) {
    return corrupt("jumps out of the expression");
  }
  return code.seek(static_cast<uint64_t>(target));
}

Result<void> ExpressionMachine::call(uint8_t operation, ByteCursor& code) {
  uint64_t die = 0;
  if (operation == kOpCall2) {
    RESIDUE_ASSIGN(die, code.read<uint16_t>());
  } else if (operation == kOpCall4) {
    RESIDUE_ASSIGN(die, code.read<uint32_t>());
  } else {
    RESIDUE_ASSIGN(die, section_offset(code));
  }
  if (depth_ >= kMaxExpressionCalls) return corrupt("calls are nested too deeply");
  const auto expression = context_.called(die, operation == kOpCallRef);
  if (!expression) {
    return Error{ErrorCode::kNotFound,
                 std::string("the entry at ").append(hex(die)).append(" is not known"),
                 std::nullopt};
  }
  ++depth_;
  RESIDUE_TRY(run(*expression));
  --depth_;
  return {};
}

LocationPiece ExpressionMachine::top_as_memory() const {
  LocationPiece memory;
  memory.kind = LocationPiece::Kind::kMemory;
  memory.value = convert(stack_.back(), generic()).bits;
  return memory;
}

Result<std::vector<LocationPiece>> ExpressionMachine::location() && {
  if (in_pieces_) {
    if (current_) return corrupt("the last place is not part of a piece");
    return std::move(pieces_);
  }
  if (current_) return std::vector<LocationPiece>{*current_};
  if (stack_.empty()) return corrupt("the expression leaves nothing on the stack");
  if (stack_.back().type.kind() == ValueType::Kind::kFloat) {
    return corrupt("a floating-point number is no address");
  }
  return std::vector<LocationPiece>{top_as_memory()};
}

Result<uint64_t> ExpressionMachine::value() const {
  using Kind = LocationPiece::Kind;
  if (in_pieces_) return corrupt("the value is in pieces");
  if (!current_) {
    if (stack_.empty()) return corrupt("the expression leaves nothing on the stack");
    return stack_.back().bits;
  }
  if (current_->kind == Kind::kValue) return current_->value;
  if (current_->kind == Kind::kImplicit && current_->bytes.size() <= 8) {
    return number(current_->bytes);
  }
  if (current_->kind == Kind::kRegister && current_->value <= UINT32_MAX) {
    if (const auto held = context_.reg(static_cast<unsigned>(current_->value))) return *held;
    return Error{
        ErrorCode::kNotFound,
        std::string("register ").append(std::to_string(current_->value)).append(" is not known"),
        std::nullopt};
  }
  return Error{ErrorCode::kUnsupported, "the value is not a number", std::nullopt};
}

}  // namespace residue::dwarf
