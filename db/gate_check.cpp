#include "db/gate_check.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <limits>
#include <map>
#include <set>
#include <utility>

#include "db/diff_process.h"
#include "db/leak_identity.h"
#include "db/stable_name.h"
#include "db/statement.h"

namespace residue {
namespace {

double real(const Statement& row, int column) { return sqlite3_column_double(row.get(), column); }

bool holds(const GateCondition& condition, double value) {
  switch (condition.op) {
    case GateOperator::kGreater:
      return value > condition.value;
    case GateOperator::kAtLeast:
      return value >= condition.value;
    case GateOperator::kLess:
      return value < condition.value;
    case GateOperator::kAtMost:
      return value <= condition.value;
    case GateOperator::kEqual:
      return value == condition.value;
    case GateOperator::kNotEqual:
      break;
  }
  return value != condition.value;
}

// The value of a growth, in the condition's unit. Whatever grows from nothing grows without limit.
double growth(const GateCondition& condition, double before, double after) {
  const double delta = after - before;
  if (!condition.percent) return delta;
  if (delta == 0) return 0;
  if (before == 0) return std::copysign(std::numeric_limits<double>::infinity(), delta);
  return 100 * delta / before;
}

double column_of(const GateKey& key, std::string_view column) {
  if (column == "used_count") return key.used_count;
  if (column == "used_bytes") return key.used_bytes;
  return column == "leaked_count" ? key.leaked_count : key.leaked_bytes;
}

// Leaks by their identity; called by the shape of the largest row.
Result<std::vector<GateKey>> shape_keys(const GateSide& side) {
  RESIDUE_ASSIGN(
      Statement rows,
      Statement::prepare(side.database->handle(),
                         "SELECT coalesce(type, ''), coalesce(module, ''), coalesce(shape, ''), "
                         "chunks, bytes FROM cluster WHERE snapshot = ? AND suppressed IS NULL "
                         "ORDER BY bytes DESC, id"));
  RESIDUE_TRY(rows.bind(side.snapshot));
  std::map<std::string, GateKey> keys;
  for (;;) {
    RESIDUE_ASSIGN(const bool row, rows.step());
    if (!row) break;
    std::string identity = leak_identity(rows.text(0), rows.text(1), rows.text(2));
    const auto [it, is_new] = keys.try_emplace(identity);
    GateKey& key = it->second;
    if (is_new) {
      key.key = std::move(identity);
      key.shown = std::string(rows.text(2));
    }
    key.used_count = key.leaked_count += real(rows, 3);
    key.used_bytes = key.leaked_bytes += real(rows, 4);
  }
  std::vector<GateKey> list;
  list.reserve(keys.size());
  for (auto& [identity, key] : keys) list.push_back(std::move(key));
  return list;
}

void add_to(GateKey& sum, const GateKey& key) {
  sum.used_count += key.used_count;
  sum.used_bytes += key.used_bytes;
  sum.leaked_count += key.leaked_count;
  sum.leaked_bytes += key.leaked_bytes;
}

Result<std::vector<GateKey>> usage_keys(const GateSide& side, std::string_view dimension,
                                        const GateNames& names) {
  const SameBuild same_build = [&names](std::string_view module) {
    return names.same_builds.contains(module);
  };
  RESIDUE_ASSIGN(
      Statement rows,
      Statement::prepare(side.database->handle(),
                         "SELECT key, used_count, used_bytes, leaked_count, leaked_bytes FROM "
                         "usage WHERE snapshot = ? AND dimension = ?"));
  RESIDUE_TRY(rows.bind(side.snapshot, dimension));
  std::vector<GateKey> keys;
  for (;;) {
    RESIDUE_ASSIGN(const bool row, rows.step());
    if (!row) break;
    const std::string key =
        names.stable ? stable_name(dimension, rows.text(0), same_build) : std::string(rows.text(0));
    keys.push_back({key, key, real(rows, 1), real(rows, 2), real(rows, 3), real(rows, 4)});
  }
  std::stable_sort(keys.begin(), keys.end(),
                   [](const GateKey& a, const GateKey& b) { return a.key < b.key; });
  size_t size = 0;
  for (size_t i = 0; i < keys.size(); ++i) {
    if (size > 0 && keys[size - 1].key == keys[i].key) {
      add_to(keys[size - 1], keys[i]);
    } else if (size++ != i) {
      keys[size - 1] = std::move(keys[i]);
    }
  }
  keys.resize(size);
  return keys;
}

Result<std::string> process_of(const GateSide& side) {
  RESIDUE_ASSIGN(Statement row, Statement::prepare(side.database->handle(),
                                                   "SELECT process FROM snapshot WHERE id = ?"));
  RESIDUE_TRY(row.bind(side.snapshot));
  RESIDUE_TRY(row.step());
  return std::string(row.text(0));
}

Result<bool> same_process(const GateSide& before, const GateSide& after) {
  if (before.database == after.database) {
    RESIDUE_ASSIGN(const Kinship kinship,
                   compare_processes(before.database->handle(), before.snapshot, after.snapshot));
    return kinship.same_process;
  }
  RESIDUE_ASSIGN(const std::string one, process_of(before));
  RESIDUE_ASSIGN(const std::string other, process_of(after));
  return !one.empty() && one == other;
}

// The build-id of each module's name; empty if it is not known or there are several.
Result<std::map<std::string, std::string>> builds_of(const GateSide& side) {
  RESIDUE_ASSIGN(Statement rows,
                 Statement::prepare(side.database->handle(),
                                    "SELECT name, CASE WHEN count(DISTINCT build_id) = 1 AND "
                                    "count(build_id) = count(*) THEN min(build_id) ELSE '' END "
                                    "FROM module WHERE snapshot = ? AND name IS NOT NULL GROUP BY "
                                    "name"));
  RESIDUE_TRY(rows.bind(side.snapshot));
  std::map<std::string, std::string> builds;
  for (;;) {
    RESIDUE_ASSIGN(const bool row, rows.step());
    if (!row) return builds;
    builds.emplace(rows.text(0), rows.text(1));
  }
}

// Judges one rule: the values of its conditions, and which of them hold.
class Judge {
 public:
  explicit Judge(const GateInput& input) : input_(input) {}

