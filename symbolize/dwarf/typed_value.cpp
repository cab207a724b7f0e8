#include "symbolize/dwarf/typed_value.h"

#include <bit>
#include <cmath>
#include <limits>

#include "symbolize/dwarf/operations.h"

namespace residue::dwarf {
namespace {

// DW_ATE_*: how a base type's bits are read (DWARF 5, 7.8).
enum Encoding : uint8_t {
  kAteComplexFloat = 0x03,
  kAteFloat = 0x04,
  kAteSigned = 0x05,
  kAteSignedChar = 0x06,
  kAteImaginaryFloat = 0x09,
  kAtePackedDecimal = 0x0a,
  kAteNumericString = 0x0b,
  kAteEdited = 0x0c,
  kAteSignedFixed = 0x0d,
  kAteUnsignedFixed = 0x0e,
  kAteDecimalFloat = 0x0f,
};

bool is_number(uint8_t encoding) {
  switch (encoding) {
    case 0:
    case kAteComplexFloat:
    case kAteImaginaryFloat:
    case kAtePackedDecimal:
    case kAteNumericString:
    case kAteEdited:
    case kAteSignedFixed:
    case kAteUnsignedFixed:
    case kAteDecimalFloat:
      return false;
    default:  // address, boolean, unsigned, characters of every kind
      return true;
  }
}

uint64_t sign_bit(ValueType type) { return uint64_t{1} << (8 * type.size() - 1); }

Error no_such_operator(uint8_t operation) {
  return Error{ErrorCode::kCorrupt,
               operation_name(operation).append(" has no meaning for floating-point numbers"),
               std::nullopt};
}

Result<TypedValue> apply_float(uint8_t operation, const TypedValue& a, const TypedValue& b,
                               ValueType truth) {
  const double x = a.type.as_double(a.bits);
  const double y = b.type.as_double(b.bits);
  const auto number = [&](double value) { return TypedValue{a.type, a.type.from_double(value)}; };
  const auto boolean = [&](bool value) { return TypedValue{truth, value ? 1U : 0U}; };
  switch (operation) {
    case kOpPlus:
      return number(x + y);
    case kOpMinus:
      return number(x - y);
    case kOpMul:
      return number(x * y);
    case kOpDiv:
      if (y == 0) return Error{ErrorCode::kCorrupt, "division by zero", std::nullopt};
      return number(x / y);
    case kOpEq:
      return boolean(x == y);
    case kOpNe:
      return boolean(x != y);
    case kOpLt:
      return boolean(x < y);
    case kOpLe:
      return boolean(x <= y);
    case kOpGt:
      return boolean(x > y);
    case kOpGe:
      return boolean(x >= y);
    default:
      return no_such_operator(operation);
  }
}

// Divisions of integers. Generic values: DW_OP_div is signed and DW_OP_mod is not, by DWARF 2's
// words and as every producer and consumer has it.
Result<uint64_t> divide(uint8_t operation, const TypedValue& a, const TypedValue& b) {
  if (b.bits == 0) return Error{ErrorCode::kCorrupt, "division by zero", std::nullopt};
  const auto kind = a.type.kind();
  const bool is_unsigned = kind == ValueType::Kind::kUnsigned ||
                           (kind == ValueType::Kind::kGeneric && operation == kOpMod);
  if (is_unsigned) return operation == kOpDiv ? a.bits / b.bits : a.bits % b.bits;
  const int64_t x = a.type.as_signed(a.bits);
  const int64_t y = a.type.as_signed(b.bits);
  // The one quotient that does not fit wraps around.
  if (y == -1) return operation == kOpDiv ? uint64_t{0} - a.bits : uint64_t{0};
  return static_cast<uint64_t>(operation == kOpDiv ? x / y : x % y);
}

// Shifts: by the width or more, nothing of the value is left but its sign. DW_OP_shr shifts zeros
// in and DW_OP_shra the sign, whatever the type.
uint64_t shift(uint8_t operation, const TypedValue& a, uint64_t count) {
  const unsigned width = 8 * a.type.size();
  if (operation == kOpShl) return count >= width ? 0 : a.bits << count;
  if (operation == kOpShr) return count >= width ? 0 : a.bits >> count;
  const ValueType wide = ValueType::generic(a.type.size());
  return static_cast<uint64_t>(wide.as_signed(a.bits) >> (count >= width ? 63 : count));
}

bool compare(uint8_t operation, const TypedValue& a, const TypedValue& b) {
  const bool is_unsigned = a.type.kind() == ValueType::Kind::kUnsigned;
  const bool less =
      is_unsigned ? a.bits < b.bits : a.type.as_signed(a.bits) < a.type.as_signed(b.bits);
  const bool equal = a.bits == b.bits;
  switch (operation) {
    case kOpEq:
      return equal;
    case kOpNe:
      return !equal;
    case kOpLt:
      return less;
    case kOpLe:
      return less || equal;
    case kOpGt:
      return !less && !equal;
    default:  // DW_OP_ge
      return !less;
  }
}

Result<uint64_t> calculate(uint8_t operation, const TypedValue& a, const TypedValue& b) {
  switch (operation) {
    case kOpAnd:
      return a.bits & b.bits;
    case kOpOr:
      return a.bits | b.bits;
    case kOpXor:
      return a.bits ^ b.bits;
    case kOpPlus:
      return a.bits + b.bits;
    case kOpMinus:
      return a.bits - b.bits;
    case kOpMul:
      return a.bits * b.bits;
    case kOpDiv:
    case kOpMod:
      return divide(operation, a, b);
    case kOpShl:
    case kOpShr:
    case kOpShra:
      return shift(operation, a, b.bits);
    default:
      return Error{ErrorCode::kInternal, "not an operation on two values", std::nullopt};
  }
}

bool is_comparison(uint8_t operation) {
  return (operation >= kOpEq && operation <= kOpLt) || operation == kOpNe;
}

bool is_shift(uint8_t operation) { return operation >= kOpShl && operation <= kOpShra; }

// C leaves a conversion out of range undefined; here it saturates.
uint64_t integer_of(double value) {
  if (std::isnan(value)) return 0;
  constexpr double kTwo63 = 9223372036854775808.0;
  if (value < 0) {
    if (value <= -kTwo63) return uint64_t{1} << 63;
    return static_cast<uint64_t>(static_cast<int64_t>(value));
  }
  if (value >= 2 * kTwo63) return std::numeric_limits<uint64_t>::max();
  return static_cast<uint64_t>(value);
}

}  // namespace

Result<ValueType> ValueType::of(const BaseType& base) {
  if (!is_number(base.encoding) || base.size == 0 || base.size > 8 ||
      (base.encoding == kAteFloat && base.size != 4 && base.size != 8)) {
    return Error{ErrorCode::kUnsupported,
                 std::string("a base type of ")
                     .append(std::to_string(base.size))
                     .append(" bytes and encoding ")
                     .append(std::to_string(base.encoding)),
                 std::nullopt};
  }
  switch (base.encoding) {
    case kAteFloat:
      return ValueType(Kind::kFloat, base.size);
    case kAteSigned:
    case kAteSignedChar:
      return ValueType(Kind::kSigned, base.size);
    default:
      return ValueType(Kind::kUnsigned, base.size);
  }
}

uint64_t ValueType::cut(uint64_t bits) const {
  return size_ >= 8 ? bits : bits & ((uint64_t{1} << (8 * size_)) - 1);
}

int64_t ValueType::as_signed(uint64_t bits) const {
  const uint64_t sign = sign_bit(*this);
  return static_cast<int64_t>((cut(bits) ^ sign) - sign);
}

double ValueType::as_double(uint64_t bits) const {
  if (size_ == 4) return double{std::bit_cast<float>(static_cast<uint32_t>(bits))};
  return std::bit_cast<double>(bits);
}

uint64_t ValueType::from_double(double value) const {
  if (size_ == 4) return std::bit_cast<uint32_t>(static_cast<float>(value));
  return std::bit_cast<uint64_t>(value);
}

Result<TypedValue> apply(uint8_t operation, const TypedValue& a) {
  if (a.type.kind() == ValueType::Kind::kFloat) {
    if (operation == kOpNot) return no_such_operator(operation);
    const uint64_t sign = sign_bit(a.type);
    return TypedValue{a.type, operation == kOpNeg ? a.bits ^ sign : a.bits & ~sign};
  }
  uint64_t bits = a.bits;
  if (operation == kOpNot) {
    bits = ~bits;
  } else if (operation == kOpNeg ||
             (a.type.kind() != ValueType::Kind::kUnsigned && a.type.as_signed(bits) < 0)) {
    bits = uint64_t{0} - bits;
  }
  return TypedValue{a.type, a.type.cut(bits)};
}

Result<TypedValue> apply(uint8_t operation, const TypedValue& a, const TypedValue& b,
                         unsigned address_size) {
  // The count of a shift may have any integral type.
  const bool alike =
      is_shift(operation) ? b.type.kind() != ValueType::Kind::kFloat : a.type == b.type;
  if (!alike) {
    return Error{ErrorCode::kCorrupt, "the two operands have different types", std::nullopt};
  }
  const ValueType truth = ValueType::generic(address_size);
  if (a.type.kind() == ValueType::Kind::kFloat) return apply_float(operation, a, b, truth);
  if (is_comparison(operation)) return TypedValue{truth, compare(operation, a, b) ? 1U : 0U};
  RESIDUE_ASSIGN(const uint64_t bits, calculate(operation, a, b));
  return TypedValue{a.type, a.type.cut(bits)};
}

TypedValue convert(const TypedValue& value, ValueType to) {
  using Kind = ValueType::Kind;
  const ValueType from = value.type;
  if (from.kind() == Kind::kFloat) {
    const double number = from.as_double(value.bits);
    if (to.kind() == Kind::kFloat) return {to, to.from_double(number)};
    return {to, to.cut(integer_of(number))};
  }
  // Generic values have no particular sign; signed is what gdb takes them for.
  const bool is_signed = from.kind() != Kind::kUnsigned;
  if (to.kind() == Kind::kFloat) {
    const double number = is_signed ? static_cast<double>(from.as_signed(value.bits))
                                    : static_cast<double>(value.bits);
    return {to, to.from_double(number)};
  }
  const uint64_t bits = is_signed ? static_cast<uint64_t>(from.as_signed(value.bits)) : value.bits;
  return {to, to.cut(bits)};
}

}  // namespace residue::dwarf
