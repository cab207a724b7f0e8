// Statistics over one short series of points: pure functions, no units, no database.
//
// Points are in order of `at`, which never falls but may stay; values may be anything finite.
// Slopes are "value per unit of at". Sources: Theil (1950) and Sen (1968) for the slope, Mann
// (1945) and Kendall (1975) for the test of a trend.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

namespace residue {

struct TrendPoint {
  double at = 0;
  double value = 0;
};

// The middle value, or the mean of the two in the middle. Reorders. REQUIRES: not empty.
double median(std::span<double> values);

// The value below which the share `p` (0..1) lies, interpolated between neighbours (Hyndman and
// Fan's type 7, "inclusive"). Reorders. REQUIRES: not empty.
double quantile(std::span<double> values, double p);

// At most `most` points: runs of neighbours, as equal in length as possible, are replaced by the
// medians of their times and values. Points on a line stay on it. REQUIRES: most > 0.
std::vector<TrendPoint> thin(std::span<const TrendPoint> points, size_t most);

struct TrendLine {
  double slope = 0;
  double intercept = 0;  // the value at 0
  double value_at(double at) const { return intercept + slope * at; }
};

// Theil–Sen: the median of the slopes of all pairs of points that differ in `at`, through the
// median of what remains; nothing if no pair does. Up to 29 % of the points may be arbitrarily
// wrong. Quadratic: thin() first. `scratch` is only there to be used again.
std::optional<TrendLine> theil_sen(std::span<const TrendPoint> points,
                                   std::vector<double>& scratch);

struct LeastSquares {
  double slope = 0;
  std::optional<double> r2;  // 0..1, the share of the variance it explains; of a constant: nothing
};

// Nothing if all points have the same `at`.
std::optional<LeastSquares> least_squares(std::span<const TrendPoint> points);

struct MannKendall {
  double s = 0;  // pairs that rise less pairs that fall
  double p = 1;  // how probable |s| or more in this direction is in a random order (one-sided)
};

// By the normal approximation with the correction for ties and for continuity; from four points on
// it is within 0.02 of the exact probability. Quadratic.
MannKendall mann_kendall(std::span<const TrendPoint> points);

// The alternating low and high points of a series, leaving out every turn smaller than `least`.
// The first and last are where the series begins and ends, if it turned from or towards them.
struct TurningPoint {
  size_t index = 0;
  bool high = false;
};
std::vector<TurningPoint> turning_points(std::span<const TrendPoint> points, double least);

}  // namespace residue
