// The operations of the expression machine that look at registers, memory, types and the rest of
// what surrounds an expression, and those that describe a place.
#include <array>

#include "formats/base/text.h"
#include "symbolize/dwarf/expression_machine.h"
#include "symbolize/dwarf/leb128.h"
#include "symbolize/dwarf/operations.h"

namespace residue::dwarf {
namespace {

Error corrupt(std::string message) {
  return Error{ErrorCode::kCorrupt, std::move(message), std::nullopt};
}

Error unsupported(std::string message) {
  return Error{ErrorCode::kUnsupported, std::move(message), std::nullopt};
}

Error not_known(std::string what) {
  return Error{ErrorCode::kNotFound, std::move(what).append(" is not known"), std::nullopt};
}

// Registers are numbered far below this on every machine; what is above was never written by a
// compiler.
constexpr uint64_t kMaxRegister = 1 << 20;

Result<unsigned> register_number(uint64_t number) {
  if (number > kMaxRegister) {
    return corrupt(std::string("register ").append(std::to_string(number)).append(" cannot be"));
  }
  return static_cast<unsigned>(number);
}

}  // namespace

uint64_t ExpressionMachine::number(Bytes bytes) const {
  uint64_t value = 0;
  for (size_t i = 0; i < bytes.size(); ++i) {
    const size_t at = format_.order == ByteOrder::kBig ? i : bytes.size() - 1 - i;
    value = value << 8 | std::to_integer<uint64_t>(bytes[at]);
  }
  return value;
}

Result<uint64_t> ExpressionMachine::load_number(uint64_t address, unsigned size) const {
  std::array<std::byte, 8> buffer{};
  const auto bytes = std::span(buffer).first(size);
  if (!context_.read(address, bytes)) {
    return Error{ErrorCode::kNotMapped,
                 std::string("memory at ").append(hex(address)).append(" cannot be read"),
                 std::nullopt};
  }
  return number(bytes);
}

Result<uint64_t> ExpressionMachine::section_offset(ByteCursor& code) const {
  const unsigned width = format_.version == 2 ? format_.address_size : format_.offset_size;
  RESIDUE_ASSIGN(const Bytes bytes, code.take(width == 8 ? 8 : 4));
  return number(bytes);
}

Result<uint64_t> ExpressionMachine::address_operand(ByteCursor& code) const {
  RESIDUE_ASSIGN(const Bytes bytes, code.take(format_.address_size));
  return number(bytes);
}

Result<void> ExpressionMachine::push_known(std::optional<uint64_t> value, const char* what) {
  if (!value) return not_known(what);
  return push(*value);
}

Result<void> ExpressionMachine::push_register(uint64_t wide_number, int64_t offset) {
  RESIDUE_ASSIGN(const unsigned dwarf, register_number(wide_number));
  const auto value = context_.reg(dwarf);
  if (!value) return not_known(std::string("register ").append(std::to_string(dwarf)));
  return push(*value + static_cast<uint64_t>(offset));
}

Result<void> ExpressionMachine::frame_and_registers(uint8_t operation, ByteCursor& code) {
  if (operation == kOpCallFrameCfa) return push_known(context_.cfa(), "the call frame's address");
  uint64_t dwarf = 0;
  if (operation == kOpBregx) {
    RESIDUE_ASSIGN(dwarf, read_uleb128(code));
  } else if (operation != kOpFbreg) {
    dwarf = operation - kOpBreg0;
  }
  RESIDUE_ASSIGN(const int64_t offset, read_sleb128(code));
  if (operation != kOpFbreg) return push_register(dwarf, offset);
  const auto base = context_.frame_base();
  if (!base) return not_known("the frame's base");
  return push(*base + static_cast<uint64_t>(offset));
}

Result<void> ExpressionMachine::load_memory(uint8_t operation, ByteCursor& code) {
  unsigned size = format_.address_size;
  if (operation != kOpDeref && operation != kOpXderef) {
    RESIDUE_ASSIGN(size, code.read<uint8_t>());
  }
  ValueType type = generic();
  if (operation == kOpDerefType || operation == kOpGnuDerefType || operation == kOpXderefType) {
    RESIDUE_ASSIGN(const uint64_t die, read_uleb128(code));
    RESIDUE_ASSIGN(type, type_at(die));
  }
  if (operation == kOpXderef || operation == kOpXderefSize || operation == kOpXderefType) {
    return unsupported("a second address space");
  }
  // DW_OP_deref_size may read less than an address; a value with a type is read whole.
  const bool is_typed = type.kind() != ValueType::Kind::kGeneric;
  if (size == 0 || size > type.size() || (is_typed && size != type.size())) {
    return corrupt(std::to_string(size)
                       .append(" bytes cannot be a value of ")
                       .append(std::to_string(type.size())));
  }
  RESIDUE_ASSIGN(const uint64_t address, pop_address());
  RESIDUE_ASSIGN(const uint64_t value, load_number(address, size));
  return push_typed({type, value});
}

Result<void> ExpressionMachine::describe(uint8_t operation, ByteCursor& code) {
  using Kind = LocationPiece::Kind;
  LocationPiece place;
  switch (operation) {
    case kOpStackValue: {
      RESIDUE_ASSIGN(const TypedValue top, pop());
      place.kind = Kind::kValue;
      place.value = top.bits;
      break;
    }
    case kOpImplicitValue: {
      RESIDUE_ASSIGN(const uint64_t size, read_uleb128(code));
      place.kind = Kind::kImplicit;
      RESIDUE_ASSIGN(place.bytes, code.take(size));
      break;
    }
    case kOpImplicitPointer:
    case kOpGnuImplicitPointer: {
      place.kind = Kind::kImplicitPointer;
      RESIDUE_ASSIGN(place.value, section_offset(code));
      RESIDUE_ASSIGN(place.pointer_offset, read_sleb128(code));
      break;
    }
    default: {
      uint64_t dwarf = operation - kOpReg0;
      if (operation == kOpRegx) {
        RESIDUE_ASSIGN(dwarf, read_uleb128(code));
      }
      place.kind = Kind::kRegister;
      RESIDUE_ASSIGN(place.value, register_number(dwarf));
      break;
    }
  }
  current_ = place;
  return {};
}

Result<void> ExpressionMachine::piece(uint8_t operation, ByteCursor& code) {
  RESIDUE_ASSIGN(uint64_t bits, read_uleb128(code));
  uint64_t bit_offset = 0;
  if (operation == kOpBitPiece) {
    RESIDUE_ASSIGN(bit_offset, read_uleb128(code));
  } else {
    if (bits > UINT64_MAX / 8) return corrupt("the piece is larger than memory");
    bits *= 8;
  }
  in_pieces_ = true;
  LocationPiece place;  // of nothing, a piece that was optimised out
  if (current_) {
    place = *current_;
    current_.reset();
  } else if (!stack_.empty()) {
    if (stack_.back().type.kind() == ValueType::Kind::kFloat) {
      return corrupt("a floating-point number is no address");
    }
    place = top_as_memory();
    stack_.pop_back();
  }
  place.bit_size = bits;
  place.bit_offset = bit_offset;
  if (bits != 0) pieces_.push_back(place);
  return {};
}

// DW_OP_addr, the indexed forms, and what only the context knows.
Result<void> ExpressionMachine::surroundings(uint8_t operation, ByteCursor& code) {
  switch (operation) {
    case kOpAddr: {
      RESIDUE_ASSIGN(const uint64_t address, address_operand(code));
      return push(context_.relocate(address));
    }
    case kOpAddrx:
    case kOpGnuAddrIndex:
    case kOpConstx:
    case kOpGnuConstIndex: {
      RESIDUE_ASSIGN(const uint64_t index, read_uleb128(code));
      const auto entry = context_.indexed_address(index);
      if (!entry) return not_known(std::string("address ").append(std::to_string(index)));
      const bool is_address = operation == kOpAddrx || operation == kOpGnuAddrIndex;
      return push(is_address ? context_.relocate(*entry) : *entry);
    }
    case kOpFormTlsAddress:
    case kOpGnuPushTlsAddress: {
      RESIDUE_ASSIGN(const uint64_t offset, pop_address());
      return push_known(context_.tls(offset), "the place of thread-local variables");
    }
    case kOpPushObjectAddress:
      return push_known(context_.object_address(), "the object's address");
    case kOpEntryValue:
    case kOpGnuEntryValue: {
      RESIDUE_ASSIGN(const uint64_t size, read_uleb128(code));
      RESIDUE_ASSIGN(const Bytes expression, code.take(size));
      return entry_value(expression);
    }
    case kOpGnuParameterRef: {
      RESIDUE_ASSIGN(const uint32_t die, code.read<uint32_t>());
      return push_known(context_.parameter(die), "what the caller passed");
    }
    case kOpGnuVariableValue: {
      RESIDUE_ASSIGN(const uint64_t die, section_offset(code));
      return push_known(context_.variable(die), "the other variable's value");
    }
    case kOpGnuEncodedAddr:
      return encoded_address(code);
    default:
      return unsupported("an operation that is not known");
  }
}

// GCC also asks for "what that register held, as a double", which gives the value its type.
Result<void> ExpressionMachine::entry_value(Bytes expression) {
  const auto value = context_.entry_value(expression);
  if (!value) return not_known("what it was at the function's entry");
  ByteCursor inner(expression, format_.order);
  const uint8_t operation = inner.read<uint8_t>().value_or(0);
  if (operation != kOpRegvalType && operation != kOpGnuRegvalType) return push(*value);
  RESIDUE_TRY(read_uleb128(inner));
  RESIDUE_ASSIGN(const uint64_t die, read_uleb128(inner));
  RESIDUE_ASSIGN(const ValueType type, type_at(die));
  return push_typed({type, type.cut(*value)});
}

// A pointer as in exception tables (DW_EH_PE_*): only absolute ones have a meaning here.
Result<void> ExpressionMachine::encoded_address(ByteCursor& code) {
  RESIDUE_ASSIGN(const uint8_t encoding, code.read<uint8_t>());
  if ((encoding & 0xf0) != 0) return unsupported("a relative encoding of an address");
  const auto fixed = [&](unsigned size, bool is_signed) -> Result<uint64_t> {
    RESIDUE_ASSIGN(const Bytes bytes, code.take(size));
    const uint64_t value = number(bytes);
    if (!is_signed) return value;
    return static_cast<uint64_t>(ValueType::generic(size).as_signed(value));
  };
  Result<uint64_t> address = uint64_t{0};
  switch (encoding) {
    case 0x00:  // absptr
      address = address_operand(code);
      break;
    case 0x01:
      address = read_uleb128(code);
      break;
    case 0x09: {
      RESIDUE_ASSIGN(const int64_t value, read_sleb128(code));
      address = static_cast<uint64_t>(value);
      break;
    }
    case 0x02:
    case 0x03:
    case 0x04:
      address = fixed(1U << (encoding - 1), false);
      break;
    case 0x0a:
    case 0x0b:
    case 0x0c:
      address = fixed(1U << (encoding - 9), true);
      break;
    default:
      return corrupt(std::string("the encoding ").append(hex(encoding)).append(" of an address"));
  }
  if (!address) return std::move(address).error();
  return push(context_.relocate(*address));
}

Result<ValueType> ExpressionMachine::type_at(uint64_t die) const {
  if (die == 0) return generic();
  const auto base = context_.base_type(die);
  if (!base) return not_known(std::string("the base type at ").append(hex(die)));
  return ValueType::of(*base);
}

Result<void> ExpressionMachine::typed(uint8_t operation, ByteCursor& code) {
  uint64_t dwarf = 0;
  const bool from_register = operation == kOpRegvalType || operation == kOpGnuRegvalType;
  if (from_register) {
    RESIDUE_ASSIGN(dwarf, read_uleb128(code));
  }
  RESIDUE_ASSIGN(const uint64_t die, read_uleb128(code));
  if (operation == kOpConstType || operation == kOpGnuConstType) {
    RESIDUE_ASSIGN(const uint8_t size, code.read<uint8_t>());
    RESIDUE_ASSIGN(const Bytes bytes, code.take(size));
    RESIDUE_ASSIGN(const ValueType type, type_at(die));
    if (size != type.size()) return corrupt("the constant is not as wide as its type");
    return push_typed({type, number(bytes)});
  }
  RESIDUE_ASSIGN(const ValueType type, type_at(die));
  if (from_register) {
    RESIDUE_ASSIGN(const unsigned reg, register_number(dwarf));
    const auto value = context_.reg(reg);
    if (!value) return not_known(std::string("register ").append(std::to_string(reg)));
    return push_typed({type, type.cut(*value)});
  }
  RESIDUE_ASSIGN(const TypedValue value, pop());
  if (operation == kOpConvert || operation == kOpGnuConvert)
    return push_typed(convert(value, type));
  if (value.type.size() != type.size()) return corrupt("the types differ in size");
  return push_typed({type, value.bits});
}

}  // namespace residue::dwarf
