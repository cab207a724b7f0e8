// Judges a gate's rule over a snapshot, by SQL over the tables that everybody sees.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "db/database.h"
#include "db/gate.h"
#include "formats/base/result.h"

namespace residue {

struct GateSide {
  Database* database = nullptr;
  int64_t snapshot = 0;
};

struct GateInput {
  GateSide current;
  std::optional<GateSide> baseline;  // may be of another database
  std::optional<GateSide> history;   // where slopes are found: `current` as it was stored
  bool by_executable = false;        // slopes over the runs of a program, not of one process
  std::optional<uint64_t> rows;      // of a query
};

// What made a condition hold.
struct GateFound {
  const GateCondition* condition = nullptr;  // of the rule
  std::string key;    // of the dimension; without one, of what most of the value is; may be empty
  double value = 0;   // in the metric's unit; with %, in per cent (infinite: there was nothing)
  double before = 0;  // of a growth: what the difference is of
  double after = 0;
};

struct GateVerdict {
  enum class State : uint8_t { kKept, kBreached, kNotYet };
  State state = State::kKept;
  // kBreached: for each condition of the alternative that holds, what is furthest beyond its limit.
  std::vector<GateFound> found;
  const char* missing = "";  // kNotYet: what there has to be first, in words
  // Keys for which the alternative holds, furthest first, of its first condition with a dimension.
  std::vector<GateFound> keys;
  // Keys that the rule names and that neither snapshot has: right, or a slip of the pen.
  std::vector<std::string> unknown_keys;
};

// kNotYet if the rule needs a baseline, or a second snapshot for a slope, there is none, and
// nothing else breaches it. Fails with kUsage for what is not a question to ask of this input
// ('rows' of no query), kNotFound if the snapshot lacks the figures (an unknown dimension of an old
// database; the table `trend`), or with what SQLite says. `rule` must outlive the verdict.
Result<GateVerdict> check_gate(const GateRule& rule, const GateInput& input);

// "416000 B", "+25.0 %", "12": with a sign if it is a growth.
std::string gate_value_text(const GateCondition& condition, double value);

// What a breached rule says: "416000 B: {Session, …}", conditions joined by " and ".
// REQUIRES: verdict.state == kBreached.
std::string gate_found_text(const GateVerdict& verdict);

// One key of a dimension of one snapshot, as rules see it.
struct GateKey {
  std::string key;    // equal in two snapshots if they mean the same
  std::string shown;  // what to call it
  double used_count = 0, used_bytes = 0, leaked_count = 0, leaked_bytes = 0;
};

// What keys of two snapshots are compared by: as they are if both are of one process, where
// addresses mean the same; else by stable_name(), and those of one name are one key.
struct GateNames {
  bool stable = false;
  std::set<std::string, std::less<>> same_builds;  // modules whose build is the same in both
};
Result<GateNames> gate_names(const GateSide& before, const GateSide& after);

// All keys of a dimension, by key. 'shape' has leaks only, by leak_identity().
Result<std::vector<GateKey>> gate_keys(const GateSide& side, std::string_view dimension,
                                       const GateNames& names = {});

}  // namespace residue
