#include "formats/base/byte_cursor.h"

#include <array>
#include <limits>

#include "gtest/gtest.h"
#include "tests/support/bytes.h"

namespace residue {
namespace {

using testing::as_bytes;
using testing::ByteWriter;

std::vector<std::byte> one_to(uint8_t n) {
  ByteWriter out;
  for (uint8_t i = 1; i <= n; ++i) out.u8(i);
  return out.take();
}

TEST(Load, ReadsBothOrders) {
  const auto bytes = one_to(8);
  EXPECT_EQ(load<uint8_t>(bytes), 0x01);
  EXPECT_EQ(load<uint16_t>(bytes), 0x0201);
  EXPECT_EQ(load<uint32_t>(bytes), 0x04030201U);
  EXPECT_EQ(load<uint64_t>(bytes), 0x0807060504030201U);
  EXPECT_EQ(load<uint8_t>(bytes, ByteOrder::kBig), 0x01);
  EXPECT_EQ(load<uint16_t>(bytes, ByteOrder::kBig), 0x0102);
  EXPECT_EQ(load<uint32_t>(bytes, ByteOrder::kBig), 0x01020304U);
  EXPECT_EQ(load<uint64_t>(bytes, ByteOrder::kBig), 0x0102030405060708U);
}

TEST(ByteCursor, ReadsInTurnAndKnowsItsFileOffset) {
  const auto bytes = one_to(15);
  ByteCursor cursor(bytes, ByteOrder::kLittle, FileOffset(0x100));
  EXPECT_EQ(cursor.read<uint8_t>().value(), 0x01);
  EXPECT_EQ(cursor.read<uint16_t>().value(), 0x0302);
  EXPECT_EQ(cursor.read<uint32_t>().value(), 0x07060504U);
  EXPECT_EQ(cursor.read<uint64_t>().value(), 0x0f0e0d0c0b0a0908U);
  EXPECT_EQ(cursor.position(), 15U);
  EXPECT_EQ(cursor.remaining(), 0U);
  EXPECT_EQ(cursor.offset(), FileOffset(0x10f));
}

TEST(ByteCursor, ReadsBigEndian) {
  const auto bytes = one_to(12);
  ByteCursor cursor(bytes, ByteOrder::kBig);
  EXPECT_EQ(cursor.read<uint32_t>().value(), 0x01020304U);
  EXPECT_EQ(cursor.read<uint64_t>().value(), 0x05060708090a0b0cU);
}

TEST(ByteCursor, ReadsWordsOfEitherWidth) {
  const auto bytes = one_to(12);
  ByteCursor cursor(bytes, ByteOrder::kLittle);
  EXPECT_EQ(cursor.read_word(4).value(), 0x04030201U);
  EXPECT_EQ(cursor.read_word(8).value(), 0x0c0b0a0908070605U);
}

TEST(ByteCursor, AFailingReadDoesNotMove) {
  const auto bytes = one_to(5);
  ByteCursor cursor(bytes, ByteOrder::kLittle, FileOffset(0x40));
  ASSERT_TRUE(cursor.read<uint16_t>());
  const auto expect_truncated = [&](const Error& error) {
    EXPECT_EQ(error.code, ErrorCode::kTruncated);
    EXPECT_EQ(error.offset, FileOffset(0x42));
    EXPECT_EQ(cursor.position(), 2U);
  };
  expect_truncated(cursor.read<uint32_t>().error());
  expect_truncated(cursor.read<uint64_t>().error());
  expect_truncated(cursor.read_word(4).error());
  expect_truncated(cursor.read_word(8).error());
  expect_truncated(cursor.take(4).error());
  expect_truncated(cursor.skip(4).error());
  EXPECT_EQ(cursor.read<uint16_t>().value(), 0x0403);
}

TEST(ByteCursor, RefusesLengthsNearTwoToThe64) {
  const auto bytes = one_to(8);
  ByteCursor cursor(bytes, ByteOrder::kLittle);
  ASSERT_TRUE(cursor.skip(4));
  for (const uint64_t n : {uint64_t{5}, uint64_t{1} << 32, ~uint64_t{0} - 3, ~uint64_t{0}}) {
    EXPECT_FALSE(cursor.take(n)) << n;
    EXPECT_FALSE(cursor.skip(n)) << n;
    EXPECT_EQ(cursor.position(), 4U);
  }
}

TEST(ByteCursor, TakesExactlyTheRest) {
  const auto bytes = one_to(8);
  ByteCursor cursor(bytes, ByteOrder::kLittle);
  ASSERT_TRUE(cursor.skip(3));
  const auto rest = cursor.take(5);
  ASSERT_TRUE(rest);
  EXPECT_EQ(rest->data(), bytes.data() + 3);
  EXPECT_EQ(rest->size(), 5U);
  EXPECT_TRUE(cursor.take(0));
  EXPECT_FALSE(cursor.take(1));
}

TEST(ByteCursor, SeeksUpToTheEndAndNotBehind) {
  const auto bytes = one_to(8);
  ByteCursor cursor(bytes, ByteOrder::kLittle, FileOffset(0x10));
  EXPECT_TRUE(cursor.seek(8));
  EXPECT_EQ(cursor.remaining(), 0U);
  EXPECT_TRUE(cursor.seek(2));
  const auto behind = cursor.seek(9);
  ASSERT_FALSE(behind);
  EXPECT_EQ(behind.error().code, ErrorCode::kTruncated);
  EXPECT_EQ(cursor.position(), 2U);
  EXPECT_FALSE(cursor.seek(~uint64_t{0}));
}

TEST(ByteCursor, AlignsUpAndStopsAtTheEnd) {
  const auto bytes = one_to(10);
  ByteCursor cursor(bytes, ByteOrder::kLittle);
  cursor.align(4);
  EXPECT_EQ(cursor.position(), 0U);
  ASSERT_TRUE(cursor.skip(1));
  cursor.align(4);
  EXPECT_EQ(cursor.position(), 4U);
  ASSERT_TRUE(cursor.skip(5));
  cursor.align(8);
  EXPECT_EQ(cursor.position(), 10U);
}

TEST(ByteCursor, ReadsStringsWithTheirNul) {
  const auto bytes = as_bytes(std::string_view("ab\0\0tail", 8));
  ByteCursor cursor(bytes, ByteOrder::kLittle);
  EXPECT_EQ(cursor.c_string().value(), "ab");
  EXPECT_EQ(cursor.position(), 3U);
  EXPECT_EQ(cursor.c_string().value(), "");
  const auto unterminated = cursor.c_string();
  ASSERT_FALSE(unterminated);
  EXPECT_EQ(unterminated.error().code, ErrorCode::kTruncated);
  EXPECT_EQ(cursor.position(), 4U);
}

TEST(ByteCursor, BoundsCountsByTheBytesLeft) {
  const auto bytes = one_to(20);
  ByteCursor cursor(bytes, ByteOrder::kLittle, FileOffset(0x1000));
  ASSERT_TRUE(cursor.skip(4));
  EXPECT_EQ(cursor.count(4, 4).value(), 4U);
  EXPECT_EQ(cursor.count(0, 4).value(), 0U);
  EXPECT_EQ(cursor.count(5, 3).value(), 5U);
  const auto five = cursor.count(5, 4);
  ASSERT_FALSE(five);
  EXPECT_EQ(five.error().code, ErrorCode::kTruncated);
  EXPECT_EQ(five.error().offset, FileOffset(0x1004));
}

TEST(ByteCursor, CountsWhoseProductOverflowsAreRefused) {
  const auto bytes = one_to(16);
  const ByteCursor cursor(bytes, ByteOrder::kLittle);
  EXPECT_FALSE(cursor.count(~uint64_t{0}, 24));
  EXPECT_FALSE(cursor.count((~uint64_t{0} / 24) + 2, 24));
  EXPECT_FALSE(cursor.count(uint64_t{1} << 63, 2));
}

TEST(ByteCursor, HasNothingInAnEmptySpan) {
  ByteCursor cursor({}, ByteOrder::kLittle, FileOffset(7));
  EXPECT_EQ(cursor.remaining(), 0U);
  EXPECT_FALSE(cursor.read<uint8_t>());
  EXPECT_FALSE(cursor.c_string());
  EXPECT_TRUE(cursor.take(0));
  cursor.align(16);
  EXPECT_EQ(cursor.offset(), FileOffset(7));
}

}  // namespace
}  // namespace residue
