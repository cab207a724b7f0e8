#include "cli/gate.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "cli/cell_text.h"
#include "db/database_file.h"
#include "db/query.h"
#include "db/statement.h"
#include "formats/base/text.h"

namespace residue {
namespace {

constexpr size_t kMaxFoundText = 300;  // characters of a breach's line

// "snapshot 3 ('monday')", or with its time if it has no label.
Result<std::string> snapshot_text(const GateSide& side) {
  RESIDUE_ASSIGN(Statement row, Statement::prepare(side.database->handle(),
                                                   "SELECT label, coalesce(taken_at, source, '') "
                                                   "FROM snapshot WHERE id = ?"));
  RESIDUE_TRY(row.bind(side.snapshot));
  RESIDUE_TRY(row.step());
  std::string text = "snapshot " + std::to_string(side.snapshot);
  const std::string label(row.text(0));
  if (!label.empty()) return text.append(" ('").append(label).append("')");
  return text.append(" (").append(row.text(1)).append(")");
}

// How much of one process two snapshots are; 0: nothing in common.
int kinship(const std::string& process, const std::string& executable,
            std::string_view other_process, std::string_view other_executable) {
  if (!process.empty() && process == other_process) return 3;
  if (executable.empty()) return 0;
  if (executable == other_executable) return 2;
  return base_name(executable) == base_name(other_executable) ? 1 : 0;
}

Result<std::optional<Baselines::Choice>> newest_earlier(const GateSide& current) {
  constexpr std::string_view kWords[] = {"", "a program of the same name", "the same executable",
                                         "the same process"};
  sqlite3* db = current.database->handle();
  RESIDUE_ASSIGN(Statement self,
                 Statement::prepare(db,
                                    "SELECT coalesce(process, ''), coalesce(executable, ''), "
                                    "coalesce(taken_at, '') FROM snapshot WHERE id = ?"));
  RESIDUE_TRY(self.bind(current.snapshot));
  RESIDUE_ASSIGN(const bool found, self.step());
  if (!found) return std::optional<Baselines::Choice>();
  const std::string process(self.text(0));
  const std::string executable(self.text(1));
  const std::string taken_at(self.text(2));
  RESIDUE_ASSIGN(Statement rows,
                 Statement::prepare(db,
                                    "SELECT id, coalesce(process, ''), coalesce(executable, '') "
                                    "FROM snapshot WHERE (coalesce(taken_at, ''), id) < (?, ?) "
                                    "ORDER BY coalesce(taken_at, '') DESC, id DESC"));
  RESIDUE_TRY(rows.bind(KeptText{taken_at}, current.snapshot));
  int nearest = 0;
  GateSide side{current.database, 0};
  while (nearest < 3) {
    RESIDUE_ASSIGN(const bool row, rows.step());
    if (!row) break;
    const int kin = kinship(process, executable, rows.text(1), rows.text(2));
    if (kin <= nearest) continue;
    nearest = kin;
    side.snapshot = rows.integer(0);
  }
  if (nearest == 0) return std::optional<Baselines::Choice>();
  RESIDUE_ASSIGN(std::string text, snapshot_text(side));
  text.append(", the newest earlier one of ").append(kWords[nearest]);
  return std::optional(Baselines::Choice{side, std::move(text)});
}

// "FILE", or the FILE of "FILE@SNAPSHOT" when there is no file of the whole name.
std::string file_part(const std::string& text) {
  std::error_code ignored;
  if (std::filesystem::exists(text, ignored)) return text;
  return text.substr(0, text.rfind('@'));
}

Result<std::unique_ptr<Source>> open_baseline(const std::string& text, const Options& options,
                                              Streams streams) {
  Options wanted = options;
  wanted.label.clear();
  // They were applied when the snapshot was stored.
  if (is_sqlite_file(file_part(text))) wanted.suppressions.clear();
  Wanted parts = wanted_by_gates(options);
  parts.leaks = true;
  parts.retained = false;
  RESIDUE_ASSIGN(Source source, open_source(text, wanted, parts, streams));
  return std::make_unique<Source>(std::move(source));
}

bool needs_baseline(const Options& options) {
  return std::any_of(options.gates.begin(), options.gates.end(),
                     [](const GateRule& rule) { return rule.needs_baseline(); });
}

Error nothing_to_compare(const Options& options) {
  const auto rule = std::find_if(options.gates.begin(), options.gates.end(),
                                 [](const GateRule& r) { return r.needs_baseline(); });
  return {ErrorCode::kUsage,
          "--fail-on '" + rule->text + "' needs something to compare with: --baseline" +
              (options.command == "analyze" ? ", or --db with earlier snapshots" : ""),
          {}};
}

// Whether rules are kept for want of anything to look at.
bool has_no_heap(const Options& options, const GateInput& input) {
  const bool of_heaps =
      std::any_of(options.gates.begin(), options.gates.end(), [](const GateRule& rule) {
        return rule.has_other_than(GateKind::kRows) && !rule.names("heaps");
      });
  if (!of_heaps) return false;
  auto heap = Statement::prepare(input.current.database->handle(),
                                 "SELECT 1 FROM heap WHERE snapshot = ? LIMIT 1");
  if (!heap || !heap->bind(input.current.snapshot)) return false;
  const auto row = heap->step();
  return row && !*row;
}

void print_breach(const GateRule& rule, const GateVerdict& verdict, std::string_view source,
                  bool one_of_many, std::ostream& err) {
  err << "residue: gate breached: " << printable(rule.text) << " (found "
      << cut_text(printable(gate_found_text(verdict)), kMaxFoundText) << ")";
  if (one_of_many) err << " in " << printable(source);
  err << "\n";
}

}  // namespace

Result<Baselines> Baselines::make(const Options& options, Database* home, bool kept,
                                  Streams streams) {
  Baselines baselines;
  baselines.wanted_ = needs_baseline(options);
  const std::string& name = options.baseline;
  if (name.empty()) {
    if (needs_baseline(options) && !kept) return nothing_to_compare(options);
    return baselines;
  }
  Error missing{ErrorCode::kNotFound, "no such file, and no database to look for a snapshot", {}};
  if (home != nullptr) {
    auto id = resolve_snapshot(*home, name);
    if (id) {
      const GateSide side{home, *id};
      RESIDUE_ASSIGN(std::string text, snapshot_text(side));
      baselines.given_ = Choice{side, std::move(text)};
      return baselines;
    }
    missing = std::move(id).error();
  }
  std::error_code ignored;
  if (!std::filesystem::exists(file_part(name), ignored)) {
    return std::move(missing).in("--baseline " + name);
  }
  RESIDUE_ASSIGN(baselines.opened_, open_baseline(name, options, streams));
  Source& source = *baselines.opened_;
  const GateSide side{&*source.database, source.snapshot};
  std::string text = name;
  if (source.analysis == nullptr) {
    RESIDUE_ASSIGN(text, snapshot_text(side));
    text.append(" of ").append(file_part(name));
  }
  baselines.given_ = Choice{side, std::move(text)};
  return baselines;
}

Result<std::optional<Baselines::Choice>> Baselines::of(
    const std::optional<GateSide>& current) const {
  if (given_ || !wanted_ || !current) return given_;
  return newest_earlier(*current);
}

Wanted wanted_by_gates(const Options& options) {
  Wanted wanted = Wanted::nothing();
  wanted.usage = !options.gates.empty();
  for (const GateRule& rule : options.gates) {
    wanted.retained |= rule.names("suspects");
    // Damage may show anywhere.
    if (!rule.has(GateTopic::kDamage)) continue;
    Wanted all;
    all.retained = false;
    wanted.add(all);
  }
  return wanted;
}

Judgement judge_gates(const Options& options, const GateInput& input,
                      const Baselines::Choice* choice, std::string_view source, bool one_of_many,
                      std::ostream& err) {
  Judgement judgement;
  const auto say = [&]() -> std::ostream& {
    return err << "residue: " << printable(source) << ": ";
  };
  if (needs_baseline(options) && choice != nullptr && options.baseline.empty() && !options.quiet) {
    say() << "compared with " << printable(choice->text) << "\n";
  }
  if (has_no_heap(options, input)) {
    say() << "no heap was found: gates have nothing to look at ('heaps < 1' breaches on that)\n";
  }
  for (const GateRule& rule : options.gates) {
    JudgedRule& judged = judgement.rules.emplace_back();
    auto verdict = check_gate(rule, input);
    if (!verdict) {
      judged.error = std::move(verdict).error();
      say() << printable(to_string(*judged.error)) << "\n";
      judgement.exit_code = std::max(judgement.exit_code, exit_code(*judged.error));
      continue;
    }
    judged.verdict = std::move(verdict).value();
    for (const std::string& key : judged.verdict.unknown_keys) {
      say() << "note: nothing is called '" << cut_text(printable(key), kMaxFoundText)
            << "': --fail-on '" << printable(rule.text) << "' takes it for 0\n";
    }
    if (judged.verdict.state == GateVerdict::State::kNotYet) {
      say() << "there is not " << judged.verdict.missing << " yet: --fail-on '"
            << printable(rule.text) << "' was not judged\n";
    }
    if (!judged.breached()) continue;
    judgement.exit_code = std::max(judgement.exit_code, kExitBreached);
    print_breach(rule, judged.verdict, source, one_of_many, err);
  }
  return judgement;
}

}  // namespace residue
