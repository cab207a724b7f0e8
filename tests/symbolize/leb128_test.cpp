#include "symbolize/dwarf/leb128.h"

#include <gtest/gtest.h>

#include "tests/symbolize/expression_support.h"

namespace residue {
namespace {

using testing::code;

uint64_t unsigned_of(const std::vector<std::byte>& bytes) {
  ByteCursor cursor(bytes, ByteOrder::kLittle);
  const auto value = read_uleb128(cursor);
  EXPECT_TRUE(value.has_value());
  EXPECT_EQ(cursor.remaining(), 0U);
  return value.value_or(0xdead);
}

int64_t signed_of(const std::vector<std::byte>& bytes) {
  ByteCursor cursor(bytes, ByteOrder::kLittle);
  const auto value = read_sleb128(cursor);
  EXPECT_TRUE(value.has_value());
  EXPECT_EQ(cursor.remaining(), 0U);
  return value.value_or(0xdead);
}

// DWARF 5, figures C.1 and C.3 of section 7.6.
TEST(Leb128, ReadsTheExamplesOfTheSpecification) {
  EXPECT_EQ(unsigned_of(code({2})), 2U);
  EXPECT_EQ(unsigned_of(code({127})), 127U);
  EXPECT_EQ(unsigned_of(code({0x80, 1})), 128U);
  EXPECT_EQ(unsigned_of(code({0x81, 1})), 129U);
  EXPECT_EQ(unsigned_of(code({57 + 0x80, 100})), 12857U);
  EXPECT_EQ(signed_of(code({2})), 2);
  EXPECT_EQ(signed_of(code({0x7e})), -2);
  EXPECT_EQ(signed_of(code({127 + 0x80, 0})), 127);
  EXPECT_EQ(signed_of(code({1 + 0x80, 0x7f})), -127);
  EXPECT_EQ(signed_of(code({0 + 0x80, 1})), 128);
  EXPECT_EQ(signed_of(code({0 + 0x80, 0x7f})), -128);
  EXPECT_EQ(signed_of(code({1 + 0x80, 1})), 129);
  EXPECT_EQ(signed_of(code({0x7f + 0x80, 0x7e})), -129);
}

TEST(Leb128, ReadsTheExtremes) {
  const auto nines = code({0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff});
  const auto zeros = code({0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80});
  using testing::operator+;
  EXPECT_EQ(unsigned_of(nines + code({1})), UINT64_MAX);
  EXPECT_EQ(unsigned_of(zeros + code({1})), uint64_t{1} << 63);
  EXPECT_EQ(signed_of(nines + code({0})), INT64_MAX);
  EXPECT_EQ(signed_of(zeros + code({0x7f})), INT64_MIN);
  EXPECT_EQ(signed_of(code({0x7f})), -1);
}

TEST(Leb128, TakesPaddingAndRefusesWhatDoesNotFit) {
  using testing::operator+;
  const auto ones = code({0x81, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0});
  EXPECT_EQ(unsigned_of(ones), 1U);
  EXPECT_EQ(signed_of(ones), 1);
  EXPECT_EQ(signed_of(code({0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f})),
            -1);
  const auto zeros = code({0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80});
  for (const auto& bytes :
       {zeros + code({2}), zeros + code({0x80, 1}), zeros + code({0x80, 0x80, 0x40})}) {
    ByteCursor cursor(bytes, ByteOrder::kLittle);
    EXPECT_FALSE(read_uleb128(cursor).has_value());
    EXPECT_FALSE(read_sleb128(cursor).has_value());
    EXPECT_EQ(cursor.position(), 0U) << "a read that fails does not move the cursor";
  }
}

TEST(Leb128, RefusesEveryTruncation) {
  const auto whole = code({0x80, 0x80, 0x80, 0x80, 1});
  for (size_t size = 0; size < whole.size(); ++size) {
    const std::span<const std::byte> bytes(whole);
    ByteCursor cursor(bytes.first(size), ByteOrder::kLittle);
    const auto value = read_uleb128(cursor);
    ASSERT_FALSE(value.has_value());
    EXPECT_EQ(value.error().code, ErrorCode::kTruncated);
    EXPECT_FALSE(read_sleb128(cursor).has_value());
  }
}

}  // namespace
}  // namespace residue
