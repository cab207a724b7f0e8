// What a dump's findings are, for the formats that other tools read: sarif and junit.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/gate.h"

namespace residue {

// Texts come from the dump: they are whatever bytes it held.
struct Finding {
  GateTopic topic = GateTopic::kLeaks;
  const char* rule = "leak";  // 'leak', 'heap-corruption', 'unverified-heap', 'growth'
  std::string message;
  std::string type;            // that it is about; empty if unknown
  std::string module;          // of the type
  std::string function, file;  // where it was allocated or declared; empty if unknown
  uint64_t line = 0;
  uint64_t bytes = 0, count = 0;
  std::string confidence;  // of the type, or of the finding; empty: certain
  std::string evidence;
  // What stays the same from run to run: no addresses, no lengths of texts.
  std::string identity;
  // Against the baseline: "new", "updated" (it grew), "unchanged"; null without one.
  const char* state = nullptr;
};

struct DumpDiagnostic {
  std::string severity, stage, place, message;
};

struct DumpReport {
  std::string source;  // as the user named it
  uint64_t source_bytes = 0;
  std::string executable, format, taken_at;
  std::string baseline;        // in words; empty: none
  std::optional<Error> error;  // the dump could not be read: there is nothing below
  Judgement judgement;
  std::vector<Finding> findings;
  uint64_t left_out = 0;                    // further findings
  std::vector<DumpDiagnostic> diagnostics;  // warnings and damage
  uint64_t heaps = 0;

  // Whether a rule that is about `topic` was breached.
  bool breached(GateTopic topic, const std::vector<GateRule>& rules) const;
};

struct Report {
  std::string command;
  std::vector<DumpReport> dumps;
  const std::vector<GateRule>* rules = nullptr;
  int exit_code = 0;
};

// The findings of `input.current`: leaks that are not suppressed, most bytes first; corruption;
// heaps that do not balance; and the keys for which rules of growth were breached. `only_changes`
// (for `diff`): of the leaks those that are new or grew, and all growth by `dimension`. At most
// `limit` of each kind; 0: all.
Result<DumpReport> report_on(const GateInput& input, const Baselines::Choice* baseline,
                             Judgement judgement, std::string source, uint64_t limit,
                             const std::string& only_changes = {});

// judge_gates() and, if --format is one of a report, report_on(); else the report has the judgement
// and the source only.
Result<DumpReport> examine(const Options& options, GateInput input,
                           const std::optional<Baselines::Choice>& baseline,
                           const std::string& source, bool one_of_many, std::ostream& err,
                           const std::string& only_changes = {});

// Writes the report in `format`. REQUIRES: is_report(format).
void write_report(const Report& report, OutputFormat format, std::ostream& out);

}  // namespace residue
