#include "db/trend_vtab.h"

#include <array>
#include <cmath>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "db/trend.h"
#include "db/trend_source.h"
#include "db/virtual_table.h"

namespace residue {
namespace {

enum TrendColumn : int {
  kColProcess,
  kColPid,
  kColExecutable,
  kColDimension,
  kColKey,
  kColMeasure,
  kColSnapshots,
  kColFirstSnapshot,
  kColLastSnapshot,
  kColFirstAt,
  kColLastAt,
  kColFirstValue,
  kColLastValue,
  kColLowest,
  kColHighest,
  kColSlope,
  kColUnit,
  kColLeastSquares,
  kColR2,
  kColMonotonic,
  kColStepsUp,
  kColWarmUp,
  kColVerdict,
  kColConfidence,
  kColEvidence,
  kColSeries,
  kColGrouping,
};

// Bits of idxNum: there is a condition on the column that we cannot use, so that SQLite has to see
// every value.
constexpr int kEveryMeasure = 1;
constexpr int kEveryGrouping = 2;

// Walks groupings, groups, measures and keys.
struct TrendCursor : sqlite3_vtab_cursor {
  static constexpr const char* kDeclaration =
      "CREATE TABLE trend(process TEXT, pid INTEGER, executable TEXT, dimension TEXT, key TEXT, "
      "measure TEXT, snapshots INTEGER, first_snapshot INTEGER, last_snapshot INTEGER, "
      "first_at TEXT, last_at TEXT, first_value INTEGER, last_value INTEGER, lowest INTEGER, "
      "highest INTEGER, slope REAL, unit TEXT, slope_least_squares REAL, r2 REAL, "
      "monotonic INTEGER, steps_up REAL, warm_up INTEGER, verdict TEXT, confidence TEXT, "
      "evidence TEXT, series TEXT, grouping TEXT)";

  // Snapshots in memory are in the tables as well, and those are all that it reads.
  TrendCursor(sqlite3* db, const LiveSnapshots&) : sqlite3_vtab_cursor{}, source(db) {}

  static int plan(sqlite3_index_info* info);
  Result<void> start(int number, const char* plan, std::span<sqlite3_value*> arguments);
  bool at_end() const { return done; }
  Result<void> next() {
    ++key;
    ++row;
    return advance();
  }
  Result<void> give(sqlite3_context* context, int column);
  int64_t rowid() const { return row; }

  void read_plan(int number, const char* plan, std::span<sqlite3_value*> arguments);
  void apply(char term, sqlite3_value* argument);
  Result<void> advance();
  const TrendGroup& group() const { return groups[next_group]; }
  const Trend& trend();
  void read_values() { series.expand(key, group().snapshots.size(), &values); }

  TrendSource source;
  TrendFilter filter;
  std::vector<TrendMeasure> measures;
  std::vector<TrendGrouping> groupings;
  bool nothing = false;  // a condition that no row meets

  size_t next_grouping = 0;
  std::vector<TrendGroup> groups;
  size_t next_group = 0;
  size_t next_measure = 0;
  TrendSeries series;
  size_t key = 0;
  bool done = true;
  int64_t row = 0;

