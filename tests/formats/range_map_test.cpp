#include "formats/base/range_map.h"

#include <random>

#include "gtest/gtest.h"

namespace residue {
namespace {

AddressRange range(uint64_t base, uint64_t size) { return {Address(base), ByteCount(size)}; }

TEST(RangeSet, HoldsWhatWasAdded) {
  RangeSet set;
  EXPECT_FALSE(set.contains(Address(0)));
  set.add(range(10, 5));
  set.add(range(30, 5));
  set.add(range(0, 0));
  EXPECT_FALSE(set.contains(Address(9)));
  EXPECT_TRUE(set.contains(Address(10)));
  EXPECT_TRUE(set.contains(Address(14)));
  EXPECT_FALSE(set.contains(Address(15)));
  set.add(range(12, 20));
  EXPECT_TRUE(set.contains(Address(29)));
  EXPECT_FALSE(set.contains(Address(35)));
}

TEST(RangeSet, ReachesTheEndOfTheAddressSpace) {
  RangeSet set;
  set.add(range(~uint64_t{0} - 9, 10));
  set.add(range(~uint64_t{0} - 99, 1000));  // wraps: cut
  EXPECT_TRUE(set.contains(Address(~uint64_t{0})));
  EXPECT_TRUE(set.contains(Address(~uint64_t{0} - 99)));
  EXPECT_FALSE(set.contains(Address(0)));
}

TEST(RangeSet, AgreesWithABitmap) {
  std::mt19937 random(7);
  RangeSet set;
  std::vector<bool> truth(300);
  for (int n = 0; n < 60; ++n) {
    const uint64_t base = random() % 280, size = random() % 12;
    set.add(range(base, size));
    for (uint64_t i = base; i < base + size; ++i) truth[i] = true;
    for (uint64_t i = 0; i < truth.size(); ++i) ASSERT_EQ(set.contains(Address(i)), truth[i]) << i;
  }
}

TEST(RangeIndex, FindsTheRangeThatBeginsFirst) {
  RangeIndex index;
  index.add(range(100, 50), 1);
  index.add(range(120, 100), 2);  // the first has its beginning
  index.add(range(130, 5), 3);    // wholly inside
  index.add(range(100, 10), 4);   // begins with the first, was added later
  index.add(range(500, 0), 5);
  index.finish();
  EXPECT_EQ(index.find(Address(99)), RangeIndex::kNothing);
  EXPECT_EQ(index.find(Address(100)), 1U);
  EXPECT_EQ(index.find(Address(149)), 1U);
  EXPECT_EQ(index.find(Address(150)), 2U);
  EXPECT_EQ(index.find(Address(219)), 2U);
  EXPECT_EQ(index.find(Address(220)), RangeIndex::kNothing);
  EXPECT_EQ(index.find(Address(500)), RangeIndex::kNothing);
}

TEST(RangeIndex, ReachesTheEndOfTheAddressSpace) {
  RangeIndex index;
  index.add(range(~uint64_t{0} - 9, 10), 1);
  index.add(range(~uint64_t{0} - 4, 5), 2);
  index.finish();
  EXPECT_EQ(index.find(Address(~uint64_t{0})), 1U);
}

}  // namespace
}  // namespace residue
