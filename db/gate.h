// Gates: rules such as "leaked_bytes > 0" that a snapshot keeps or breaches; their grammar.
//
//   RULE      := CONDITION { ("and" | "or") CONDITION }            "and" binds tighter
//   CONDITION := METRIC [ "(" DIMENSION [ ("=" | ",") KEY ] ")" ] OP VALUE
//   OP        := ">" | ">=" | "<" | "<=" | "=" | "!="
//   KEY       := a text in '…' or "…"; the quotation mark itself is written twice
//   VALUE     := [-]DIGITS[.DIGITS] [UNIT]
//   UNIT      := B kB KB MB GB TB KiB MiB GiB TiB, % of growth; for slopes /s, /min, /h or /d
//   behind
//
// A condition with a dimension and no key holds if it holds of any key of that dimension;
// conditions that "and" joins and that ask of the same dimension ask of the same key, so that
// "growth(type) > 10% and growth(type) > 1MB" means one type. The metrics stand in
// docs/gates.md, the table of them in gate_metrics.cpp. db/gate_check.h judges a rule.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "formats/base/result.h"

namespace residue {

enum class GateUnit : uint8_t { kCount, kBytes, kBytesPerHour };

// What a metric is computed from.
enum class GateKind : uint8_t {
  kLevel,   // one snapshot
  kGrowth,  // the snapshot less the baseline
  kNew,     // what the baseline does not have
  kSlope,   // the table `trend`
  kRows,    // the rows of a query
};

enum class GateDimensions : uint8_t {
  kNone,      // the metric takes none
  kUsage,     // any of those of `usage`
  kHeapOnly,  // 'heap'
};

// What a breach is about; a report marks the findings of that kind as errors.
enum class GateTopic : uint8_t { kLeaks, kGrowth, kCorruption, kDamage, kHeaps, kRows };

struct GateMetric {
  const char* name;
  GateUnit unit;
  GateKind kind;
  GateDimensions dimensions;
  GateTopic topic;
  // With a dimension: the column of `usage` or, for kHeapOnly, of `heap`; the measure of a slope.
  const char* column;
  // Without one: SQL that yields the value, and of what most of it is; ?1 is the snapshot.
  const char* total;
  const char* meaning;
};

std::span<const GateMetric> gate_metrics();
// Null if there is none of this name.
const GateMetric* find_gate_metric(std::string_view name);
// The dimensions that a rule may name.
std::span<const char* const> gate_dimensions();

enum class GateOperator : uint8_t { kGreater, kAtLeast, kLess, kAtMost, kEqual, kNotEqual };

struct GateCondition {
  const GateMetric* metric = nullptr;
  std::string dimension;           // empty: none
  std::optional<std::string> key;  // of the dimension; without one: any
  GateOperator op = GateOperator::kGreater;
  double value = 0;      // in bytes, bytes per hour, or a count
  bool percent = false;  // of the baseline's value
  size_t position = 0;   // of its first character in the rule
};

struct GateRule {
  std::string text;                                // as it was given
  std::vector<std::vector<GateCondition>> any_of;  // conditions of each inner list: all of them

  // Whether a condition of the rule is one of `kind`, or about `topic`.
  bool has(GateKind kind) const;
  bool has(GateTopic topic) const;
  bool has_other_than(GateKind kind) const;
  bool names(std::string_view metric) const;
  bool needs_baseline() const { return has(GateKind::kGrowth) || has(GateKind::kNew); }
};

// kUsage with the character (from 1) where the rule stops making sense.
Result<GateRule> parse_gate_rule(std::string_view text);

}  // namespace residue
