#include "cli/units.h"

#include <gtest/gtest.h>

namespace residue {
namespace {

TEST(Units, CountsHaveThousandsSeparators) {
  EXPECT_EQ(count_text(0), "0");
  EXPECT_EQ(count_text(999), "999");
  EXPECT_EQ(count_text(1000), "1,000");
  EXPECT_EQ(count_text(12345678), "12,345,678");
  EXPECT_EQ(count_text(UINT64_MAX), "18,446,744,073,709,551,615");
}

TEST(Units, BytesUseDecimalUnits) {
  EXPECT_EQ(bytes_text(0), "0 B");
  EXPECT_EQ(bytes_text(999), "999 B");
  EXPECT_EQ(bytes_text(1000), "1.0 kB");
  EXPECT_EQ(bytes_text(1234567), "1.2 MB");
  EXPECT_EQ(bytes_text(123456789), "123 MB");
}

TEST(Units, RoundingMovesToTheNextUnit) { EXPECT_EQ(bytes_text(999999), "1.0 MB"); }

TEST(Units, TheLargestNumberHasAUnit) { EXPECT_EQ(bytes_text(UINT64_MAX), "18.4 EB"); }

}  // namespace
}  // namespace residue
