// Values with the type of a base type entry: DWARF 5, 2.5.1.4 and 2.5.1.6, and the GNU operations
// they grew out of. The types' entries are named in expression_support.h.
#include <gtest/gtest.h>

#include <bit>

#include "symbolize/dwarf/expression.h"
#include "tests/symbolize/expression_support.h"

namespace residue {
namespace {

using testing::big;
using testing::code;
using testing::FakeProcess;
using testing::little;
using testing::operator+;

constexpr int kSignedChar = 20;
constexpr int kUnsignedChar = 21;
constexpr int kInt = 24;
constexpr int kDouble = 25;
constexpr int kFloat = 26;
constexpr int kLongLong = 27;
constexpr int kUnsignedLongLong = 28;
constexpr int kUnsignedInt = 29;

uint64_t value_of(const std::vector<std::byte>& bytes, const ExpressionFormat& format = little(8)) {
  const FakeProcess process;
  const auto value = evaluate_value(bytes, format, process);
  EXPECT_TRUE(value.has_value()) << value.error().message;
  return value.value_or(0xdeadbeefdeadbeef);
}

std::string error_of(const std::vector<std::byte>& bytes, ErrorCode expected) {
  const FakeProcess process;
  const auto value = evaluate_value(bytes, little(8), process);
  EXPECT_FALSE(value.has_value());
  if (value) return "";
  EXPECT_EQ(value.error().code, expected) << value.error().message;
  return value.error().message;
}

// DW_OP_const_type of 8 bytes that are the double's.
std::vector<std::byte> double_constant(double value) {
  auto bytes = code({0xa4, kDouble, 8});
  const auto bits = std::bit_cast<uint64_t>(value);
  for (int i = 0; i < 8; ++i) bytes.push_back(static_cast<std::byte>(bits >> (8 * i)));
  return bytes;
}

double double_of(const std::vector<std::byte>& bytes) {
  return std::bit_cast<double>(value_of(bytes));
}

TEST(TypedExpression, PushesTypedConstants) {
  EXPECT_EQ(value_of(code({0xa4, kInt, 4, 0xfe, 0xff, 0xff, 0xff})), 0xfffffffeU);
  EXPECT_EQ(value_of(code({0xf4, kInt, 4, 0xfe, 0xff, 0xff, 0xff})), 0xfffffffeU);
  EXPECT_EQ(value_of(code({0xa4, kInt, 4, 0, 0, 1, 2}), big(8)), 0x0102U);
}

TEST(TypedExpression, ReadsRegistersAndMemoryWithTheirType) {
  FakeProcess process;
  process.registers[17] = 0xffffffffffffff80;
  for (const int operation : {0xa5, 0xf5}) {  // regval_type
    const auto narrow = code({operation, 17, kUnsignedChar});
    EXPECT_EQ(evaluate_value(narrow, little(8), process).value_or(0), 0x80U);
  }
  for (const int operation : {0xa6, 0xf6}) {  // deref_type, of memory at 0x2000: 00 01 02…
    EXPECT_EQ(value_of(code({0x71, 0, operation, 4, kInt})), 0x03020100U);
    EXPECT_EQ(value_of(code({0x71, 0, operation, 4, kInt}), big(8)), 0x00010203U);
    // Wider than an address: possible for a typed value only.
    EXPECT_EQ(value_of(code({0x71, 0, operation, 8, kLongLong}), little(4)), 0x0706050403020100U);
  }
}

TEST(TypedExpression, ConvertsByValue) {
  const auto minus_two = code({0xa4, kSignedChar, 1, 0xfe});
  for (const int operation : {0xa8, 0xf7}) {
    EXPECT_EQ(value_of(minus_two + code({operation, kLongLong})), static_cast<uint64_t>(-2));
    EXPECT_EQ(value_of(minus_two + code({operation, kUnsignedInt})), 0xfffffffeU);
    EXPECT_EQ(double_of(minus_two + code({operation, kDouble})), -2.0);
    EXPECT_EQ(value_of(code({0xa4, kUnsignedChar, 1, 0xfe, operation, kLongLong})), 0xfeU);
    EXPECT_EQ(value_of(double_constant(-2.75) + code({operation, kInt})), 0xfffffffeU);
    EXPECT_EQ(value_of(double_constant(200.5) + code({operation, kUnsignedChar})), 200U);
    EXPECT_EQ(value_of(double_constant(1.5) + code({operation, kFloat})),
              std::bit_cast<uint32_t>(1.5F));
    EXPECT_EQ(value_of(double_constant(1e300) + code({operation, kUnsignedLongLong})), UINT64_MAX);
    EXPECT_EQ(value_of(double_constant(-1e300) + code({operation, kLongLong})), uint64_t{1} << 63);
    EXPECT_EQ(value_of(minus_two + code({operation, 0})), UINT64_MAX - 1) << "0: the generic type";
    EXPECT_EQ(value_of(minus_two + code({operation, 0}), little(4)), 0xfffffffeU);
  }
}

TEST(TypedExpression, ReinterpretsBits) {
  for (const int operation : {0xa9, 0xf9}) {
    EXPECT_EQ(value_of(double_constant(1.0) + code({operation, kUnsignedLongLong})),
              0x3ff0000000000000U);
    // As a signed char 0xfe is -2 and below 1; as an unsigned one it is 254.
    const auto as = [&](int type) {
      return code({0xa4, kUnsignedChar, 1, 0xfe, operation, type, 0xa4, type, 1, 1, 0x2d});
    };
    EXPECT_EQ(value_of(as(kSignedChar)), 1U);
    EXPECT_EQ(value_of(as(kUnsignedChar)), 0U);
  }
  EXPECT_NE(error_of(double_constant(1.0) + code({0xa9, kInt}), ErrorCode::kCorrupt), "");
}

TEST(TypedExpression, CalculatesInTheTypeOfTheOperands) {
  const auto chars = [](int type, int a, int b, int operation) {
    return code({0xa4, type, 1, a, 0xa4, type, 1, b, operation});
  };
  EXPECT_EQ(value_of(chars(kUnsignedChar, 200, 100, 0x22)), 44U);  // plus wraps at 8 bits
  EXPECT_EQ(value_of(chars(kSignedChar, 0xf9, 2, 0x1b)), 0xfdU);   // -7 / 2
  EXPECT_EQ(value_of(chars(kUnsignedChar, 0xf9, 2, 0x1b)), 124U);  // 249 / 2
  EXPECT_EQ(value_of(chars(kSignedChar, 0xf9, 4, 0x1d)), 0xfdU);   // -7 % 4 = -3
  EXPECT_EQ(value_of(chars(kUnsignedChar, 0xf9, 4, 0x1d)), 1U);
  EXPECT_EQ(value_of(chars(kUnsignedChar, 0xff, 1, 0x2b)), 1U);     // 255 > 1
  EXPECT_EQ(value_of(chars(kSignedChar, 0xff, 1, 0x2b)), 0U);       // -1 > 1
  EXPECT_EQ(value_of(chars(kSignedChar, 0x80, 1, 0x25)), 0x40U);    // shr: zeros
  EXPECT_EQ(value_of(chars(kUnsignedChar, 0x80, 1, 0x26)), 0xc0U);  // shra: the sign
  EXPECT_EQ(value_of(chars(kUnsignedChar, 0x81, 1, 0x24)), 0x02U);
  EXPECT_EQ(value_of(code({0xa4, kSignedChar, 1, 0x80, 0x31, 0x26})), 0xc0U) << "count is generic";
  EXPECT_EQ(value_of(code({0xa4, kSignedChar, 1, 0xfb, 0x19})), 5U);  // abs
  EXPECT_EQ(value_of(code({0xa4, kUnsignedChar, 1, 0xfb, 0x19})), 0xfbU);
  EXPECT_EQ(value_of(code({0xa4, kUnsignedChar, 1, 0xfb, 0x1f})), 5U);     // neg
  EXPECT_EQ(value_of(code({0xa4, kUnsignedChar, 1, 0xfb, 0x20})), 4U);     // not
  EXPECT_EQ(value_of(code({0xa4, kUnsignedChar, 1, 0xff, 0x23, 2})), 1U);  // plus_uconst
}

// A long long of a 32-bit program: two 32-bit registers put together.
TEST(TypedExpression, HoldsMoreThanAnAddress) {
  FakeProcess process;
  process.registers[0] = 0x89abcdef;
  process.registers[2] = 0x01234567;
  const auto whole = code({0xa5, 2, kUnsignedInt, 0xa8, kUnsignedLongLong, 0x08, 32, 0x24, 0xa5, 0,
                           kUnsignedInt, 0xa8, kUnsignedLongLong, 0x21, 0x9f});
  const auto pieces = evaluate_location(whole, little(4), process);
  ASSERT_TRUE(pieces.has_value()) << pieces.error().message;
  EXPECT_EQ(pieces->at(0).value, 0x0123456789abcdefU);
}

TEST(TypedExpression, CalculatesWithFloatingPointNumbers) {
  const auto two = [](double a, double b, int operation) {
    return double_constant(a) + double_constant(b) + code({operation});
  };
  EXPECT_EQ(double_of(two(1.5, 2.25, 0x22)), 3.75);
  EXPECT_EQ(double_of(two(1.5, 2.25, 0x1c)), -0.75);
  EXPECT_EQ(double_of(two(1.5, 2.0, 0x1e)), 3.0);
  EXPECT_EQ(double_of(two(1.5, 2.0, 0x1b)), 0.75);
  EXPECT_EQ(double_of(double_constant(-1.5) + code({0x19})), 1.5);
  EXPECT_EQ(double_of(double_constant(1.5) + code({0x1f})), -1.5);
  EXPECT_EQ(value_of(two(-1.5, 2.0, 0x2d)), 1U);
  EXPECT_EQ(value_of(two(-1.5, 2.0, 0x2b)), 0U);
  EXPECT_EQ(value_of(two(0.0, -0.0, 0x29)), 1U);
  EXPECT_EQ(value_of(two(1.0, 2.0, 0x2e)), 1U);
  EXPECT_EQ(value_of(two(1.0, 1.0, 0x2a)), 1U);
  EXPECT_EQ(value_of(two(1.0, 1.0, 0x2c)), 1U);
  // A comparison leaves a value of the generic type.
  EXPECT_EQ(value_of(two(1.0, 2.0, 0x2d) + code({0x31, 0x22})), 2U);
}

TEST(TypedExpression, RefusesWhatTheTypesDoNotHave) {
  const auto one = double_constant(1.0);
  for (const int operation : {0x1a, 0x1d, 0x21, 0x24, 0x25, 0x26, 0x27}) {
    EXPECT_NE(error_of(one + one + code({operation}), ErrorCode::kCorrupt), "");
  }
  EXPECT_EQ(error_of(one + code({0x20}), ErrorCode::kCorrupt),
            "DW_OP_not at 0xb: DW_OP_not has no meaning for floating-point numbers");
  EXPECT_NE(error_of(one + code({0x06}), ErrorCode::kCorrupt), "") << "an address";
  EXPECT_NE(error_of(one + code({0x28, 0, 0}), ErrorCode::kCorrupt), "") << "a condition";
  EXPECT_NE(error_of(one + code({0x23, 1}), ErrorCode::kCorrupt), "");
  EXPECT_EQ(error_of(one + code({0x31, 0x22}), ErrorCode::kCorrupt),
            "DW_OP_plus at 0xc: the two operands have different types");
  EXPECT_EQ(error_of(one + double_constant(0) + code({0x1b}), ErrorCode::kCorrupt),
            "DW_OP_div at 0x16: division by zero");
  EXPECT_NE(error_of(code({0x31, 0xa8, 30}), ErrorCode::kUnsupported), "") << "__int128";
  EXPECT_NE(error_of(code({0x31, 0xa8, 31}), ErrorCode::kUnsupported), "") << "long double";
  EXPECT_EQ(error_of(code({0x31, 0xa8, 99}), ErrorCode::kNotFound),
            "DW_OP_convert at 0x1: the base type at 0x63 is not known");
  EXPECT_NE(error_of(code({0xa4, kInt, 2, 0, 0}), ErrorCode::kCorrupt), "") << "2 bytes, not 4";
  EXPECT_NE(error_of(code({0x71, 0, 0xa6, 2, kInt}), ErrorCode::kCorrupt), "");
}

}  // namespace
}  // namespace residue
