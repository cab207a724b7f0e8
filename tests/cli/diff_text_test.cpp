#include "cli/diff_text.h"

#include <gtest/gtest.h>

namespace residue {
namespace {

TEST(TimeBetween, HasTwoUnits) {
  const std::string noon = "2024-02-28T12:00:00Z";
  EXPECT_EQ(time_between(noon, "2024-02-28T12:00:00Z"), "0 s");
  EXPECT_EQ(time_between(noon, "2024-02-28T12:03:04Z"), "3 min 4 s");
  EXPECT_EQ(time_between(noon, "2024-03-01T14:30:00Z"), "2 d 2 h") << "a leap year";
  EXPECT_EQ(time_between("2024-03-01T14:30:00Z", noon), "2 d 2 h");
  EXPECT_EQ(time_between(noon, "2024-02-29T12:00:09Z"), "1 d 9 s");
  EXPECT_EQ(time_between("", noon), "");
  EXPECT_EQ(time_between(noon, "yesterday"), "");
}

Totals totals(uint64_t used, uint64_t leaked, uint64_t free, uint64_t arenas) {
  Totals t;
  t.used = used;
  t.leaked = leaked;
  t.free = free;
  t.arenas = arenas;
  t.allocator = "glibc";
  return t;
}

TEST(IdleMemory, IsNamedWhereItIsMostOfTheGrowth) {
  constexpr uint64_t kMega = 1000000;
  const std::string text = idle_memory_text(totals(50 * kMega, 0, 100 * kMega, 2),
                                            totals(53 * kMega, 0, 1200 * kMega, 64));
  EXPECT_EQ(text.rfind("The heap did not leak: the program uses 3.0 MB more than before, but glibc "
                       "keeps 1.2 GB",
                       0),
            0U)
      << text;
  EXPECT_NE(text.find("in 64 arenas: 1.1 GB more than before."), std::string::npos) << text;
  EXPECT_EQ(idle_memory_text(totals(0, 0, 0, 1), totals(9 * kMega, 0, 8 * kMega, 1)), "")
      << "used grew more";
  EXPECT_EQ(idle_memory_text(totals(0, 0, 0, 1), totals(0, 0, 1000, 1)), "") << "a trifle";
  EXPECT_EQ(idle_memory_text(totals(0, 0, 9 * kMega, 1), totals(0, 0, 8 * kMega, 1)), "");
  EXPECT_EQ(idle_memory_text(totals(0, 0, 0, 1), totals(1, 1, 8 * kMega, 1))
                .rfind("Most of the growth is no leak", 0),
            0U);
}

}  // namespace
}  // namespace residue
