#include "db/trend_source.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>
#include <tuple>
#include <utility>

namespace residue {
namespace {

constexpr uint32_t kNoValue = ~uint32_t{0};

struct StoredSnapshot {
  int64_t id = 0;
  std::optional<std::string> process, executable, taken_at;
  std::optional<int64_t> pid;
  std::optional<int64_t> time;  // milliseconds
};

std::optional<std::string> text_or_null(const Statement& statement, int column) {
  if (sqlite3_column_type(statement.get(), column) == SQLITE_NULL) return std::nullopt;
  return std::string(statement.text(column));
}

// A Julian day as SQLite makes it of a text: to the millisecond.
std::optional<int64_t> milliseconds(const Statement& statement, int column) {
  if (sqlite3_column_type(statement.get(), column) != SQLITE_FLOAT) return std::nullopt;
  const double days = sqlite3_column_double(statement.get(), column);
  if (!(days >= 0 && days < 1e7)) return std::nullopt;
  return std::llround(days * 86400000);
}

// Ordered as groups will be: which process a snapshot belongs to.
using Identity =
    std::tuple<std::optional<std::string>, std::optional<int64_t>, std::optional<std::string>>;

Identity identity_of(const StoredSnapshot& s) {
  if (s.process) return {s.process, std::nullopt, std::nullopt};
  return {std::nullopt, s.pid, s.executable};
}

// By time if all have one, else as they were stored.
void put_in_order(std::vector<const StoredSnapshot*>& members) {
  const bool timed = std::all_of(members.begin(), members.end(),
                                 [](const StoredSnapshot* s) { return s->time.has_value(); });
  std::stable_sort(members.begin(), members.end(),
                   [timed](const StoredSnapshot* a, const StoredSnapshot* b) {
                     if (timed && a->time != b->time) return *a->time < *b->time;
                     return a->id < b->id;
                   });
}

TrendGroup make_group(const std::vector<const StoredSnapshot*>& members, TrendGrouping grouping) {
  TrendGroup group;
  group.grouping = grouping;
  const StoredSnapshot& last = *members.back();
  if (grouping == TrendGrouping::kProcess) {
    group.process = last.process;
    group.pid = last.pid;
  }
  group.executable = last.executable;
  group.first_at = members.front()->taken_at;
  group.last_at = last.taken_at;
  std::vector<std::optional<int64_t>> times;
  for (const StoredSnapshot* s : members) {
    group.snapshots.push_back(s->id);
    times.push_back(s->time);
  }
  group.axis = make_axis(times);
  return group;
}

bool passes(const std::optional<std::string>& wanted, const std::optional<std::string>& value) {
  return !wanted || wanted == value;
}

}  // namespace

const char* to_string(TrendMeasure measure) {
  static constexpr std::array<const char*, kTrendMeasures> kNames = {
      "used_bytes", "used_count", "leaked_bytes", "leaked_count"};
  return kNames[static_cast<size_t>(measure)];
}

const char* to_string(TrendGrouping grouping) {
  return grouping == TrendGrouping::kProcess ? "process" : "executable";
}

int64_t add_saturating(int64_t a, int64_t b) {
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  constexpr int64_t kLeast = std::numeric_limits<int64_t>::min();
  if (b > 0 && a > kMost - b) return kMost;
  if (b < 0 && a < kLeast - b) return kLeast;
  return a + b;
}

void TrendSeries::clear() {
  keys_.clear();
  numbers_.clear();
  values_.clear();
}

uint32_t TrendSeries::key(std::string_view dimension, std::string_view name) {
  std::string both(dimension);
  both.push_back('\0');
  both.append(name);
  const auto [it, is_new] =
      numbers_.try_emplace(std::move(both), static_cast<uint32_t>(keys_.size()));
  if (is_new) keys_.push_back({std::string(dimension), std::string(name), kNoValue});
  return it->second;
}

Result<void> TrendSeries::add(uint32_t key, uint32_t snapshot, int64_t value) {
  uint32_t& last = keys_[key].last;
  if (last != kNoValue && values_[last].snapshot == snapshot) {
    values_[last].value = add_saturating(values_[last].value, value);
    return {};
  }
  if (values_.size() == kNoValue) {
    return Error{ErrorCode::kUnsupported, "too many rows of usage for one process", {}};
  }
  values_.push_back({value, snapshot, last});
  last = static_cast<uint32_t>(values_.size() - 1);
  return {};
}

void TrendSeries::expand(size_t key, size_t snapshots, std::vector<int64_t>* values) const {
  values->assign(snapshots, 0);
  for (uint32_t i = keys_[key].last; i != kNoValue; i = values_[i].before) {
    (*values)[values_[i].snapshot] = values_[i].value;
  }
}

Result<std::vector<TrendGroup>> TrendSource::groups(TrendGrouping grouping,
                                                    const TrendFilter& filter, size_t fewest) {
  // Several processes have no process.
  const bool of_executable = grouping == TrendGrouping::kExecutable;
  if (of_executable && (filter.process || filter.pid)) return std::vector<TrendGroup>{};
  RESIDUE_ASSIGN(Statement select,
                 Statement::prepare(db_,
                                    "SELECT id, process, pid, executable, taken_at, "
                                    "julianday(taken_at) FROM snapshot ORDER BY id"));
  std::vector<StoredSnapshot> all;
  for (;;) {
    RESIDUE_ASSIGN(const bool more, select.step());
    if (!more) break;
    StoredSnapshot s;
    s.id = select.integer(0);
    s.process = text_or_null(select, 1);
    if (sqlite3_column_type(select.get(), 2) != SQLITE_NULL) s.pid = select.integer(2);
    s.executable = text_or_null(select, 3);
    if (!passes(filter.executable, s.executable)) continue;
    if (!passes(filter.process, s.process) || (filter.pid && filter.pid != s.pid)) continue;
    s.taken_at = text_or_null(select, 4);
    s.time = milliseconds(select, 5);
    all.push_back(std::move(s));
  }
  std::map<Identity, std::vector<const StoredSnapshot*>> members;
  for (const StoredSnapshot& s : all) members[identity_of(s)].push_back(&s);
  if (of_executable) {
    std::map<Identity, std::vector<const StoredSnapshot*>> runs;
    for (auto& [identity, list] : members) {
      put_in_order(list);
      if (list.back()->executable) runs[{{}, {}, list.back()->executable}].push_back(list.back());
    }
    members = std::move(runs);
  }
  std::vector<TrendGroup> groups;
  for (auto& [identity, list] : members) {
    if (list.size() < fewest) continue;
    put_in_order(list);
    groups.push_back(make_group(list, grouping));
  }
  std::sort(groups.begin(), groups.end(), [](const TrendGroup& a, const TrendGroup& b) {
    return a.snapshots.front() < b.snapshots.front();
  });
  return groups;
}

}  // namespace residue
