// What lies on the stack of a DWARF expression: a value with a type, and arithmetic on it.
//
// Up to DWARF 4 every value has the generic type: an integer as wide as an address, of no
// particular sign; operations say how they take it. DWARF 5 (and GNU extensions before it) add
// values with the type of a base type entry: integers and floating-point numbers, here of at most 8
// bytes.
#pragma once

#include <cstdint>

#include "formats/base/byte_cursor.h"
#include "formats/base/result.h"
#include "symbolize/dwarf/expression.h"

namespace residue::dwarf {

class ValueType {
 public:
  enum class Kind : uint8_t { kGeneric, kSigned, kUnsigned, kFloat };

  static ValueType generic(unsigned address_size) { return {Kind::kGeneric, address_size}; }
  // Fails with kUnsupported for types that are no number of at most 8 bytes: complex and decimal
  // numbers, long double, 128-bit integers.
  static Result<ValueType> of(const BaseType& base);

  Kind kind() const { return kind_; }
  unsigned size() const { return size_; }
  // `bits` without those above the type's size.
  uint64_t cut(uint64_t bits) const;
  // The bits as a 64-bit integer; generic values count as signed.
  int64_t as_signed(uint64_t bits) const;
  double as_double(uint64_t bits) const;  // REQUIRES: kFloat
  uint64_t from_double(double value) const;
  friend bool operator==(ValueType, ValueType) = default;

 private:
  ValueType(Kind kind, unsigned size) : kind_(kind), size_(static_cast<uint8_t>(size)) {}

  Kind kind_;
  uint8_t size_;
};

struct TypedValue {
  ValueType type;
  uint64_t bits = 0;  // none above the type's size
};

// The value of the two operations' classes; `a` was the second from the top, `b` the top. Fails
// with kCorrupt for different types, division by zero and operators that the type does not have.
// REQUIRES: `operation` takes one (two) operands: DW_OP_abs, neg, not (and, div, …, ne).
Result<TypedValue> apply(uint8_t operation, const TypedValue& a);
Result<TypedValue> apply(uint8_t operation, const TypedValue& a, const TypedValue& b,
                         unsigned address_size);

// The same number as another type (DW_OP_convert), wrapped or rounded towards zero as in C.
TypedValue convert(const TypedValue& value, ValueType to);

}  // namespace residue::dwarf
