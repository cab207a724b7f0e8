// TrendSource: the series that the table `trend` is made of: which snapshots belong together, and
// the values of their keys.
//
// Snapshots of one process have the same `process`; where that is unknown, the same pid and
// executable. Snapshots of one executable can be a series as well: of each of its processes the
// last one stands for it. A key that a snapshot does not have counts 0 there.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "db/statement.h"
#include "db/trend.h"
#include "formats/base/result.h"

namespace residue {

enum class TrendMeasure { kUsedBytes, kUsedCount, kLeakedBytes, kLeakedCount };
inline constexpr int kTrendMeasures = 4;
const char* to_string(TrendMeasure measure);

enum class TrendGrouping { kProcess, kExecutable };
const char* to_string(TrendGrouping grouping);

inline constexpr size_t kFewestOfTrend = 2;  // snapshots that make a row of the table

// What SQL asks for; nothing means anything.
struct TrendFilter {
  std::optional<std::string> process, executable, dimension, key;
  std::optional<int64_t> pid;
};

// Snapshots in order of their times, or, where one has none, of their ids.
struct TrendGroup {
  TrendGrouping grouping = TrendGrouping::kProcess;
  std::optional<std::string> process;
  std::optional<int64_t> pid;
  std::optional<std::string> executable;
  std::vector<int64_t> snapshots;
  std::optional<std::string> first_at, last_at;
  TrendAxis axis;
};

// The values of all keys of one group and measure. 16 bytes for each that is stored.
class TrendSeries {
 public:
  struct Key {
    std::string dimension, name;
    uint32_t last = ~uint32_t{0};
  };

  void clear();
  // The number of a key, new or not.
  uint32_t key(std::string_view dimension, std::string_view name);
  // Adds to the value of a key in a snapshot (of its number in the group). Of one key, snapshots
  // must ascend. kUnsupported beyond four billion values.
  Result<void> add(uint32_t key, uint32_t snapshot, int64_t value);
  size_t size() const { return keys_.size(); }
  const Key& operator[](size_t key) const { return keys_[key]; }
  // Its value in each of `snapshots` snapshots.
  void expand(size_t key, size_t snapshots, std::vector<int64_t>* values) const;

 private:
  struct Value {
    int64_t value;
    uint32_t snapshot;
    uint32_t before;  // the previous value of the same key, or ~0
  };
  std::vector<Key> keys_;
  std::unordered_map<std::string, uint32_t> numbers_;
  std::vector<Value> values_;
};

// Largest and smallest instead of wrapping.
int64_t add_saturating(int64_t a, int64_t b);

class TrendSource {
 public:
  explicit TrendSource(sqlite3* db) : db_(db) {}

  // Those of at least `fewest` snapshots, in order of their first snapshots' ids. `dimension` and
  // `key` of the filter play no part.
  Result<std::vector<TrendGroup>> groups(TrendGrouping grouping, const TrendFilter& filter,
                                         size_t fewest = kFewestOfTrend);
  Result<void> load(const TrendGroup& group, TrendMeasure measure, const TrendFilter& filter,
                    TrendSeries* series);
  // Whether any snapshot, of whatever process, has keys of this dimension.
  Result<bool> has_dimension(std::string_view dimension);

 private:
  struct Job;  // what load() was asked for
  Result<void> load_totals(const Job& job);
  Result<void> load_heaps(const Job& job);
  Result<void> load_memory(const Job& job);
  Result<void> load_leaked_total(const Job& job);
  Result<void> load_usage(const Job& job);
  Result<void> load_named_usage(const Job& job);
  Result<bool> has_key_numbers();
  Result<std::vector<int64_t>> key_numbers(std::string_view dimension,
                                           const std::optional<std::string>& key);

  sqlite3* db_;
};

}  // namespace residue
