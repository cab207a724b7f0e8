// What one series of values, a snapshot each, has done: how fast it grows, how well that is borne
// out, and a verdict in a word. Pure functions; docs/trend.md has the reasons for the constants.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "db/trend_statistics.h"

namespace residue {

// Where on the axis of time each snapshot lies: hours since the first, or, where times are missing
// or mostly equal, its number from 0.
struct TrendAxis {
  std::vector<double> at;
  bool hours = false;
};

// `times`: milliseconds since any epoch, in the order of the snapshots; nothing where unknown.
TrendAxis make_axis(std::span<const std::optional<int64_t>> times);

enum class TrendVerdict {
  kTooFew,     // less than three snapshots
  kFlat,       // no trend, and most values are close to each other
  kGrowing,    // a trend upwards
  kShrinking,  // a trend downwards
  kWarmUp,     // grew early, then no more (or less and less)
  kStep,       // one or a few jumps, flat before and after
  kSawTooth,   // rises slowly and falls abruptly, again and again, without a trend
  kNoisy,      // none of these
};
enum class TrendConfidence { kStrong, kLikely, kGuess };

const char* to_string(TrendVerdict verdict);
const char* to_string(TrendConfidence confidence);

struct Trend {
  // Of all snapshots.
  int64_t lowest = 0, highest = 0;
  uint32_t rises = 0, falls = 0;  // intervals
  bool monotonic = false;         // never fell, and rose
  uint32_t warm_up = 0;           // leading snapshots that the rest leaves out
  // Of the rest. Slopes are per unit of the axis.
  std::optional<double> slope;                // Theil–Sen
  std::optional<double> slope_least_squares;  // what one far value can pull away
  std::optional<double> r2;                   // of the latter; of a constant: nothing
  double p = 1;                               // Mann–Kendall, one-sided
  uint32_t jump = 0;                          // kStep: the snapshot that the largest jump leads to
  bool by_lows = false;                       // kGrowing: it is the lows between falls that grow
  TrendVerdict verdict = TrendVerdict::kTooFew;
  TrendConfidence confidence = TrendConfidence::kGuess;
};

// Keeps its memory between series.
class TrendFinder {
 public:
  // REQUIRES: `at` never falls, is as long as `values`, and finite; at least one value.
  Trend find(std::span<const double> at, std::span<const int64_t> values);

 private:
  uint32_t find_warm_up();
  void find_slopes(Trend& trend);
  void decide(Trend& trend);
  bool is_step(Trend& trend) const;
  bool flattens(const Trend& trend);
  bool is_level();
  bool is_saw_tooth(bool* lows_grow) const;
  std::span<const TrendPoint> rest() const { return std::span(points_).subspan(warm_up_); }

  std::vector<TrendPoint> points_;  // values less the first one: exact also near 2^63
  double range_ = 0;                // highest less lowest of all
  double level_ = 0;                // the median value itself
  uint32_t warm_up_ = 0;
  std::vector<double> scratch_;
};

// Why, for people: "rose in 9 of 9 intervals; p = 0.0002".
std::string trend_evidence(const Trend& trend, std::span<const int64_t> values);

}  // namespace residue
