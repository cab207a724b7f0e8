#include "cli/sparkline.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <limits>
#include <vector>

#include "cli/cell_text.h"

namespace residue {
namespace {

std::string line_of(const std::vector<int64_t>& values, size_t warm_up = 0, bool utf8 = true) {
  return sparkline(values, warm_up, utf8);
}

TEST(Sparkline, ReachesFromTheLowestBarToTheHighest) {
  EXPECT_EQ(line_of({0, 1, 2, 3, 4, 5, 6, 7}), "▁▂▃▄▅▆▇█");
  EXPECT_EQ(line_of({0, 1, 2, 3, 4, 5, 6, 7}, 0, false), "_.-:=+*#");
  EXPECT_EQ(line_of({700, 0, 700}), "█▁█");
}

TEST(Sparkline, OfNothingOrAConstant) {
  EXPECT_EQ(line_of({}), "");
  EXPECT_EQ(line_of({5, 5, 5}), "▁▁▁");
  EXPECT_EQ(line_of({0, 0}), "▁▁");
}

TEST(Sparkline, SmallNoiseStaysLow) { EXPECT_EQ(line_of({1000, 1001, 1000, 1002}), "▁▁▁▁"); }

TEST(Sparkline, LongSeriesAreResampled) {
  std::vector<int64_t> values(500, 1);
  values[250] = 1000000;
  const std::string line = line_of(values);
  EXPECT_EQ(count_characters(line), kSparklineCells);
  EXPECT_NE(line.find("█"), std::string::npos);
  std::vector<int64_t> line_up;
  for (int i = 0; i < 240; ++i) line_up.push_back(i);
  EXPECT_EQ(line_of(line_up), "▁▁▁▂▂▂▃▃▃▄▄▄▅▅▅▆▆▆▇▇▇███");
}

TEST(Sparkline, MarksTheEndOfTheWarmUp) {
  EXPECT_EQ(line_of({0, 7, 7, 7}, 1), "▁┊███");
  EXPECT_EQ(line_of({0, 7, 7, 7}, 1, false), "_|###");
}

TEST(Sparkline, LargeNumbers) {
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  constexpr int64_t kLeast = std::numeric_limits<int64_t>::min();
  EXPECT_EQ(line_of({kLeast, 0, kMost}), "▁▅█");
}

TEST(Sparkline, TheLocaleDecides) {
  const auto with = [](const char* all, const char* type, const char* lang) {
    ::setenv("LC_ALL", all, 1);
    ::setenv("LC_CTYPE", type, 1);
    ::setenv("LANG", lang, 1);
    return locale_is_utf8();
  };
  EXPECT_TRUE(with("", "", "en_GB.UTF-8"));
  EXPECT_TRUE(with("", "C.utf8", "C"));
  EXPECT_FALSE(with("C", "C.utf8", "en_GB.UTF-8"));
  EXPECT_FALSE(with("", "", "de_DE.ISO-8859-1"));
  EXPECT_FALSE(with("", "", ""));
}

}  // namespace
}  // namespace residue
