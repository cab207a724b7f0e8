#include "cli/gate_report.h"

#include <algorithm>
#include <map>
#include <utility>

#include "cli/junit.h"
#include "cli/leak_text.h"
#include "cli/sarif.h"
#include "cli/units.h"
#include "db/leak_identity.h"
#include "db/statement.h"

namespace residue {
namespace {

constexpr size_t kMaxDiagnostics = 1000;

// Calls `each` with the statement at each of its rows.
template <typename Each, typename... Args>
Result<void> for_rows(const GateSide& side, const char* sql, Each&& each, const Args&... args) {
  RESIDUE_ASSIGN(Statement rows, Statement::prepare(side.database->handle(), sql));
  RESIDUE_TRY(rows.bind(side.snapshot, args...));
  for (;;) {
    RESIDUE_ASSIGN(const bool row, rows.step());
    if (!row) return {};
    each(rows);
  }
}

std::string text(const Statement& row, int column) { return std::string(row.text(column)); }
uint64_t number(const Statement& row, int column) {
  return static_cast<uint64_t>(row.integer(column));
}

class Collector {
 public:
  Collector(const GateInput& input, uint64_t limit, DumpReport* report)
      : input_(input), limit_(limit), report_(report) {}

  Result<void> facts();
  Result<void> leaks(bool only_changes);
  Result<void> corruption();
  Result<void> unverified_heaps();
  Result<void> growth(const std::string& dimension);
  void growth(const GateVerdict& verdict);

 private:
  // Adds it, or counts it as left out if `shown`, the number of its kind so far, is at the limit.
  void add(Finding finding, uint64_t* shown) {
    if (limit_ != 0 && *shown >= limit_) {
      ++report_->left_out;
      return;
    }
    ++*shown;
    report_->findings.push_back(std::move(finding));
  }
  Result<void> find_sites(std::vector<std::pair<size_t, int64_t>> heads);

