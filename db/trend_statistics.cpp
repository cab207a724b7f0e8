#include "db/trend_statistics.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace residue {
namespace {

// The value that stands at `rank` when sorted.
double nth(std::span<double> values, size_t rank) {
  std::nth_element(values.begin(), values.begin() + static_cast<ptrdiff_t>(rank), values.end());
  return values[rank];
}

}  // namespace

double median(std::span<double> values) {
  const size_t half = values.size() / 2;
  const double high = nth(values, half);
  if (values.size() % 2 == 1) return high;
  const double low =
      *std::max_element(values.begin(), values.begin() + static_cast<ptrdiff_t>(half));
  return low + (high - low) / 2;
}

double quantile(std::span<double> values, double p) {
  const double place = p * static_cast<double>(values.size() - 1);
  const auto rank = static_cast<size_t>(place);
  const double low = nth(values, rank);
  if (rank + 1 == values.size()) return low;
  const double high =
      *std::min_element(values.begin() + static_cast<ptrdiff_t>(rank) + 1, values.end());
  return low + (high - low) * (place - static_cast<double>(rank));
}

std::vector<TrendPoint> thin(std::span<const TrendPoint> points, size_t most) {
  if (points.size() <= most) return {points.begin(), points.end()};
  std::vector<TrendPoint> few;
  few.reserve(most);
  std::vector<double> times;
  std::vector<double> values;
  for (size_t i = 0; i < most; ++i) {
    times.clear();
    values.clear();
    for (size_t j = i * points.size() / most; j < (i + 1) * points.size() / most; ++j) {
      times.push_back(points[j].at);
      values.push_back(points[j].value);
    }
    few.push_back({median(times), median(values)});
  }
  return few;
}

std::optional<TrendLine> theil_sen(std::span<const TrendPoint> points,
                                   std::vector<double>& scratch) {
  scratch.clear();
  for (size_t i = 0; i < points.size(); ++i) {
    for (size_t j = i + 1; j < points.size(); ++j) {
      const double distance = points[j].at - points[i].at;
      if (distance > 0) scratch.push_back((points[j].value - points[i].value) / distance);
    }
  }
  if (scratch.empty()) return std::nullopt;
  TrendLine line;
  line.slope = median(scratch);
  scratch.clear();
  for (const TrendPoint& point : points) scratch.push_back(point.value - line.slope * point.at);
  line.intercept = median(scratch);
  return line;
}

std::optional<LeastSquares> least_squares(std::span<const TrendPoint> points) {
  if (points.empty()) return std::nullopt;
  const auto n = static_cast<double>(points.size());
  double mean_at = 0;
  double mean_value = 0;
  // From the first point on: a constant far from 0 then has no remainder of rounding.
  for (const TrendPoint& point : points) {
    mean_at += (point.at - points[0].at) / n;
    mean_value += (point.value - points[0].value) / n;
  }
  double at_at = 0;
  double at_value = 0;
  double value_value = 0;
  for (const TrendPoint& point : points) {
    const double at = point.at - points[0].at - mean_at;
    const double value = point.value - points[0].value - mean_value;
    at_at += at * at;
    at_value += at * value;
    value_value += value * value;
  }
  if (!(at_at > 0)) return std::nullopt;
  LeastSquares fit;
  fit.slope = at_value / at_at;
  if (value_value > 0) fit.r2 = std::clamp(fit.slope * at_value / value_value, 0.0, 1.0);
  return fit;
}

MannKendall mann_kendall(std::span<const TrendPoint> points) {
  MannKendall result;
  for (size_t i = 0; i < points.size(); ++i) {
    for (size_t j = i + 1; j < points.size(); ++j) {
      result.s += points[j].value > points[i].value ? 1 : 0;
      result.s -= points[j].value < points[i].value ? 1 : 0;
    }
  }
  std::vector<double> sorted;
  for (const TrendPoint& point : points) sorted.push_back(point.value);
  std::sort(sorted.begin(), sorted.end());
  const auto term = [](size_t count) {
    const auto n = static_cast<double>(count);
    return n * (n - 1) * (2 * n + 5);
  };
  double variance = term(points.size());
  for (auto at = sorted.begin(); at != sorted.end();) {
    const auto end = std::upper_bound(at, sorted.end(), *at);
    variance -= term(static_cast<size_t>(end - at));
    at = end;
  }
  variance /= 18;
  const double distance = std::abs(result.s) - 1;
  if (variance > 0 && distance > 0) {
    result.p = std::erfc(distance / std::sqrt(variance) / std::numbers::sqrt2) / 2;
  } else {
    result.p = result.s == 0 ? 1 : 0.5;
  }
  return result;
}

std::vector<TurningPoint> turning_points(std::span<const TrendPoint> points, double least) {
  std::vector<TurningPoint> turns;
  if (points.empty() || !(least > 0)) return turns;
  // The lowest and highest since the last turn; which of them is the next turn shows when the
  // series has moved away from it by `least`.
  size_t low = 0;
  size_t high = 0;
  int direction = 0;  // 1: rising, -1: falling, 0: not known yet
  for (size_t i = 1; i < points.size(); ++i) {
    if (points[i].value < points[low].value) low = i;
    if (points[i].value > points[high].value) high = i;
    if (direction >= 0 && points[high].value - points[i].value >= least) {
      turns.push_back({high, true});
      direction = -1;
      low = i;
    } else if (direction <= 0 && points[i].value - points[low].value >= least) {
      turns.push_back({low, false});
      direction = 1;
      high = i;
    }
  }
  if (direction > 0) turns.push_back({high, true});
  if (direction < 0) turns.push_back({low, false});
  return turns;
}

}  // namespace residue
