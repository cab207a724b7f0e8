#include "formats/base/result.h"

#include <memory>
#include <string>

#include "gtest/gtest.h"

namespace residue {
namespace {

Result<int> half(int n) {
  if (n % 2 != 0) return Error{ErrorCode::kCorrupt, "odd", FileOffset(0x2a)};
  return n / 2;
}

Result<void> require_even(int n) {
  RESIDUE_TRY(half(n));
  return {};
}

Result<std::string> quarter(int n) {
  RESIDUE_ASSIGN(const int first, half(n));
  RESIDUE_ASSIGN(const int second, half(first));
  return std::to_string(second);
}

TEST(Result, HoldsAValueOrAnError) {
  const auto good = half(8);
  ASSERT_TRUE(good);
  EXPECT_TRUE(good.has_value());
  EXPECT_EQ(*good, 4);
  const auto bad = half(7);
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(bad.value_or(-1), -1);
  EXPECT_EQ(good.value_or(-1), 4);
}

TEST(Result, OfVoidIsGoodUnlessGivenAnError) {
  EXPECT_TRUE(Result<void>());
  EXPECT_TRUE(require_even(2));
  const auto bad = require_even(3);
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().message, "odd");
}

TEST(Result, AssignPassesValuesOnAndErrorsUp) {
  EXPECT_EQ(quarter(12).value(), "3");
  EXPECT_EQ(quarter(3).error().message, "odd");
  EXPECT_EQ(quarter(6).error().offset, FileOffset(0x2a));
}

TEST(Result, CarriesWhatCanOnlyBeMoved) {
  Result<std::unique_ptr<int>> made(std::make_unique<int>(5));
  ASSERT_TRUE(made);
  const std::unique_ptr<int> taken = std::move(made).value();
  EXPECT_EQ(*taken, 5);
}

TEST(Error, LayersAddWhatTheyWereDoing) {
  Error error{ErrorCode::kTruncated, "4 bytes wanted, 1 left", FileOffset(0x40)};
  error = std::move(error).in("note 3").in("program header 1");
  EXPECT_EQ(error.message, "program header 1: note 3: 4 bytes wanted, 1 left");
  EXPECT_EQ(error.code, ErrorCode::kTruncated);
  EXPECT_EQ(error.offset, FileOffset(0x40));
}

TEST(Error, TextNamesTheFileOffsetIfItIsKnown) {
  EXPECT_EQ(to_string(Error{ErrorCode::kCorrupt, "bad magic", FileOffset(0x1f)}),
            "bad magic (at file offset 0x1f)");
  EXPECT_EQ(to_string(Error{ErrorCode::kCorrupt, "bad magic", FileOffset(0)}),
            "bad magic (at file offset 0x0)");
  EXPECT_EQ(to_string(Error{ErrorCode::kIo, "no such file", {}}), "no such file");
}

}  // namespace
}  // namespace residue