  // What makes the condition hold, furthest beyond its limit first; empty if it does not hold.
  Result<std::vector<GateFound>> found(const GateCondition& condition);

  const std::vector<std::string>& unknown_keys() const { return unknown_keys_; }
  // A condition needed more snapshots than there are yet.
  bool wants_snapshots() const { return wants_snapshots_; }

 private:
  using Values = std::vector<GateFound>;

  Result<Values> values(const GateCondition& condition);
  Result<GateFound> total(const GateSide& side, const GateCondition& condition);
  Result<Values> totals(const GateCondition& condition);
  Result<Values> heap_values(const GateCondition& condition);
  Result<Values> usage_values(const GateCondition& condition);
  Result<Values> new_leaks(const GateCondition& condition);
  Result<Values> slopes(const GateCondition& condition);
  Result<void> check_figures(const GateCondition& condition, const std::vector<GateKey>& before,
                             const std::vector<GateKey>& after);
  Result<bool> has_rows(const GateSide& side, const char* sql);
  // Keys of the baseline (empty without one) and of the snapshot, made one: called with the two
  // keys, of which one may be missing.
  template <typename Pair>
  static void merge(const std::vector<GateKey>& before, const std::vector<GateKey>& after,
                    Pair&& pair);

  // The value of a key that is not there: 0.
  void add_unknown(const GateCondition& condition, Values* values) {
    unknown_keys_.push_back(*condition.key);
    values->emplace_back().key = *condition.key;
  }

