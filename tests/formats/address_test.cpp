#include "formats/base/address.h"

#include <type_traits>

#include "gtest/gtest.h"

namespace residue {
namespace {

constexpr uint64_t kTop = ~uint64_t{0};

constexpr AddressRange range(uint64_t base, uint64_t size) {
  return {Address(base), ByteCount(size)};
}

TEST(StrongInt, KindsDoNotMix) {
  static_assert(!std::is_convertible_v<FileOffset, Address>);
  static_assert(!std::is_convertible_v<uint64_t, Address>);
  static_assert(!std::is_constructible_v<Address, FileOffset>);
  static_assert(sizeof(Address) == 8 && sizeof(ChunkId) == 4);
  EXPECT_LT(Address(1), Address(2));
  EXPECT_EQ(kNone<ModuleId>.value(), 0xffffffffU);
}

TEST(AddressRange, ContainsItsBaseAndNotItsEnd) {
  constexpr auto r = range(0x1000, 0x1000);
  EXPECT_TRUE(r.contains(Address(0x1000)));
  EXPECT_TRUE(r.contains(Address(0x1fff)));
  EXPECT_FALSE(r.contains(Address(0x2000)));
  EXPECT_FALSE(r.contains(Address(0xfff)));
  EXPECT_FALSE(r.contains(Address(0)));
  EXPECT_EQ(r.end(), Address(0x2000));
}

TEST(AddressRange, OfNoBytesContainsNothing) {
  EXPECT_FALSE(range(0x1000, 0).contains(Address(0x1000)));
  EXPECT_FALSE(range(0x1000, 0).overlaps(range(0x1000, 0x10)));
  EXPECT_FALSE(range(0x1000, 0x10).overlaps(range(0x1010, 0)));
}

TEST(AddressRange, MayReachTwoToThe64) {
  constexpr auto last = range(kTop - 0xfff, 0x1000);
  EXPECT_TRUE(last.contains(Address(kTop)));
  EXPECT_TRUE(last.contains(Address(kTop - 0xfff)));
  EXPECT_FALSE(last.contains(Address(kTop - 0x1000)));
  EXPECT_FALSE(last.contains(Address(0)));
  EXPECT_EQ(last.end(), Address(0));
  EXPECT_TRUE(last.contains(range(kTop, 1)));
  EXPECT_TRUE(last.overlaps(range(kTop, 1)));
  EXPECT_FALSE(last.overlaps(range(0, 0x1000)));
  EXPECT_FALSE(range(0, 0x1000).overlaps(last));
}

TEST(AddressRange, ContainsRangesThatEndInside) {
  constexpr auto r = range(0x1000, 0x1000);
  EXPECT_TRUE(r.contains(r));
  EXPECT_TRUE(r.contains(range(0x1800, 0x800)));
  EXPECT_FALSE(r.contains(range(0x1800, 0x801)));
  EXPECT_FALSE(r.contains(range(0x1800, kTop)));
  EXPECT_FALSE(r.contains(range(0xfff, 2)));
}

TEST(AddressRange, OverlapsWhatSharesAByte) {
  constexpr auto r = range(0x1000, 0x1000);
  EXPECT_TRUE(r.overlaps(range(0x1fff, 1)));
  EXPECT_TRUE(r.overlaps(range(0, 0x1001)));
  EXPECT_TRUE(r.overlaps(range(0, 0x10000)));
  EXPECT_FALSE(r.overlaps(range(0, 0x1000)));
  EXPECT_FALSE(r.overlaps(range(0x2000, 0x1000)));
}

}  // namespace
}  // namespace residue