  const GateInput& input_;
  uint64_t limit_;
  DumpReport* report_;
};

Result<void> Collector::facts() {
  RESIDUE_TRY(for_rows(input_.current,
                       "SELECT source_bytes, executable, format, taken_at, (SELECT count(*) FROM "
                       "heap h WHERE h.snapshot = s.id) FROM snapshot s WHERE id = ?",
                       [this](const Statement& row) {
                         report_->source_bytes = number(row, 0);
                         report_->executable = text(row, 1);
                         report_->format = text(row, 2);
                         report_->taken_at = text(row, 3);
                         report_->heaps = number(row, 4);
                       }));
  return for_rows(
      input_.current,
      "SELECT severity, stage, place, message FROM diagnostic WHERE snapshot = ?1 AND severity <> "
      "'note' ORDER BY severity <> 'damage', id LIMIT ?2",
      [this](const Statement& row) {
        report_->diagnostics.push_back({text(row, 0), text(row, 1), text(row, 2), text(row, 3)});
      },
      kMaxDiagnostics);
}

// Where the heads were allocated, as far as somebody found that out.
Result<void> Collector::find_sites(std::vector<std::pair<size_t, int64_t>> heads) {
  bool any = false;
  RESIDUE_TRY(for_rows(input_.current, "SELECT 1 FROM site WHERE snapshot = ? LIMIT 1",
                       [&any](const Statement&) { any = true; }));
  if (!any) return {};
  for (const auto& [index, head] : heads) {
    Finding& finding = report_->findings[index];
    RESIDUE_TRY(for_rows(
        input_.current,
        "SELECT s.function, s.file, s.line FROM chunk c JOIN site s ON s.snapshot = c.snapshot AND "
        "s.id = c.site WHERE c.snapshot = ?1 AND c.address = ?2",
        [&finding](const Statement& row) {
          finding.function = text(row, 0);
          finding.file = text(row, 1);
          finding.line = number(row, 2);
        },
        head));
  }
  return {};
}

const char* state_of(const std::map<std::string, double>& before, const std::string& identity,
                     double bytes) {
  const auto it = before.find(identity);
  if (it == before.end()) return "new";
  return bytes > it->second ? "updated" : "unchanged";
}

Result<void> Collector::leaks(bool only_changes) {
  std::map<std::string, std::string> confidence;  // by type's name
  RESIDUE_TRY(for_rows(input_.current,
                       "SELECT t.name, t.confidence FROM type t WHERE t.snapshot = ?1 AND t.name "
                       "IN (SELECT type FROM cluster WHERE snapshot = ?1)",
                       [&](const Statement& row) { confidence[text(row, 0)] = text(row, 1); }));
  std::map<std::string, double> before;
  std::map<std::string, double> after;
  if (input_.baseline) {
    RESIDUE_ASSIGN(const auto old_keys, gate_keys(*input_.baseline, "shape"));
    RESIDUE_ASSIGN(const auto new_keys, gate_keys(input_.current, "shape"));
    for (const GateKey& key : old_keys) before[key.key] = key.leaked_bytes;
    for (const GateKey& key : new_keys) after[key.key] = key.leaked_bytes;
  }
  uint64_t shown = 0;
  std::vector<std::pair<size_t, int64_t>> heads;
  RESIDUE_TRY(for_rows(
      input_.current,
      "SELECT type, module, shape, count, chunks, bytes, evidence, head FROM cluster WHERE "
      "snapshot = ? AND suppressed IS NULL ORDER BY bytes DESC, id",
      [&](const Statement& row) {
        Finding leak;
        leak.type = text(row, 0);
        leak.module = text(row, 1);
        leak.count = number(row, 3);
        leak.bytes = number(row, 5);
        leak.evidence = text(row, 6);
        leak.identity = leak_identity(leak.type, leak.module, row.text(2));
        if (input_.baseline) {
          leak.state = state_of(before, leak.identity, after[leak.identity]);
          if (only_changes && leak.state == std::string_view("unchanged")) return;
        }
        if (!leak.type.empty()) leak.confidence = confidence[leak.type];
        leak.message = "Leaked: " + leak_line(leak.count, row.text(2), leak.bytes);
        leak.message.append(" in ").append(count_text(number(row, 4))).append(" chunks");
        if (!leak.evidence.empty()) leak.message.append(": ").append(leak.evidence);
        if (shown < limit_ || limit_ == 0) {
          heads.emplace_back(report_->findings.size(), row.integer(7));
        }
        add(std::move(leak), &shown);
      }));
  return find_sites(std::move(heads));
}

Result<void> Collector::corruption() {
  std::map<std::string, double> before;
  const auto identity_of = [](const Statement& row) {
    return text(row, 0).append("|").append(row.text(1));
  };
  if (input_.baseline) {
    RESIDUE_TRY(for_rows(*input_.baseline,
                         "SELECT kind, suspect_type FROM corruption WHERE snapshot = ?",
                         [&](const Statement& row) { before[identity_of(row)] = 0; }));
  }
  uint64_t shown = 0;
  return for_rows(input_.current,
                  "SELECT kind, suspect_type, message, confidence FROM corruption WHERE snapshot = "
                  "? ORDER BY id",
                  [&](const Statement& row) {
                    Finding found;
                    found.topic = GateTopic::kCorruption;
                    found.rule = "heap-corruption";
                    found.type = text(row, 1);
                    found.message = "Heap corruption, " + text(row, 0) + ": " + text(row, 2);
                    found.confidence = text(row, 3);
                    found.count = 1;
                    found.identity = identity_of(row);
                    if (input_.baseline) found.state = state_of(before, found.identity, 0);
                    add(std::move(found), &shown);
                  });
}

Result<void> Collector::unverified_heaps() {
  std::map<std::string, double> before;
  if (input_.baseline) {
    RESIDUE_TRY(for_rows(*input_.baseline,
                         "SELECT allocator FROM heap WHERE snapshot = ? AND verified IS NOT 1",
                         [&before](const Statement& row) { before[text(row, 0)] = 0; }));
  }
  uint64_t shown = 0;
  return for_rows(input_.current,
                  "SELECT allocator, name, problem, used_count, used_bytes FROM heap WHERE "
                  "snapshot = ? AND verified IS NOT 1 ORDER BY id",
                  [&](const Statement& row) {
                    Finding found;
                    found.topic = GateTopic::kHeaps;
                    found.rule = "unverified-heap";
                    found.message = "Heap " + text(row, 1) + " of " + text(row, 0);
                    found.message.append(" does not balance: ").append(row.text(2));
                    found.count = number(row, 3);
                    found.bytes = number(row, 4);
                    found.identity = text(row, 0);  // names of arenas are addresses
                    if (input_.baseline) found.state = state_of(before, found.identity, 0);
                    add(std::move(found), &shown);
                  });
}

Finding growth_of(const std::string& dimension, const std::string& key, double before, double after,
                  bool bytes) {
  Finding found;
  found.topic = GateTopic::kGrowth;
  found.rule = "growth";
  const auto delta = static_cast<uint64_t>(std::max(0.0, after - before));
  (bytes ? found.bytes : found.count) = delta;
  const auto amount = [bytes](double value) {
    const auto whole = static_cast<uint64_t>(std::max(0.0, value));
    return bytes ? bytes_text(whole) : count_text(whole) + " chunks";
  };
  found.message = "Grown: " + dimension + " " + key;
  found.message.append(" by ").append(amount(after - before)).append(", from ");
  found.message.append(amount(before)).append(" to ").append(amount(after));
  if (dimension == "type") found.type = key;
  if (dimension == "module") found.module = key;
  found.identity = dimension + "|" + key;
  found.state = before == 0 ? "new" : "updated";
  return found;
}

Result<void> Collector::growth(const std::string& dimension) {
  RESIDUE_ASSIGN(const GateNames names, gate_names(*input_.baseline, input_.current));
  RESIDUE_ASSIGN(const auto before, gate_keys(*input_.baseline, dimension, names));
  RESIDUE_ASSIGN(const auto after, gate_keys(input_.current, dimension, names));
  std::map<std::string_view, double> old;
  for (const GateKey& key : before) old[key.key] = key.used_bytes;
  std::vector<Finding> found;
  for (const GateKey& key : after) {
    const auto it = old.find(key.key);
    const double from = it == old.end() ? 0 : it->second;
    if (key.used_bytes <= from) continue;
    found.push_back(growth_of(dimension, key.shown, from, key.used_bytes, true));
  }
  std::stable_sort(found.begin(), found.end(),
                   [](const Finding& a, const Finding& b) { return a.bytes > b.bytes; });
  uint64_t shown = 0;
  for (Finding& finding : found) add(std::move(finding), &shown);
  return {};
}

// The keys for which a rule of growth was breached.
void Collector::growth(const GateVerdict& verdict) {
  uint64_t shown = 0;
  for (const GateFound& found : verdict.keys) {
    const GateMetric& metric = *found.condition->metric;
    if (metric.kind != GateKind::kGrowth || metric.topic != GateTopic::kGrowth) return;
    add(growth_of(found.condition->dimension, found.key, found.before, found.after,
                  metric.unit == GateUnit::kBytes),
        &shown);
  }
}

}  // namespace

bool DumpReport::breached(GateTopic topic, const std::vector<GateRule>& rules) const {
  for (size_t i = 0; i < judgement.rules.size() && i < rules.size(); ++i) {
    if (judgement.rules[i].breached() && rules[i].has(topic)) return true;
  }
  return false;
}

Result<DumpReport> report_on(const GateInput& input, const Baselines::Choice* baseline,
                             Judgement judgement, std::string source, uint64_t limit,
                             const std::string& only_changes) {
  DumpReport report;
  report.source = std::move(source);
  if (baseline != nullptr) report.baseline = baseline->text;
  report.judgement = std::move(judgement);
  Collector collector(input, limit, &report);
  RESIDUE_TRY(collector.facts());
  RESIDUE_TRY(collector.leaks(!only_changes.empty()));
  RESIDUE_TRY(collector.corruption());
  RESIDUE_TRY(collector.unverified_heaps());
  if (!only_changes.empty()) {
    RESIDUE_TRY(collector.growth(only_changes));
    return report;
  }
  for (const JudgedRule& rule : report.judgement.rules) {
    if (rule.breached()) collector.growth(rule.verdict);
  }
  return report;
}

Result<DumpReport> examine(const Options& options, GateInput input,
                           const std::optional<Baselines::Choice>& baseline,
                           const std::string& source, bool one_of_many, std::ostream& err,
                           const std::string& only_changes) {
  constexpr uint64_t kDefaultFindings = 1000;
  if (baseline) input.baseline = baseline->side;
  const Baselines::Choice* choice = baseline ? &*baseline : nullptr;
  Judgement judgement = judge_gates(options, input, choice, source, one_of_many, err);
  if (is_report(options.format)) {
    const uint64_t limit =
        options.limit < 0 ? kDefaultFindings : static_cast<uint64_t>(options.limit);
    return report_on(input, choice, std::move(judgement), source, limit, only_changes);
  }
  DumpReport report;
  report.source = source;
  report.judgement = std::move(judgement);
  return report;
}

void write_report(const Report& report, OutputFormat format, std::ostream& out) {
  if (format == OutputFormat::kSarif) write_sarif(report, out);
  if (format == OutputFormat::kJunit) write_junit(report, out);
}

}  // namespace residue