  const GateInput& input_;
  std::vector<std::string> unknown_keys_;
  bool wants_snapshots_ = false;
};

template <typename Pair>
void Judge::merge(const std::vector<GateKey>& before, const std::vector<GateKey>& after,
                  Pair&& pair) {
  auto b = before.begin();
  for (const GateKey& a : after) {
    for (; b != before.end() && b->key < a.key; ++b) pair(&*b, nullptr);
    const bool both = b != before.end() && b->key == a.key;
    pair(both ? &*b : nullptr, &a);
    if (both) ++b;
  }
  for (; b != before.end(); ++b) pair(&*b, nullptr);
}

Result<bool> Judge::has_rows(const GateSide& side, const char* sql) {
  RESIDUE_ASSIGN(Statement rows, Statement::prepare(side.database->handle(), sql));
  RESIDUE_TRY(rows.bind(side.snapshot));
  return rows.step();
}

Result<GateFound> Judge::total(const GateSide& side, const GateCondition& condition) {
  RESIDUE_ASSIGN(Statement row,
                 Statement::prepare(side.database->handle(), condition.metric->total));
  RESIDUE_TRY(row.bind(side.snapshot));
  RESIDUE_TRY(row.step());
  GateFound found;
  found.value = real(row, 0);
  found.key = std::string(row.text(1));
  return found;
}

Result<Judge::Values> Judge::totals(const GateCondition& condition) {
  RESIDUE_ASSIGN(GateFound after, total(input_.current, condition));
  if (condition.metric->kind == GateKind::kGrowth) {
    RESIDUE_ASSIGN(const GateFound before, total(*input_.baseline, condition));
    after.before = before.value;
    after.after = after.value;
    after.value = growth(condition, after.before, after.after);
  }
  return Values{std::move(after)};
}

Result<Judge::Values> Judge::heap_values(const GateCondition& condition) {
  std::string sql = "SELECT coalesce(name, ''), total(";
  sql.append(condition.metric->column).append(") FROM heap WHERE snapshot = ? GROUP BY 1");
  RESIDUE_ASSIGN(Statement rows, Statement::prepare(input_.current.database->handle(), sql));
  RESIDUE_TRY(rows.bind(input_.current.snapshot));
  Values values;
  for (;;) {
    RESIDUE_ASSIGN(const bool row, rows.step());
    if (!row) return values;
    GateFound found;
    found.key = std::string(rows.text(0));
    found.value = real(rows, 1);
    values.push_back(std::move(found));
  }
}

// A dimension that nobody counted is no dimension without keys: a rule over it would always pass.
Result<void> Judge::check_figures(const GateCondition& condition,
                                  const std::vector<GateKey>& before,
                                  const std::vector<GateKey>& after) {
  if (!before.empty() || !after.empty() || condition.dimension == "shape") return {};
  RESIDUE_ASSIGN(
      const bool used,
      has_rows(input_.current, "SELECT 1 FROM heap WHERE snapshot = ? AND used_count > 0 LIMIT 1"));
  if (!used) return {};
  return Error{ErrorCode::kNotFound,
               "snapshot " + std::to_string(input_.current.snapshot) + " has no figures by " +
                   condition.dimension,
               {}};
}

Result<Judge::Values> Judge::usage_values(const GateCondition& condition) {
  const GateMetric& metric = *condition.metric;
  const bool grows = metric.kind == GateKind::kGrowth;
  std::vector<GateKey> before;
  GateNames names;
  if (grows) {
    RESIDUE_ASSIGN(names, gate_names(*input_.baseline, input_.current));
    RESIDUE_ASSIGN(before, gate_keys(*input_.baseline, condition.dimension, names));
  }
  RESIDUE_ASSIGN(const std::vector<GateKey> after,
                 gate_keys(input_.current, condition.dimension, names));
  RESIDUE_TRY(check_figures(condition, before, after));
  Values values;
  bool named = false;  // the key that the condition names is there
  merge(before, after, [&](const GateKey* b, const GateKey* a) {
    GateFound found;
    const GateKey& key = a != nullptr ? *a : *b;
    if (condition.key && *condition.key != key.key && *condition.key != key.shown) return;
    found.key = key.shown;
    found.before = b == nullptr ? 0 : column_of(*b, metric.column);
    found.after = a == nullptr ? 0 : column_of(*a, metric.column);
    found.value = grows ? growth(condition, found.before, found.after) : found.after;
    named = true;
    values.push_back(std::move(found));
  });
  if (condition.key && !named) add_unknown(condition, &values);
  return values;
}

// One value: how many keys leak that did not; called by the largest of them.
Result<Judge::Values> Judge::new_leaks(const GateCondition& condition) {
  const std::string dimension = condition.dimension.empty() ? "shape" : condition.dimension;
  RESIDUE_ASSIGN(const GateNames names, gate_names(*input_.baseline, input_.current));
  RESIDUE_ASSIGN(const std::vector<GateKey> before, gate_keys(*input_.baseline, dimension, names));
  RESIDUE_ASSIGN(const std::vector<GateKey> after, gate_keys(input_.current, dimension, names));
  RESIDUE_TRY(check_figures(condition, before, after));
  GateFound found;
  double most = -1;
  merge(before, after, [&](const GateKey* b, const GateKey* a) {
    if (a == nullptr || a->leaked_count == 0 || (b != nullptr && b->leaked_count > 0)) return;
    if (condition.key && *condition.key != a->key && *condition.key != a->shown) return;
    found.value += 1;
    if (a->leaked_bytes <= most) return;
    most = a->leaked_bytes;
    found.key = a->shown;
  });
  return Values{std::move(found)};
}

// Rows of `trend` for the process, or the program, that the snapshot is of.
Result<Judge::Values> Judge::slopes(const GateCondition& condition) {
  if (!input_.history) {
    return Error{ErrorCode::kUsage, "slopes are those of a database of snapshots", {}};
  }
  sqlite3* db = input_.history->database->handle();
  RESIDUE_ASSIGN(
      Statement self,
      Statement::prepare(db, "SELECT process, pid, executable FROM snapshot WHERE id = ?"));
  RESIDUE_TRY(self.bind(input_.history->snapshot));
  RESIDUE_TRY(self.step());
  const std::string process(self.text(0));
  const int64_t pid = self.integer(1);
  const std::string executable(self.text(2));
  const bool by_process = !process.empty() && !input_.by_executable;
  std::string sql =
      "SELECT key, slope, unit FROM trend WHERE measure = ?1 AND grouping = ?2 AND dimension = ?3";
  sql.append(by_process ? " AND process = ?4" : " AND executable = ?4");
  if (!by_process && !input_.by_executable) sql.append(" AND process IS NULL AND pid = ?5");
  RESIDUE_ASSIGN(Statement rows, Statement::prepare(db, sql));
  const bool total = condition.dimension.empty();
  const std::string measure = condition.metric->column;
  const Cell cells[] = {std::string_view(measure),
                        std::string_view(input_.by_executable ? "executable" : "process"),
                        std::string_view(total ? "total" : condition.dimension.c_str()),
                        std::string_view(by_process ? process : executable), pid};
  RESIDUE_TRY(rows.bind_cells(cells));
  Values values;
  bool any = false;
  for (;;) {
    RESIDUE_ASSIGN(const bool row, rows.step());
    if (!row) break;
    any = true;
    if (sqlite3_column_type(rows.get(), 1) == SQLITE_NULL) continue;
    if (rows.text(2) != "per hour") {
      return Error{ErrorCode::kNotFound, "times of the snapshots are missing or equal", {}};
    }
    const std::string_view key = rows.text(0);
    if (total && key != measure.substr(0, measure.find('_'))) continue;
    if (condition.key && *condition.key != key) continue;
    GateFound found;
    if (!total) found.key = std::string(key);
    found.value = real(rows, 1);
    values.push_back(std::move(found));
  }
  wants_snapshots_ |= !any;
  if (any && values.empty() && condition.key) add_unknown(condition, &values);
  return values;
}

Result<Judge::Values> Judge::values(const GateCondition& condition) {
  const GateMetric& metric = *condition.metric;
  if (metric.kind == GateKind::kRows) {
    if (!input_.rows) return Error{ErrorCode::kUsage, "rows are those of a query", {}};
    GateFound found;
    found.value = static_cast<double>(*input_.rows);
    return Values{std::move(found)};
  }
  if (metric.kind == GateKind::kNew) return new_leaks(condition);
  if (metric.kind == GateKind::kSlope) return slopes(condition);
  if (condition.dimension.empty()) return totals(condition);
  if (metric.dimensions != GateDimensions::kHeapOnly) return usage_values(condition);
  RESIDUE_ASSIGN(Values values, heap_values(condition));
  if (!condition.key) return values;
  std::erase_if(values, [&](const GateFound& found) { return found.key != *condition.key; });
  if (values.empty()) add_unknown(condition, &values);
  return values;
}

Result<std::vector<GateFound>> Judge::found(const GateCondition& condition) {
  RESIDUE_ASSIGN(Values list, values(condition));
  std::erase_if(list, [&](const GateFound& found) { return !holds(condition, found.value); });
  const bool upwards = condition.op != GateOperator::kLess && condition.op != GateOperator::kAtMost;
  std::stable_sort(list.begin(), list.end(), [upwards](const GateFound& a, const GateFound& b) {
    if (a.value != b.value) return upwards ? a.value > b.value : a.value < b.value;
    return upwards ? a.after - a.before > b.after - b.before
                   : a.after - a.before < b.after - b.before;
  });
  for (GateFound& found : list) found.condition = &condition;
  return list;
}

// Conditions without a key that ask of one dimension ask of the same key. False: there is none.
bool keep_common_keys(const std::vector<GateCondition>& all_of,
                      std::vector<std::vector<GateFound>>* founds) {
  const auto asks_any = [&](size_t i, const std::string& dimension) {
    return !all_of[i].key && all_of[i].dimension == dimension &&
           all_of[i].metric->kind != GateKind::kNew;
  };
  for (size_t first = 0; first < all_of.size(); ++first) {
    const std::string& dimension = all_of[first].dimension;
    if (dimension.empty() || !asks_any(first, dimension)) continue;
    for (size_t i = 0; i < all_of.size(); ++i) {
      if (i == first || !asks_any(i, dimension)) continue;
      std::set<std::string_view> keys;
      for (const GateFound& found : (*founds)[i]) keys.insert(found.key);
      std::erase_if((*founds)[first],
                    [&keys](const GateFound& found) { return !keys.contains(found.key); });
    }
    if ((*founds)[first].empty()) return false;
  }
  return true;
}

// Whether all conditions hold; then what of.
Result<bool> holds_all(Judge& judge, const std::vector<GateCondition>& all_of,
                       GateVerdict* verdict) {
  std::vector<std::vector<GateFound>> founds;
  for (const GateCondition& condition : all_of) {
    RESIDUE_ASSIGN(std::vector<GateFound> found, judge.found(condition));
    if (found.empty()) return false;
    founds.push_back(std::move(found));
  }
  if (!keep_common_keys(all_of, &founds)) return false;
  for (size_t i = 0; i < founds.size(); ++i) {
    const bool has_keys = !all_of[i].dimension.empty() && all_of[i].metric->kind != GateKind::kNew;
    if (has_keys && verdict->keys.empty()) verdict->keys = founds[i];
    // Two conditions of one key speak of the key that is furthest beyond the first one's limit.
    GateFound* shown = founds[i].data();
    for (const GateFound& earlier : verdict->found) {
      if (earlier.condition->dimension != all_of[i].dimension) continue;
      for (GateFound& found : founds[i]) {
        if (found.key == earlier.key) shown = &found;
      }
      break;
    }
    verdict->found.push_back(*shown);
  }
  return true;
}

bool needs_baseline(const GateCondition& condition) {
  return condition.metric->kind == GateKind::kGrowth || condition.metric->kind == GateKind::kNew;
}

}  // namespace

Result<GateNames> gate_names(const GateSide& before, const GateSide& after) {
  GateNames names;
  RESIDUE_ASSIGN(const bool same, same_process(before, after));
  if (same) return names;
  names.stable = true;
  RESIDUE_ASSIGN(const auto old_builds, builds_of(before));
  RESIDUE_ASSIGN(const auto new_builds, builds_of(after));
  for (const auto& [name, build] : new_builds) {
    const auto it = old_builds.find(name);
    if (!build.empty() && it != old_builds.end() && it->second == build) {
      names.same_builds.insert(name);
    }
  }
  return names;
}

Result<std::vector<GateKey>> gate_keys(const GateSide& side, std::string_view dimension,
                                       const GateNames& names) {
  if (dimension == "shape") return shape_keys(side);
  return usage_keys(side, dimension, names);
}

Result<GateVerdict> check_gate(const GateRule& rule, const GateInput& input) {
  Judge judge(input);
  GateVerdict verdict;
  for (const std::vector<GateCondition>& all_of : rule.any_of) {
    if (!input.baseline && std::any_of(all_of.begin(), all_of.end(), needs_baseline)) {
      verdict.state = GateVerdict::State::kNotYet;
      verdict.missing = "a baseline";
      continue;
    }
    auto held = holds_all(judge, all_of, &verdict);
    if (!held) return std::move(held).error().in("--fail-on '" + rule.text + "'");
    if (!*held) continue;
    verdict.state = GateVerdict::State::kBreached;
    break;
  }
  if (verdict.state == GateVerdict::State::kKept && judge.wants_snapshots()) {
    verdict.state = GateVerdict::State::kNotYet;
    verdict.missing = "a second snapshot";
  }
  verdict.unknown_keys = judge.unknown_keys();
  return verdict;
}

std::string gate_value_text(const GateCondition& condition, double value) {
  const GateMetric& metric = *condition.metric;
  const bool is_signed = metric.kind == GateKind::kGrowth || metric.kind == GateKind::kSlope;
  if (std::isinf(value)) return value > 0 ? "from nothing" : "to nothing";
  std::array<char, 64> digits{};
  const char* format = is_signed ? "%+.0f" : "%.0f";
  if (condition.percent) format = "%+.1f";
  const int size = std::snprintf(digits.data(), digits.size(), format, value);
  std::string text(digits.data(), static_cast<size_t>(size));
  if (condition.percent) return text.append(" %");
  if (metric.unit == GateUnit::kBytes) text += " B";
  if (metric.unit == GateUnit::kBytesPerHour) text += " B/h";
  return text;
}

std::string gate_found_text(const GateVerdict& verdict) {
  std::string text;
  for (const GateFound& found : verdict.found) {
    if (!text.empty()) text += " and ";
    text += gate_value_text(*found.condition, found.value);
    if (!found.key.empty()) text.append(": ").append(found.key);
  }
  const size_t more = verdict.keys.empty() ? 0 : verdict.keys.size() - 1;
  if (more > 0) text.append("; ").append(std::to_string(more)).append(" more");
  return text;
}

}  // namespace residue
