#include "formats/image.h"

#include <array>

#include "gtest/gtest.h"
#include "tests/support/bytes.h"
#include "tests/support/core_builder.h"
#include "tests/support/dump_file.h"
#include "tests/support/image_laws.h"

namespace residue {
namespace {

using testing::ByteWriter;
using testing::CoreBuilder;
using testing::image_of;
using testing::kReadable;
using testing::kWritable;
using testing::pattern;
using testing::peek;

constexpr uint32_t kRw = kReadable | kWritable;

// Two mappings side by side, a gap, and one of which half is dumped.
class ImageTest : public ::testing::Test {
 protected:
  static constexpr uint64_t kFirst = 0x10000, kSecond = 0x11000, kThird = 0x20000;

  const std::vector<std::byte> first_ = pattern(0x1000, 1), second_ = pattern(0x1000, 2),
                               third_ = pattern(0x1000, 3);
  const Image image_ = image_of(CoreBuilder()
                                    .add_load(kFirst, kReadable, first_)
                                    .add_load(kSecond, kRw, second_)
                                    .add_load(kThird, kRw, third_, 0x2000)
                                    .build());
};

TEST_F(ImageTest, KeepsTheLaws) {
  EXPECT_EQ(testing::broken_laws(image_), std::vector<std::string>());
}

TEST_F(ImageTest, FindsRegionsByAnyOfTheirAddresses) {
  EXPECT_EQ(image_.find_region(Address(kFirst - 1)), nullptr);
  ASSERT_NE(image_.find_region(Address(kFirst)), nullptr);
  EXPECT_EQ(image_.find_region(Address(kFirst))->range.base, Address(kFirst));
  EXPECT_EQ(image_.find_region(Address(kSecond - 1))->range.base, Address(kFirst));
  EXPECT_EQ(image_.find_region(Address(kSecond))->range.base, Address(kSecond));
  EXPECT_EQ(image_.find_region(Address(kSecond + 0x1000)), nullptr);
  EXPECT_EQ(image_.find_region(Address(~uint64_t{0})), nullptr);
  EXPECT_EQ(image_.find_region(Address(0)), nullptr);
}

TEST_F(ImageTest, ViewsAreCutAtTheEndOfWhatIsDumped) {
  const auto seen = image_.view(Address(kThird + 0xff0), 0x100);
  ASSERT_EQ(seen.size(), 0x10U);
  EXPECT_TRUE(std::equal(seen.begin(), seen.end(), third_.begin() + 0xff0));
  EXPECT_TRUE(image_.view(Address(kThird + 0x1000), 1).empty());
  EXPECT_TRUE(image_.view(Address(0x5000), 1).empty());
  EXPECT_TRUE(image_.view(Address(kFirst), 0).empty());
}

TEST_F(ImageTest, ViewsCrossRegionsThatAreAdjacentInTheFileToo) {
  const auto seen = image_.view(Address(kSecond - 4), 8);
  ASSERT_EQ(seen.size(), 8U);
  EXPECT_TRUE(std::equal(seen.begin(), seen.begin() + 4, first_.end() - 4));
  EXPECT_TRUE(std::equal(seen.begin() + 4, seen.end(), second_.begin()));
  EXPECT_EQ(image_.view(Address(kFirst), ~uint64_t{0}).size(), 0x2000U);
}

TEST_F(ImageTest, ReadsAcrossRegionsUpToTheFirstGap) {
  std::array<std::byte, 16> out{};
  EXPECT_EQ(image_.read(Address(kSecond - 8), out), 16U);
  EXPECT_TRUE(std::equal(out.begin() + 8, out.end(), second_.begin()));
  EXPECT_EQ(image_.read(Address(kSecond + 0xff8), out), 8U);
  EXPECT_EQ(image_.read(Address(kSecond + 0x1000), out), 0U);
  EXPECT_EQ(image_.read(Address(kThird + 0xfff), out), 1U);
}

TEST_F(ImageTest, WordsAreOfTheProcesssWidth) {
  EXPECT_EQ(image_.word(Address(kFirst + 3)), peek<uint64_t>(first_, 3));
  EXPECT_EQ(image_.value<uint16_t>(Address(kFirst + 0x10)), peek<uint16_t>(first_, 0x10));
  EXPECT_TRUE(image_.word(Address(kThird + 0xff8)).has_value());
  EXPECT_FALSE(image_.word(Address(kThird + 0xff9)).has_value());
  EXPECT_FALSE(image_.value<uint32_t>(Address(kThird + 0xffd)).has_value());
  EXPECT_FALSE(image_.word(Address(0)).has_value());
}

// The same memory, but the bytes of neighbours lie apart in the file.
TEST(Image, ReadsAcrossNeighboursThatLieApartInTheFile) {
  const auto low = pattern(0x1000, 1), high = pattern(0x1000, 2);
  const Image image = image_of(CoreBuilder()
                                   .add_load(0x11000, kRw, high)
                                   .add_load(0x90000, kRw, pattern(0x1000, 3))
                                   .add_load(0x10000, kRw, low)
                                   .build());
  EXPECT_EQ(testing::broken_laws(image), std::vector<std::string>());
  std::array<std::byte, 16> out{};
  EXPECT_EQ(image.read(Address(0x10ff8), out), 16U);
  EXPECT_TRUE(std::equal(out.begin(), out.begin() + 8, low.end() - 8));
  EXPECT_TRUE(std::equal(out.begin() + 8, out.end(), high.begin()));
  const auto word = image.word(Address(0x10ffc));
  ASSERT_TRUE(word.has_value());
  EXPECT_EQ(*word & 0xffffffff, peek<uint32_t>(low, 0xffc));
  EXPECT_EQ(*word >> 32, peek<uint32_t>(high, 0));
}

TEST(Image, ReadsStringsWithinALimit) {
  auto page = ByteWriter().c_string("hello").zeros(3).pad_to(0x1000).take();
  for (size_t i = 0xffc; i < 0x1000; ++i) page[i] = std::byte{'x'};
  const Image image = image_of(CoreBuilder().add_load(0x10000, kRw, page).build());
  EXPECT_EQ(image.c_string(Address(0x10000), 100), "hello");
  EXPECT_EQ(image.c_string(Address(0x10002), 100), "llo");
  EXPECT_EQ(image.c_string(Address(0x10000), 5), "hello");
  EXPECT_FALSE(image.c_string(Address(0x10000), 4).has_value());
  EXPECT_EQ(image.c_string(Address(0x10000), ~uint64_t{0}), "hello");
  EXPECT_EQ(image.c_string(Address(0x10005), 4), "");
  EXPECT_FALSE(image.c_string(Address(0x10ffc), 100).has_value());
  EXPECT_FALSE(image.c_string(Address(0x20000), 100).has_value());
}

TEST(Image, ReachesTheLastPageOfTheAddressSpace) {
  const uint64_t base = ~uint64_t{0} - 0xfff;
  const Image image = image_of(CoreBuilder()
                                   .add_load(0x10000, kRw, pattern(0x1000, 1))
                                   .add_load(base, kRw, pattern(0x1000, 2))
                                   .build());
  EXPECT_EQ(testing::broken_laws(image), std::vector<std::string>());
  EXPECT_EQ(image.view(Address(base), 0x1000).size(), 0x1000U);
  EXPECT_EQ(image.view(Address(~uint64_t{0}), 100).size(), 1U);
  std::array<std::byte, 16> out{};
  EXPECT_EQ(image.read(Address(~uint64_t{0} - 3), out), 4U);
  EXPECT_FALSE(image.word(Address(~uint64_t{0} - 3)).has_value());
}

TEST(Permissions, AreWrittenAsInProcMaps) {
  EXPECT_EQ(to_string(Permissions{true, false, false}), "r--");
  EXPECT_EQ(to_string(Permissions{true, true, false}), "rw-");
  EXPECT_EQ(to_string(Permissions{true, false, true}), "r-x");
  EXPECT_EQ(to_string(Permissions{}), "---");
}

TEST(RegionKind, HasTheNamesOfTheSchema) {
  EXPECT_STREQ(to_string(RegionKind::kHeap), "heap");
  EXPECT_STREQ(to_string(RegionKind::kStack), "stack");
  EXPECT_STREQ(to_string(RegionKind::kModuleText), "module-text");
  EXPECT_STREQ(to_string(RegionKind::kModuleRodata), "module-rodata");
  EXPECT_STREQ(to_string(RegionKind::kModuleData), "module-data");
  EXPECT_STREQ(to_string(RegionKind::kAnonymous), "anonymous");
  EXPECT_STREQ(to_string(RegionKind::kFile), "file");
  EXPECT_STREQ(to_string(RegionKind::kVdso), "vdso");
  EXPECT_STREQ(to_string(Architecture::kX86_64), "x86_64");
}

}  // namespace
}  // namespace residue
