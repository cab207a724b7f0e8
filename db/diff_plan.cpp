#include "db/diff_plan.h"

#include <algorithm>
#include <cmath>
#include <string>

namespace residue {
namespace {

using Constraint = sqlite3_index_info::sqlite3_index_constraint;

// The plan's letter for a condition; 0 if it is of no use.
char letter_of(const Constraint& constraint, std::span<const PlanTerm> terms) {
  if (constraint.iColumn == 0 || constraint.iColumn == 1) {
    if (constraint.op != SQLITE_INDEX_CONSTRAINT_EQ) return 0;
    return constraint.iColumn == 0 ? kPlanFrom : kPlanTo;
  }
  for (const PlanTerm& term : terms) {
    if (term.column != constraint.iColumn) continue;
    if (constraint.op == SQLITE_INDEX_CONSTRAINT_EQ) return term.letter;
    if (term.letter != kPlanAddress) return 0;
    if (constraint.op == SQLITE_INDEX_CONSTRAINT_GT || constraint.op == SQLITE_INDEX_CONSTRAINT_GE)
      return '>';
    if (constraint.op == SQLITE_INDEX_CONSTRAINT_LT || constraint.op == SQLITE_INDEX_CONSTRAINT_LE)
      return '<';
  }
  return 0;
}

bool is_bound(char letter) { return letter == '=' || letter == '<' || letter == '>'; }

}  // namespace

int plan_pair(sqlite3_index_info* info, std::span<const PlanTerm> terms, double rows) {
  std::string plan;
  uint64_t columns = info->colUsed;
  bool later[2] = {false, false};  // given, but only by a table that is read after this one
  for (int i = 0; i < info->nConstraint; ++i) {
    const Constraint& constraint = info->aConstraint[i];
    const char letter = letter_of(constraint, terms);
    if (letter == 0) continue;
    const bool is_pair = letter == kPlanFrom || letter == kPlanTo;
    if (constraint.usable == 0) {
      if (is_pair) later[constraint.iColumn] = true;
      continue;
    }
    if (is_pair && plan.find(letter) != std::string::npos) continue;
    // "status = 'NEW' COLLATE NOCASE" compares otherwise than we do.
    const bool is_text = !is_pair && !is_bound(letter);
    if (is_text && std::string_view(sqlite3_vtab_collation(info, i)) != "BINARY") continue;
    plan += letter;
    info->aConstraintUsage[i].argvIndex = static_cast<int>(plan.size());
    info->aConstraintUsage[i].omit = is_bound(letter) ? 0 : 1;
    columns |= uint64_t{1} << constraint.iColumn;
    if (!is_pair) rows *= letter == '=' ? 1e-6 : 0.25;
  }
  const bool has_from = plan.find(kPlanFrom) != std::string::npos;
  const bool has_to = plan.find(kPlanTo) != std::string::npos;
  if ((!has_from && later[0]) || (!has_to && later[1])) return SQLITE_CONSTRAINT;
  info->idxNum = static_cast<int>(columns & 0x7fffffff);
  info->idxStr = sqlite3_mprintf("%s", plan.c_str());
  if (info->idxStr == nullptr) return SQLITE_NOMEM;
  info->needToFreeIdxStr = 1;
  info->estimatedRows = static_cast<sqlite3_int64>(std::max(rows, 1.0));
  // Both snapshots are read, whatever is asked for.
  info->estimatedCost = has_from && has_to ? 1e6 + rows : 1e18;
  return SQLITE_OK;
}

bool plan_has_pair(std::string_view plan) {
  return plan.find(kPlanFrom) != std::string_view::npos &&
         plan.find(kPlanTo) != std::string_view::npos;
}

Error pair_missing(const char* table) {
  return {ErrorCode::kUsage,
          std::string(table) +
              " compares two snapshots: say which, with from_snapshot = … AND to_snapshot = …",
          {}};
}

std::optional<int64_t> whole_number(sqlite3_value* value) {
  const int type = sqlite3_value_numeric_type(value);
  if (type == SQLITE_INTEGER) return sqlite3_value_int64(value);
  if (type != SQLITE_FLOAT) return std::nullopt;
  constexpr double kLimit = 9223372036854775808.0;  // 2^63
  const double real = sqlite3_value_double(value);
  if (!(real >= -kLimit && real < kLimit) || std::trunc(real) != real) return std::nullopt;
  return static_cast<int64_t>(real);
}

std::optional<std::string_view> plain_text(sqlite3_value* value) {
  if (sqlite3_value_type(value) != SQLITE_TEXT) return std::nullopt;
  return std::string_view(static_cast<const char*>(sqlite3_value_blob(value)),
                          static_cast<size_t>(sqlite3_value_bytes(value)));
}

}  // namespace residue
