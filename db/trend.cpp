// A series of measurements of a heap has no model that always fits. A leak in a request handler is
// a line; one in a container that doubles is a stair; caches fill and stop; a collected heap is a
// saw. Least squares bends to a single snapshot taken in the middle of a batch job, so the slope is
// Theil–Sen's, and whether there is a trend at all is Mann–Kendall's test of the same pairs: both
// look at the order of values only, not at their distribution. Both take quadratic time; longer
// series are first thinned to kMostPoints medians, which also takes the weight from neighbours that
// repeat each other.
//
// Warm-up: the later half of a series tells how the program behaves when it has settled. Its line
// is drawn backwards; leading snapshots that lie below it belong to the time before. What does the
// opposite, growing faster and faster, lies above the line and is left alone. Rejected: a fit of
// two lines with the break wherever the error is least, which finds a break in every series, and
// puts that of a curve that bends gently in its middle.
#include "db/trend.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

namespace residue {
namespace {

constexpr size_t kFewest = 3;       // snapshots of which anything is said
constexpr size_t kMostPoints = 64;  // 2016 pairs: 2,000 keys take 0.1 s
// One chance in twenty, and in a thousand, that snapshots in random order look like this. The first
// is reached by four snapshots that grow one after the other, the second by eight.
constexpr double kLikelyP = 0.05;
constexpr double kStrongP = 0.001;
constexpr size_t kStrongSnapshots = 8;  // the same for verdicts that have no p
constexpr size_t kLikelySnapshots = 5;
// Warm-up: a snapshot lies below the line if it is further from it than three standard deviations
// and than a fiftieth of the range; the first one has to be further by a tenth of the range.
constexpr double kDeviations = 3;
constexpr size_t kFewLate = 8;  // later snapshots that are too few to tell their deviation
constexpr double kNearLine = 0.02;
constexpr double kWarmUpShare = 0.1;
constexpr double kHeadFaster = 2;     // growth in the warm-up, compared to that after it
constexpr double kSettledRate = 0.1;  // the opposite: so slow that it has flattened
constexpr double kStillFlattening = 0.7;
constexpr double kLevelShare = 0.05;  // of the level: middle half of the values of a flat series
constexpr double kStepNoise = 0.1;    // of the jump: what either side of it may vary
constexpr size_t kStepHead = 3;       // snapshots before it, or it is a warm-up
constexpr double kToothShare = 0.3;   // of the range: what counts as a fall or a rise
constexpr double kToothSlope = 2;     // how much longer the rises last

// a - b, without overflow and, unless they are 2^53 apart, without rounding.
double difference(int64_t a, int64_t b) {
  if (a >= b) return static_cast<double>(static_cast<uint64_t>(a) - static_cast<uint64_t>(b));
  return -static_cast<double>(static_cast<uint64_t>(b) - static_cast<uint64_t>(a));
}

double range_of(std::span<const TrendPoint> points) {
  const auto [low, high] = std::minmax_element(
      points.begin(), points.end(),
      [](const TrendPoint& a, const TrendPoint& b) { return a.value < b.value; });
  return points.empty() ? 0 : high->value - low->value;
}

TrendConfidence by_p(double p) {
  if (p <= kStrongP) return TrendConfidence::kStrong;
  return p <= kLikelyP ? TrendConfidence::kLikely : TrendConfidence::kGuess;
}

TrendConfidence by_count(size_t snapshots) {
  if (snapshots >= kStrongSnapshots) return TrendConfidence::kStrong;
  return snapshots >= kLikelySnapshots ? TrendConfidence::kLikely : TrendConfidence::kGuess;
}

TrendConfidence at_most_likely(TrendConfidence confidence) {
  return std::max(confidence, TrendConfidence::kLikely);
}

}  // namespace

const char* to_string(TrendVerdict verdict) {
  static constexpr std::array<const char*, 8> kNames = {"too few", "flat", "growing",   "shrinking",
                                                        "warm-up", "step", "saw-tooth", "noisy"};
  return kNames[static_cast<size_t>(verdict)];
}

const char* to_string(TrendConfidence confidence) {
  static constexpr std::array<const char*, 3> kNames = {"strong", "likely", "guess"};
  return kNames[static_cast<size_t>(confidence)];
}

TrendAxis make_axis(std::span<const std::optional<int64_t>> times) {
  constexpr double kMillisecondsPerHour = 3.6e6;
  TrendAxis axis;
  size_t advances = 0;
  axis.hours = times.size() > 1;
  for (size_t i = 0; i < times.size(); ++i) {
    axis.hours = axis.hours && times[i] && (i == 0 || *times[i] >= *times[i - 1]);
    if (!axis.hours) break;
    if (i > 0 && *times[i] > *times[i - 1]) ++advances;
  }
  axis.hours = axis.hours && 2 * advances >= times.size() - 1;
  for (size_t i = 0; i < times.size(); ++i) {
    axis.at.push_back(axis.hours ? difference(*times[i], *times[0]) / kMillisecondsPerHour
                                 : static_cast<double>(i));
  }
  return axis;
}

Trend TrendFinder::find(std::span<const double> at, std::span<const int64_t> values) {
  Trend trend;
  const size_t n = values.size();
  points_.clear();
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  trend.lowest = *low;
  trend.highest = *high;
  range_ = difference(*high, *low);
  for (size_t i = 0; i < n; ++i) {
    points_.push_back({at[i], difference(values[i], values[0])});
    if (i == 0) continue;
    trend.rises += values[i] > values[i - 1] ? 1 : 0;
    trend.falls += values[i] < values[i - 1] ? 1 : 0;
  }
  trend.monotonic = trend.falls == 0 && trend.rises > 0;
  warm_up_ = 0;
  if (range_ == 0) {
    if (at.back() > at.front()) trend.slope = trend.slope_least_squares = 0;
    if (n < kFewest) return trend;
    trend.verdict = TrendVerdict::kFlat;
    trend.confidence = by_count(n);
    return trend;
  }
  scratch_.clear();
  for (const TrendPoint& point : points_) scratch_.push_back(point.value);
  level_ = static_cast<double>(values[0]) + median(scratch_);
  const bool step = n >= kFewest && is_step(trend);
  if (!step) warm_up_ = find_warm_up();
  trend.warm_up = warm_up_;
  find_slopes(trend);
  if (n < kFewest) return trend;
  if (step) {
    trend.verdict = TrendVerdict::kStep;
    const size_t shorter = std::min<size_t>(trend.jump, n - trend.jump);
    trend.confidence = at_most_likely(by_count(2 * shorter));
    return trend;
  }
  decide(trend);
  return trend;
}

void TrendFinder::find_slopes(Trend& trend) {
  const std::vector<TrendPoint> few = thin(rest(), kMostPoints);
  if (const auto line = theil_sen(few, scratch_)) trend.slope = line->slope;
  if (const auto fit = least_squares(rest())) {
    trend.slope_least_squares = fit->slope;
    trend.r2 = fit->r2;
  }
  trend.p = mann_kendall(few).p;
}

// The number of leading snapshots that belong to the warm-up; at most half of them.
uint32_t TrendFinder::find_warm_up() {
  const size_t n = points_.size();
  const size_t late = std::max(kFewest, n - n / 2);
  if (n <= late) return 0;
  const auto tail = std::span(points_).last(late);
  const std::vector<TrendPoint> few = thin(tail, kMostPoints);
  const auto line = theil_sen(few, scratch_);
  if (!line) return 0;
  scratch_.clear();
  for (const TrendPoint& point : tail) {
    scratch_.push_back(std::abs(point.value - line->value_at(point.at)));
  }
  // 1.4826 makes the median deviation of normal noise its standard deviation; the line has taken
  // two degrees of freedom from it, which few snapshots feel.
  const auto count = static_cast<double>(late);
  const double worst = *std::max_element(scratch_.begin(), scratch_.end());
  const double deviation = 1.4826 * median(scratch_) * count / (count - 2);
  const double near = std::max(
      {kDeviations * deviation, late < kFewLate ? kDeviations * worst : 0.0, kNearLine * range_});
  const auto below = [&](const TrendPoint& p) { return line->value_at(p.at) - p.value; };
  size_t head = 0;
  while (head < n - late && below(points_[head]) > near) ++head;
  if (head == 0 || below(points_[0]) < kWarmUpShare * range_) return 0;
  const double time = points_[head].at - points_[0].at;
  const double gained = points_[head].value - points_[0].value;
  if (!(gained > 0) || gained < kHeadFaster * std::max(line->slope, 0.0) * time) return 0;
  return static_cast<uint32_t>(head);
}

// One jump, up or down, with hardly anything else before and after it.
bool TrendFinder::is_step(Trend& trend) const {
  const std::span<const TrendPoint> all(points_);
  size_t jump = 0;
  double height = 0;
  for (size_t i = 1; i < all.size(); ++i) {
    const double one = std::abs(all[i].value - all[i - 1].value);
    if (one <= height) continue;
    height = one;
    jump = i;
  }
  const size_t least = std::max(kStepHead, (all.size() + 9) / 10);
  if (jump < least || range_of(all.first(jump)) > kStepNoise * height ||
      range_of(all.subspan(jump)) > kStepNoise * height) {
    return false;
  }
  trend.jump = static_cast<uint32_t>(jump);
  return true;
}

// After a warm-up: it grows still, but little, slowly, and less and less.
bool TrendFinder::flattens(const Trend& trend) {
  if (warm_up_ == 0) return false;
  const auto tail = rest();
  const double time = tail.front().at - points_.front().at;
  const double gained = tail.front().value - points_.front().value;
  const double slope = trend.slope.value_or(0);
  const double drift = slope * (tail.back().at - tail.front().at);
  if (slope * time > kSettledRate * gained || drift > kSettledRate * range_) return false;
  const auto last = tail.last(std::max<size_t>(2, tail.size() / 2));
  const auto line = theil_sen(thin(last, kMostPoints), scratch_);
  return line && line->slope < kStillFlattening * slope;
}

// The middle half of the values lies close together.
bool TrendFinder::is_level() {
  scratch_.clear();
  for (const TrendPoint& point : rest()) scratch_.push_back(point.value);
  const double upper = quantile(scratch_, 0.75);
  const double lower = quantile(scratch_, 0.25);
  return upper - lower <= kLevelShare * std::abs(level_);
}

// At least two falls, and rises that last longer than falls. `lows_grow`: four lows or more that
// grow: what is left after each collection.
bool TrendFinder::is_saw_tooth(bool* lows_grow) const {
  const std::vector<TurningPoint> turns = turning_points(rest(), kToothShare * range_of(rest()));
  size_t falls = 0;
  size_t rises = 0;
  size_t fall_length = 0;
  size_t rise_length = 0;
  std::vector<TrendPoint> lows;
  for (size_t i = 0; i < turns.size(); ++i) {
    if (!turns[i].high) lows.push_back(rest()[turns[i].index]);
    if (i == 0) continue;
    const size_t length = turns[i].index - turns[i - 1].index;
    ++(turns[i].high ? rises : falls);
    (turns[i].high ? rise_length : fall_length) += length;
  }
  if (falls < 2 || rises < 2) return false;
  const double rise = static_cast<double>(rise_length) / static_cast<double>(rises);
  const double fall = static_cast<double>(fall_length) / static_cast<double>(falls);
  if (rise < kToothSlope * fall) return false;
  // The last low may be one that the series has not yet reached.
  const MannKendall test = mann_kendall(thin(lows, kMostPoints));
  *lows_grow = test.s > 0 && test.p <= kLikelyP;
  return true;
}

void TrendFinder::decide(Trend& trend) {
  const double slope = trend.slope.value_or(0);
  const size_t n = rest().size();
  bool lows_grow = false;
  const bool saw_tooth = is_saw_tooth(&lows_grow);
  // Three snapshots that grow are no proof, but nothing else should be said of them.
  const double drift = slope * (rest().back().at - rest().front().at);
  const bool grows_only = trend.monotonic && (warm_up_ == 0 || drift > kSettledRate * range_);
  const bool falls_only = trend.rises == 0;
  const bool trending = trend.p <= kLikelyP || grows_only || falls_only;
  if (trending && slope > 0 && !flattens(trend)) {
    trend.verdict = TrendVerdict::kGrowing;
    trend.confidence = by_p(trend.p);
  } else if (trending && slope < 0) {
    trend.verdict = TrendVerdict::kShrinking;
    trend.confidence = by_p(trend.p);
  } else if (lows_grow) {
    trend.verdict = TrendVerdict::kGrowing;
    trend.confidence = TrendConfidence::kGuess;
    trend.by_lows = true;
  } else if (range_ <= kLevelShare * std::abs(level_)) {
    trend.verdict = TrendVerdict::kFlat;  // whatever it does, it is little
    trend.confidence = by_count(n);
  } else if (saw_tooth) {
    trend.verdict = TrendVerdict::kSawTooth;
    trend.confidence = at_most_likely(by_count(n));
  } else if (warm_up_ > 0) {
    trend.verdict = TrendVerdict::kWarmUp;
    trend.confidence = at_most_likely(by_count(n));
  } else if (trending && slope == 0 && trend.monotonic) {
    trend.verdict = TrendVerdict::kStep;  // several, and most snapshots between them
    trend.confidence = TrendConfidence::kGuess;
  } else if (is_level()) {
    trend.verdict = TrendVerdict::kFlat;
    trend.confidence = by_count(n);
  } else {
    trend.verdict = TrendVerdict::kNoisy;
    trend.confidence = at_most_likely(by_count(n));
  }
}

std::string trend_evidence(const Trend& trend, std::span<const int64_t> values) {
  const size_t intervals = values.size() - 1;
  std::string text;
  const auto add = [&text](const std::string& part) {
    if (!text.empty()) text += "; ";
    text += part;
  };
  std::array<char, 64> number{};
  if (trend.rises + trend.falls == 0) return "all values are equal";
  if (trend.verdict == TrendVerdict::kStep && trend.jump > 0) {
    const bool up = values[trend.jump] > values[trend.jump - 1];
    std::string jump = up ? "one rise, after snapshot " : "one fall, after snapshot ";
    jump.append(std::to_string(trend.jump)).append(" of ").append(std::to_string(intervals + 1));
    add(jump);
  }
  const bool down = trend.verdict == TrendVerdict::kShrinking;
  std::string steps = down ? "fell in " : "rose in ";
  steps.append(std::to_string(down ? trend.falls : trend.rises));
  steps.append(" of ").append(std::to_string(intervals)).append(" intervals");
  if (!down && trend.falls > 0) steps.append(", fell in ").append(std::to_string(trend.falls));
  add(steps);
  if (trend.warm_up > 0) {
    std::string head = "the first ";
    add(head.append(std::to_string(trend.warm_up)).append(" are left out as warm-up"));
  }
  if (trend.by_lows) add("the lows between its falls grow");
  std::snprintf(number.data(), number.size(), "p = %.2g", trend.p);
  if (values.size() >= kFewest && trend.slope.value_or(0) != 0) add(number.data());
  return text;
}

}  // namespace residue
