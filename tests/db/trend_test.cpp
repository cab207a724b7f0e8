// Verdicts on series of known making.
#include "db/trend.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <random>

namespace residue {
namespace {

constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
constexpr int64_t kLeast = std::numeric_limits<int64_t>::min();

// A snapshot an hour.
Trend trend_of(const std::vector<int64_t>& values) {
  std::vector<double> at;
  for (size_t i = 0; i < values.size(); ++i) at.push_back(static_cast<double>(i));
  return TrendFinder().find(at, values);
}

std::vector<int64_t> series(int n, const std::function<double(int)>& value) {
  std::vector<int64_t> values;
  for (int i = 0; i < n; ++i) values.push_back(static_cast<int64_t>(value(i)));
  return values;
}

std::string verdict_of(const std::vector<int64_t>& values) {
  return to_string(trend_of(values).verdict);
}

// Normal noise, the same on every machine (std::normal_distribution is not).
class Noise {
 public:
  double operator()() {
    double sum = 0;
    for (int i = 0; i < 12; ++i) sum += static_cast<double>(random_()) / 4294967296.0;
    return sum - 6;
  }

 private:
  std::mt19937 random_{5};
};

TEST(Trend, AConstantIsFlat) {
  const Trend trend = trend_of({7, 7, 7, 7, 7, 7, 7, 7});
  EXPECT_EQ(trend.verdict, TrendVerdict::kFlat);
  EXPECT_EQ(trend.confidence, TrendConfidence::kStrong);
  EXPECT_EQ(trend.slope, 0);
  EXPECT_FALSE(trend.r2);
  EXPECT_FALSE(trend.monotonic);
  EXPECT_EQ(verdict_of({0, 0, 0}), "flat");
}

TEST(Trend, ALineGrows) {
  const Trend trend = trend_of({100, 130, 160, 190, 220, 250, 280, 310});
  EXPECT_EQ(trend.verdict, TrendVerdict::kGrowing);
  EXPECT_EQ(trend.confidence, TrendConfidence::kStrong);
  EXPECT_EQ(trend.slope, 30);
  EXPECT_DOUBLE_EQ(*trend.slope_least_squares, 30);
  EXPECT_DOUBLE_EQ(*trend.r2, 1);
  EXPECT_TRUE(trend.monotonic);
  EXPECT_EQ(trend.rises, 7U);
  EXPECT_EQ(trend.warm_up, 0U);
  EXPECT_EQ(trend.lowest, 100);
  EXPECT_EQ(trend.highest, 310);
}

TEST(Trend, ALineDownwardsShrinks) {
  const Trend trend = trend_of({310, 280, 250, 220, 190, 160, 130, 100});
  EXPECT_EQ(trend.verdict, TrendVerdict::kShrinking);
  EXPECT_EQ(trend.slope, -30);
  EXPECT_FALSE(trend.monotonic);
  EXPECT_EQ(verdict_of({30, 20, 10}), "shrinking");
}

TEST(Trend, ConfidenceNeedsSnapshots) {
  const auto line = [](int n) { return series(n, [](int i) { return i * 10; }); };
  EXPECT_EQ(trend_of(line(2)).verdict, TrendVerdict::kTooFew);
  EXPECT_EQ(trend_of(line(2)).slope, 10);
  EXPECT_EQ(trend_of(line(3)).verdict, TrendVerdict::kGrowing);
  EXPECT_EQ(trend_of(line(3)).confidence, TrendConfidence::kGuess);
  EXPECT_EQ(trend_of(line(4)).confidence, TrendConfidence::kLikely);
  EXPECT_EQ(trend_of(line(7)).confidence, TrendConfidence::kLikely);
  EXPECT_EQ(trend_of(line(8)).confidence, TrendConfidence::kStrong);
  EXPECT_EQ(trend_of({5}).verdict, TrendVerdict::kTooFew);
  EXPECT_FALSE(trend_of({5}).slope);
}

TEST(Trend, ALineInNoiseKeepsItsSlope) {
  Noise noise;
  const Trend trend = trend_of(series(100, [&](int i) { return 1e6 + 500 * i + 4000 * noise(); }));
  EXPECT_EQ(trend.verdict, TrendVerdict::kGrowing);
  EXPECT_EQ(trend.confidence, TrendConfidence::kStrong);
  // The standard error of least squares is 4000 / sqrt(100 * 100^2 / 12) = 14.
  EXPECT_NEAR(*trend.slope_least_squares, 500, 42);
  EXPECT_NEAR(*trend.slope, 500, 50);
  EXPECT_GT(trend.falls, 20U);
  EXPECT_FALSE(trend.monotonic);
}

TEST(Trend, NoiseAloneIsNoisyOrFlat) {
  Noise noise;
  EXPECT_EQ(verdict_of(series(40, [&](int) { return 1000 + 300 * noise(); })), "noisy");
  EXPECT_EQ(verdict_of(series(40, [&](int) { return 1000 + 10 * noise(); })), "flat");
}

TEST(Trend, WarmUpThenPlateau) {
  const Trend trend = trend_of({0, 400, 700, 900, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000});
  EXPECT_EQ(trend.verdict, TrendVerdict::kWarmUp);
  EXPECT_EQ(trend.warm_up, 4U);
  EXPECT_EQ(trend.slope, 0);
  EXPECT_TRUE(trend.monotonic);
}

TEST(Trend, WarmUpThatFlattensByAndBy) {
  const auto values = series(30, [](int i) { return 1e6 * (1 - std::exp(-i / 3.0)); });
  const Trend trend = trend_of(values);
  EXPECT_EQ(trend.verdict, TrendVerdict::kWarmUp);
  EXPECT_GT(trend.warm_up, 5U);  // e^-2: a seventh is still to come
  EXPECT_LT(trend.warm_up, 15U);
}

TEST(Trend, WarmUpThenLeak) {
  const Trend trend = trend_of(series(20, [](int i) { return std::min(i, 4) * 1000 + i * 10; }));
  EXPECT_EQ(trend.verdict, TrendVerdict::kGrowing);
  EXPECT_EQ(trend.warm_up, 4U);
  EXPECT_EQ(trend.slope, 10);
  EXPECT_DOUBLE_EQ(*trend.slope_least_squares, 10);
}

TEST(Trend, FasterAndFasterIsNoWarmUp) {
  const Trend trend = trend_of(series(20, [](int i) { return i * i * 1000; }));
  EXPECT_EQ(trend.verdict, TrendVerdict::kGrowing);
  EXPECT_EQ(trend.warm_up, 0U);
}

TEST(Trend, SawTooth) {
  const auto saw = [](int i) { return 1000 + (i % 5) * 100; };
  EXPECT_EQ(verdict_of(series(31, saw)), "saw-tooth");
  EXPECT_EQ(verdict_of(series(301, saw)), "saw-tooth");
}

TEST(Trend, SawToothWhoseLowsGrow) {
  // Six periods of seven, lower and lower peaks: only what is left after a fall grows.
  const Trend trend =
      trend_of(series(42, [](int i) { return 1000 + i / 7 * 40 + (i % 7) * (900 - i / 7 * 100); }));
  EXPECT_EQ(trend.verdict, TrendVerdict::kGrowing);
  EXPECT_EQ(trend.confidence, TrendConfidence::kGuess);
  EXPECT_TRUE(trend.by_lows);
}

TEST(Trend, OneOutlierDoesNotCount) {
  std::vector<int64_t> line = series(11, [](int i) { return 1000 + i * 20; });
  line[6] = 90000;
  const Trend trend = trend_of(line);
  EXPECT_EQ(trend.verdict, TrendVerdict::kGrowing);
  EXPECT_NEAR(*trend.slope, 20, 1);
  EXPECT_GT(std::abs(*trend.slope_least_squares), 200);
  EXPECT_FALSE(trend.monotonic);
  std::vector<int64_t> level(11, 1000);
  level[4] = 90000;
  EXPECT_EQ(verdict_of(level), "flat");
}

TEST(Trend, Step) {
  const std::vector<int64_t> values = {500, 500, 510, 505, 9000, 9010, 9000, 9005};
  const Trend trend = trend_of(values);
  EXPECT_EQ(trend.verdict, TrendVerdict::kStep);
  EXPECT_EQ(trend.jump, 4U);
  EXPECT_EQ(trend.warm_up, 0U);
  EXPECT_NE(trend_evidence(trend, values).find("one rise, after snapshot 4 of 8"),
            std::string::npos);
  EXPECT_EQ(verdict_of({0, 0, 0, 0, 0, 0, 64}), "step");
}

TEST(Trend, AStepAtTheStartIsWarmUp) {
  const Trend trend = trend_of({0, 9000, 9000, 9000, 9000, 9000, 9000, 9000});
  EXPECT_EQ(trend.verdict, TrendVerdict::kWarmUp);
  EXPECT_EQ(trend.warm_up, 1U);
}

TEST(Trend, AStairGrows) {
  const Trend trend = trend_of(series(24, [](int i) { return 100 * (1 << (i / 6)); }));
  EXPECT_EQ(trend.verdict, TrendVerdict::kGrowing);
  EXPECT_TRUE(trend.monotonic);
}

TEST(Trend, FiveHundredSnapshots) {
  Noise noise;
  const Trend trend = trend_of(series(500, [&](int i) { return 1e7 + 64 * i + 3000 * noise(); }));
  EXPECT_EQ(trend.verdict, TrendVerdict::kGrowing);
  // The standard error of least squares is 3000 / sqrt(500 * 500^2 / 12) = 0.93.
  EXPECT_NEAR(*trend.slope_least_squares, 64, 2.8);
  EXPECT_NEAR(*trend.slope, 64, 4);
  EXPECT_EQ(*trend_of(series(500, [](int i) { return 64 * i; })).slope, 64);
}

TEST(Trend, LargeNumbersKeepSmallDifferences) {
  std::vector<int64_t> values;
  for (int64_t i = 0; i < 9; ++i) values.push_back((int64_t{1} << 62) + i);
  EXPECT_EQ(trend_of(values).slope, 1);
  EXPECT_DOUBLE_EQ(*trend_of(values).slope_least_squares, 1);
  EXPECT_TRUE(trend_of(values).monotonic);
}

TEST(Trend, TheWholeRangeOfIntegers) {
  const Trend up = trend_of({kLeast, 0, kMost});
  EXPECT_EQ(up.verdict, TrendVerdict::kGrowing);
  EXPECT_DOUBLE_EQ(*up.slope, 9223372036854775808.0);
  EXPECT_EQ(up.lowest, kLeast);
  EXPECT_EQ(up.highest, kMost);
  EXPECT_EQ(trend_of({kMost, kLeast, kMost, kLeast, kMost, kLeast, kMost}).slope, 0);
}

TEST(Trend, EvidenceSaysWhatIsSo) {
  const std::vector<int64_t> values = {100, 130, 120, 190, 220, 250, 280, 310};
  EXPECT_EQ(trend_evidence(trend_of(values), values).find("rose in 6 of 7 intervals, fell in 1"),
            0U);
  const std::vector<int64_t> same = {3, 3, 3};
  EXPECT_EQ(trend_evidence(trend_of(same), same), "all values are equal");
}

TEST(Trend, AFinderMayBeUsedAgain) {
  TrendFinder finder;
  const std::vector<double> at = {0, 1, 2, 3, 4, 5, 6, 7};
  const std::vector<int64_t> warm = {0, 500, 900, 1000, 1000, 1000, 1000, 1000};
  const std::vector<int64_t> line = {0, 1, 2, 3, 4, 5, 6, 7};
  EXPECT_EQ(finder.find(at, warm).warm_up, 3U);
  EXPECT_EQ(finder.find(at, line).warm_up, 0U);
  EXPECT_EQ(finder.find(at, line).slope, 1);
}

using Times = std::vector<std::optional<int64_t>>;
constexpr int64_t kHour = 3600000;

TEST(TrendAxis, IsHoursFromTheFirst) {
  const TrendAxis axis = make_axis(Times{kHour, 2 * kHour, 2 * kHour + kHour / 4});
  EXPECT_TRUE(axis.hours);
  EXPECT_EQ(axis.at, (std::vector<double>{0, 1, 1.25}));
}

TEST(TrendAxis, IsTheOrderWhereTimesDoNotTell) {
  const std::vector<double> order = {0, 1, 2};
  for (const Times& times : {Times{1, std::nullopt, 3}, Times{5, 5, 5}, Times{9, 5, 7}}) {
    const TrendAxis axis = make_axis(times);
    EXPECT_FALSE(axis.hours);
    EXPECT_EQ(axis.at, order);
  }
  // One pair taken within one tick of the clock is no reason to give up the clock.
  EXPECT_TRUE(make_axis(Times{0, kHour, kHour, 2 * kHour, 3 * kHour}).hours);
}

}  // namespace
}  // namespace residue
