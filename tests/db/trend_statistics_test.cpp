// The statistics on textbook cases, worked out by hand or counted out.
#include "db/trend_statistics.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

namespace residue {
namespace {

std::vector<TrendPoint> points_of(const std::vector<double>& values) {
  std::vector<TrendPoint> points;
  for (size_t i = 0; i < values.size(); ++i) points.push_back({static_cast<double>(i), values[i]});
  return points;
}

double median_of(std::vector<double> values) { return median(values); }
double quantile_of(std::vector<double> values, double p) { return quantile(values, p); }

TEST(Median, IsTheMiddleOrTheMeanOfTwo) {
  EXPECT_EQ(median_of({7}), 7);
  EXPECT_EQ(median_of({9, 1, 5}), 5);
  EXPECT_EQ(median_of({4, 1, 3, 2}), 2.5);
  EXPECT_EQ(median_of({-1e300, 1e300, 1e300, -1e300}), 0);
}

// statistics.quantiles([1, 2, 4, 8, 16], method='inclusive') and of [3, 1, 2, 10].
TEST(Quantile, InterpolatesInclusively) {
  EXPECT_EQ(quantile_of({16, 1, 8, 2, 4}, 0.25), 2);
  EXPECT_EQ(quantile_of({16, 1, 8, 2, 4}, 0.75), 8);
  EXPECT_EQ(quantile_of({3, 1, 2, 10}, 0.25), 1.75);
  EXPECT_EQ(quantile_of({3, 1, 2, 10}, 0.75), 4.75);
  EXPECT_EQ(quantile_of({3, 1, 2, 10}, 1), 10);
}

// Slopes of the ten pairs: six times 1, then 25, 33, 49 and 97 to the outlier.
TEST(TheilSen, IsNotMovedByOneOutlier) {
  std::vector<double> scratch;
  const auto line = theil_sen(points_of({0, 1, 2, 3, 100}), scratch);
  ASSERT_TRUE(line);
  EXPECT_EQ(line->slope, 1);
  EXPECT_EQ(line->intercept, 0);
}

// Slopes 1, 1, 1, 10, 14.5, 28.
TEST(TheilSen, TakesTheMeanOfTheTwoMiddleSlopes) {
  std::vector<double> scratch;
  EXPECT_EQ(theil_sen(points_of({0, 1, 2, 30}), scratch)->slope, 5.5);
}

TEST(TheilSen, LeavesOutPairsOfEqualTimes) {
  std::vector<double> scratch;
  const std::vector<TrendPoint> points = {{0, 5}, {0, 900}, {2, 9}};
  EXPECT_EQ(theil_sen(points, scratch)->slope, (4 / 2.0 + -891 / 2.0) / 2);
  const std::vector<TrendPoint> same = {{3, 1}, {3, 2}};
  EXPECT_FALSE(theil_sen(same, scratch));
}

// The example of introductory courses: x = 1..5, y = 2, 4, 5, 4, 5.
TEST(LeastSquares, TextbookExample) {
  const auto fit = least_squares(points_of({2, 4, 5, 4, 5}));
  ASSERT_TRUE(fit);
  EXPECT_DOUBLE_EQ(fit->slope, 0.6);
  EXPECT_DOUBLE_EQ(*fit->r2, 0.6);
}

TEST(LeastSquares, OfAConstantThereIsNoFit) {
  const auto fit = least_squares(points_of({4, 4, 4}));
  EXPECT_EQ(fit->slope, 0);
  EXPECT_FALSE(fit->r2);
  EXPECT_FALSE(least_squares(points_of(std::vector<double>(7, 100000.1)))->r2);
  EXPECT_FALSE(least_squares(std::vector<TrendPoint>{{1, 2}, {1, 3}}));
}

TEST(LeastSquares, HasNoNumbersTooLargeForIt) {
  const auto fit = least_squares(points_of({-9.2e18, 0, 9.2e18}));
  EXPECT_DOUBLE_EQ(fit->slope, 9.2e18);
  EXPECT_DOUBLE_EQ(*fit->r2, 1);
}

// Every order of 4 to 7 values: how often is s at least what it is here?
TEST(MannKendall, IsNearTheExactProbability) {
  for (int n = 4; n <= 7; ++n) {
    std::vector<double> order(static_cast<size_t>(n));
    std::iota(order.begin(), order.end(), 0.0);
    std::vector<int> orders_with(100, 0);  // by s, of those where it is positive
    std::vector<double> p_of(100, 0);
    int all = 0;
    do {
      const MannKendall test = mann_kendall(points_of(order));
      ++all;
      if (test.s <= 0) continue;
      ++orders_with[static_cast<size_t>(test.s)];
      p_of[static_cast<size_t>(test.s)] = test.p;
    } while (std::next_permutation(order.begin(), order.end()));
    int at_least = 0;
    for (size_t s = 99; s > 0; --s) {
      at_least += orders_with[s];
      if (orders_with[s] == 0) continue;
      EXPECT_NEAR(p_of[s], static_cast<double>(at_least) / all, 0.02) << n << " values, s " << s;
    }
  }
}

// s = 5; the variance is (4*3*13 - 2*1*9) / 18 = 23/3; z = 4 / sqrt(23/3) = 1.44463.
// 1 - statistics.NormalDist().cdf(1.44463) = 0.0742809
TEST(MannKendall, CorrectsForTies) {
  const MannKendall test = mann_kendall(points_of({1, 2, 2, 3}));
  EXPECT_EQ(test.s, 5);
  EXPECT_NEAR(test.p, 0.0742809, 1e-7);
}

TEST(MannKendall, IsOneSidedInEitherDirection) {
  const MannKendall up = mann_kendall(points_of({1, 2, 3, 4, 5, 6, 7, 8}));
  const MannKendall down = mann_kendall(points_of({8, 7, 6, 5, 4, 3, 2, 1}));
  EXPECT_EQ(up.s, 28);
  EXPECT_EQ(down.s, -28);
  EXPECT_EQ(up.p, down.p);
  EXPECT_EQ(mann_kendall(points_of({3, 3, 3})).p, 1);
}

TEST(Thin, KeepsPointsOfALineOnIt) {
  std::vector<TrendPoint> points;
  for (int i = 0; i < 501; ++i) {
    const double at = i + (i % 7) * 0.1;
    points.push_back({at, 1000 - 8 * at});
  }
  const std::vector<TrendPoint> few = thin(points, 64);
  ASSERT_EQ(few.size(), 64U);
  for (const TrendPoint& point : few) EXPECT_NEAR(point.value, 1000 - 8 * point.at, 1e-9);
  EXPECT_EQ(thin(points, 501).size(), 501U);
  EXPECT_EQ(thin(points, 501)[77].at, points[77].at);
}

TEST(TurningPoints, LeaveOutSmallTurns) {
  const auto turns = turning_points(points_of({0, 5, 4, 10, 9, 2, 3, 1, 8}), 5);
  ASSERT_EQ(turns.size(), 4U);
  const std::vector<std::pair<size_t, bool>> expected = {
      {0, false}, {3, true}, {7, false}, {8, true}};
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(turns[i].index, expected[i].first);
    EXPECT_EQ(turns[i].high, expected[i].second);
  }
  EXPECT_TRUE(turning_points(points_of({1, 2, 1, 2}), 5).empty());
  EXPECT_TRUE(turning_points(points_of({1, 1, 1}), 0).empty());
}

}  // namespace
}  // namespace residue