  std::vector<int64_t> values;
  TrendFinder finder;
  Trend found;
  bool is_found = false;
};

// Leaves the values whose name is `text`.
template <typename T>
void keep_named(std::vector<T>* all, std::string_view text) {
  std::erase_if(*all, [text](T one) { return to_string(one) != text; });
}

// Texts are compared as SQLite would after giving the value the column's affinity; it checks again,
// so that here too much may be let through.
void TrendCursor::apply(char term, sqlite3_value* argument) {
  const int type = sqlite3_value_type(argument);
  if (type == SQLITE_NULL) {
    nothing = true;
    return;
  }
  if (term == 'i') {
    if (sqlite3_value_numeric_type(argument) == SQLITE_INTEGER) {
      filter.pid = sqlite3_value_int64(argument);
    }
    return;
  }
  if (type == SQLITE_BLOB) {
    nothing = true;
    return;
  }
  const auto* start = reinterpret_cast<const char*>(sqlite3_value_text(argument));
  if (start == nullptr) return;
  const std::string text(start, static_cast<size_t>(sqlite3_value_bytes(argument)));
  switch (term) {
    case 'p':
      filter.process = text;
      break;
    case 'e':
      filter.executable = text;
      break;
    case 'd':
      filter.dimension = text;
      break;
    case 'k':
      filter.key = text;
      break;
    case 'm':
      keep_named(&measures, text);
      break;
    default:
      keep_named(&groupings, text);
  }
}

void TrendCursor::read_plan(int number, const char* plan, std::span<sqlite3_value*> arguments) {
  filter = {};
  nothing = false;
  measures = {TrendMeasure::kUsedBytes, TrendMeasure::kUsedCount, TrendMeasure::kLeakedBytes,
              TrendMeasure::kLeakedCount};
  groupings = {TrendGrouping::kProcess, TrendGrouping::kExecutable};
  const std::string_view terms(plan);
  if ((number & kEveryMeasure) == 0 && terms.find('m') == std::string_view::npos) {
    measures.resize(1);
  }
  if ((number & kEveryGrouping) == 0 && terms.find('g') == std::string_view::npos) {
    groupings.resize(1);
  }
  for (size_t i = 0; i < arguments.size() && i < terms.size(); ++i) apply(terms[i], arguments[i]);
}

Result<void> TrendCursor::start(int number, const char* plan, std::span<sqlite3_value*> arguments) {
  read_plan(number, plan, arguments);
  groups.clear();
  series.clear();
  next_grouping = 0;
  next_group = 0;
  next_measure = 0;
  key = 0;
  row = 0;
  is_found = false;
  done = nothing || measures.empty();
  if (done) return {};
  return advance();
}

// To the key at `key`, or to the first one of the next group that has any.
Result<void> TrendCursor::advance() {
  is_found = false;
  while (key == series.size()) {
    key = 0;
    series.clear();
    if (next_measure == measures.size()) {
      next_measure = 0;
      ++next_group;
    }
    while (next_group >= groups.size()) {
      if (next_grouping == groupings.size()) {
        done = true;
        return {};
      }
      RESIDUE_ASSIGN(groups, source.groups(groupings[next_grouping], filter));
      ++next_grouping;
      next_group = 0;
    }
    RESIDUE_TRY(source.load(group(), measures[next_measure], filter, &series));
    ++next_measure;
  }
  read_values();
  return {};
}

const Trend& TrendCursor::trend() {
  if (!is_found) found = finder.find(group().axis.at, values);
  is_found = true;
  return found;
}

struct Pushed {
  int column;
  char term;
  double share;  // of the rows that it leaves, roughly
};
constexpr std::array<Pushed, 7> kPushed = {{{kColProcess, 'p', 0.05},
                                            {kColPid, 'i', 0.05},
                                            {kColExecutable, 'e', 0.2},
                                            {kColDimension, 'd', 0.2},
                                            {kColKey, 'k', 0.001},
                                            {kColMeasure, 'm', 0.9},
                                            {kColGrouping, 'g', 0.9}}};

// The letter of a condition that can be used; 0 for none.
const Pushed* usable(sqlite3_index_info* info, int i) {
  const auto& constraint = info->aConstraint[i];
  if (constraint.usable == 0 || constraint.op != SQLITE_INDEX_CONSTRAINT_EQ) return nullptr;
  for (const Pushed& one : kPushed) {
    if (one.column != constraint.iColumn) continue;
    const bool plain =
        one.column == kColPid || std::string_view(sqlite3_vtab_collation(info, i)) == "BINARY";
    return plain ? &one : nullptr;
  }
  return nullptr;
}

int TrendCursor::plan(sqlite3_index_info* info) {
  std::string letters;
  double rows = 1e6;
  for (int i = 0; i < info->nConstraint; ++i) {
    const int column = info->aConstraint[i].iColumn;
    const Pushed* pushed = usable(info, i);
    if (pushed == nullptr) {
      if (column == kColMeasure) info->idxNum |= kEveryMeasure;
      if (column == kColGrouping) info->idxNum |= kEveryGrouping;
      continue;
    }
    letters += pushed->term;
    info->aConstraintUsage[i].argvIndex = static_cast<int>(letters.size());
    rows *= pushed->share;
  }
  info->idxStr = sqlite3_mprintf("%s", letters.c_str());
  if (info->idxStr == nullptr) return SQLITE_NOMEM;
  info->needToFreeIdxStr = 1;
  info->estimatedRows = static_cast<sqlite3_int64>(rows) + 1;
  info->estimatedCost = 500 * rows + 10000;  // a row is made of many; all snapshots are listed
  return SQLITE_OK;
}

// Nothing given is NULL.
void give(sqlite3_context* context, std::string_view text) {
  sqlite3_result_text64(context, text.data(), text.size(), SQLITE_TRANSIENT, SQLITE_UTF8);
}

void give(sqlite3_context* context, const std::optional<std::string>& text) {
  if (text) give(context, std::string_view(*text));
}

void give(sqlite3_context* context, const std::optional<double>& number) {
  if (number && std::isfinite(*number)) sqlite3_result_double(context, *number);
}

std::string as_json(std::span<const int64_t> values) {
  std::string json = "[";
  for (const int64_t value : values) {
    if (json.size() > 1) json += ',';
    json += std::to_string(value);
  }
  json += ']';
  return json;
}

// Columns of the group and the key.
void give_place(TrendCursor& cursor, sqlite3_context* context, int column) {
  const TrendGroup& group = cursor.group();
  switch (column) {
    case kColProcess:
      return give(context, group.process);
    case kColPid:
      if (group.pid) sqlite3_result_int64(context, *group.pid);
      return;
    case kColExecutable:
      return give(context, group.executable);
    case kColDimension:
      return give(context, std::string_view(cursor.series[cursor.key].dimension));
    case kColKey:
      return give(context, std::string_view(cursor.series[cursor.key].name));
    case kColMeasure:
      return give(context, std::string_view(to_string(cursor.measures[cursor.next_measure - 1])));
    case kColSnapshots:
      return sqlite3_result_int64(context, static_cast<int64_t>(group.snapshots.size()));
    case kColFirstSnapshot:
      return sqlite3_result_int64(context, group.snapshots.front());
    case kColLastSnapshot:
      return sqlite3_result_int64(context, group.snapshots.back());
    case kColFirstAt:
      return give(context, group.first_at);
    case kColLastAt:
      return give(context, group.last_at);
    case kColUnit:
      return give(context, std::string_view(group.axis.hours ? "per hour" : "per snapshot"));
    case kColGrouping:
      return give(context, std::string_view(to_string(group.grouping)));
    case kColFirstValue:
      return sqlite3_result_int64(context, cursor.values.front());
    case kColLastValue:
      return sqlite3_result_int64(context, cursor.values.back());
    case kColSeries:
      return give(context, std::string_view(as_json(cursor.values)));
    default:
      return;
  }
}

// Columns that take a look at the whole series.
void give_trend(TrendCursor& cursor, sqlite3_context* context, int column) {
  const Trend& trend = cursor.trend();
  const auto intervals = static_cast<double>(cursor.values.size() - 1);
  switch (column) {
    case kColLowest:
      return sqlite3_result_int64(context, trend.lowest);
    case kColHighest:
      return sqlite3_result_int64(context, trend.highest);
    case kColSlope:
      return give(context, trend.slope);
    case kColLeastSquares:
      return give(context, trend.slope_least_squares);
    case kColR2:
      return give(context, trend.r2);
    case kColMonotonic:
      return sqlite3_result_int64(context, trend.monotonic ? 1 : 0);
    case kColStepsUp:
      return sqlite3_result_double(context, trend.rises / intervals);
    case kColWarmUp:
      return sqlite3_result_int64(context, trend.warm_up);
    case kColVerdict:
      return give(context, std::string_view(to_string(trend.verdict)));
    case kColConfidence:
      return give(context, std::string_view(to_string(trend.confidence)));
    case kColEvidence:
      return give(context, std::string_view(trend_evidence(trend, cursor.values)));
    default:
      return;
  }
}

Result<void> TrendCursor::give(sqlite3_context* context, int column) {
  const bool of_series = (column >= kColLowest && column <= kColSlope) ||
                         (column >= kColLeastSquares && column <= kColEvidence);
  if (of_series) {
    give_trend(*this, context, column);
  } else {
    give_place(*this, context, column);
  }
  return {};
}

}  // namespace

Result<void> register_trend_table(sqlite3* db, const LiveSnapshots* live) {
  return register_virtual_table<TrendCursor>(db, "trend", live);
}

}  // namespace residue
