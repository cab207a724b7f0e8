// What the virtual tables over a pair of snapshots share: columns 0 and 1 are from_snapshot and
// to_snapshot, and a statement must say which.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "formats/base/result.h"

namespace residue {

// A further condition that a table makes use of. `letter` stands for it in the plan: "=", ">" and
// "<" for the three kinds on a column of addresses (inclusive; SQLite checks again), any other for
// equality with a text (only with BINARY collation; not checked again).
struct PlanTerm {
  int column = 0;
  char letter = 0;
};
inline constexpr char kPlanFrom = 'f', kPlanTo = 't', kPlanAddress = '=';

// xBestIndex. The plan (idxStr) has one letter a value, in the order of xFilter's values; idxNum is
// the low 31 bits of colUsed with the conditions' columns. `rows`: a guess for one pair. A plan
// without the pair is given at a cost that makes it the last resort (SQLite asks for parts of an OR
// as well): xFilter refuses it with pair_missing().
int plan_pair(sqlite3_index_info* info, std::span<const PlanTerm> terms, double rows);

bool plan_has_pair(std::string_view plan);

// That the statement must say which snapshots `table` compares.
Error pair_missing(const char* table);

// The integer that `value` equals as SQLite compares it with an INTEGER column.
std::optional<int64_t> whole_number(sqlite3_value* value);

// The text; nullopt for other types, which equal no text of ours.
std::optional<std::string_view> plain_text(sqlite3_value* value);

}  // namespace residue
