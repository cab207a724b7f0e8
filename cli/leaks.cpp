// residue leaks: leaked clusters, largest first.
#include <algorithm>
#include <array>
#include <map>

#include "cli/gate_report.h"
#include "cli/leak_text.h"
#include "cli/source.h"
#include "db/leak_identity.h"
#include "db/query.h"

namespace residue {
namespace {

// What was left out, as LeakSanitizer says it; nothing if nothing was.
Result<void> print_suppressions(Database& database, int64_t snapshot, std::ostream& out) {
  const std::array<Cell, 1> parameters = {Cell(snapshot)};
  Renderer renderer(out, OutputFormat::kTable);
  UnlessEmpty sink(&renderer, [&out] { out << "\nSuppressions used:\n"; });
  RESIDUE_TRY(query(database,
                    "SELECT count, bytes, suppressed_count, suppressed_bytes, kind || ':' || "
                    "pattern AS template, file, line FROM suppression WHERE snapshot = ?1 AND "
                    "count > 0 ORDER BY id",
                    sink, parameters));
  return {};
}

// Passes on the leaks that the baseline has not, or has fewer bytes of. Rows of one identity are
// judged together. The first three columns are type, module and the whole shape; they go no
// further.
class OnlyChanges final : public RowSink {
 public:
  OnlyChanges(RowSink* sink, const std::vector<GateKey>& before, const std::vector<GateKey>& after)
      : sink_(sink) {
    for (const GateKey& key : after) bytes_[key.key] = key.leaked_bytes;
    for (const GateKey& key : before) {
      const auto it = bytes_.find(key.key);
      if (it != bytes_.end() && it->second <= key.leaked_bytes) bytes_.erase(it);
    }
  }
  void begin(std::span<const std::string> columns) override { sink_->begin(columns.subspan(3)); }
  bool row(std::span<const Cell> cells) override {
    const auto text = [&cells](size_t i) {
      const auto* value = std::get_if<std::string_view>(&cells[i]);
      return value == nullptr ? std::string_view() : *value;
    };
    if (!bytes_.contains(leak_identity(text(0), text(1), text(2)))) return true;
    return sink_->row(cells.subspan(3));
  }
  void end() override { sink_->end(); }

 private:
  RowSink* sink_;
  std::map<std::string, double> bytes_;  // of the leaks that are shown
};

// Ends a result after so many rows; 0: never.
class FirstRows final : public RowSink {
 public:
  FirstRows(RowSink* sink, int64_t limit) : sink_(sink), left_(limit) {}
  void begin(std::span<const std::string> columns) override { sink_->begin(columns); }
  bool row(std::span<const Cell> cells) override {
    return sink_->row(cells) && (left_ <= 0 || --left_ > 0);
  }
  void end() override { sink_->end(); }

 private:
  RowSink* sink_;
  int64_t left_;
};

Result<void> print_leaks(const Options& options, const GateInput& input, RowSink& sink,
                         const char* columns) {
  const std::array<Cell, 1> parameters = {Cell(input.current.snapshot)};
  const std::string rest =
      " FROM cluster WHERE snapshot = ?1 AND suppressed IS NULL ORDER BY bytes DESC, id";
  FirstRows first(&sink, options.limit);
  if (!input.baseline) {
    return query(*input.current.database, "SELECT " + (columns + rest), first, parameters);
  }
  RESIDUE_ASSIGN(const auto before, gate_keys(*input.baseline, "shape"));
  RESIDUE_ASSIGN(const auto after, gate_keys(input.current, "shape"));
  OnlyChanges changes(&first, before, after);
  std::string sql = "SELECT type, module, shape, ";
  return query(*input.current.database, sql.append(columns).append(rest), changes, parameters);
}

Result<void> print_all(const Options& options, const GateInput& input, Streams streams) {
  Renderer renderer(streams.out, options.format);
  if (options.format != OutputFormat::kTable) {
    return print_leaks(options, input, renderer,
                       "count, chunks, bytes, bytes_each, shared, verdict, type, module, head, "
                       "shape AS one_instance, evidence");
  }
  // The evidence is a sentence, the same on most lines: too wide for a table.
  LeakLines lines(&renderer);
  RESIDUE_TRY(print_leaks(options, input, lines,
                          "chunks, bytes, bytes_each, verdict, module, head, count, shape"));
  return print_suppressions(*input.current.database, input.current.snapshot, streams.out);
}

}  // namespace

Result<int> run_leaks(const Options& options, Streams streams) {
  Wanted wanted = Wanted::nothing();
  wanted.leaks = true;
  wanted.add(wanted_by_gates(options));
  RESIDUE_ASSIGN(Source source, open_source(options.arguments[0], options, wanted, streams));
  Database* database = &*source.database;
  const bool stored = source.analysis == nullptr;
  RESIDUE_ASSIGN(const Baselines baselines,
                 Baselines::make(options, stored ? database : nullptr, stored, streams));
  GateInput input;
  input.current = {database, source.snapshot};
  if (stored) input.history = input.current;
  RESIDUE_ASSIGN(const auto baseline, baselines.of(input.history));
  if (!is_report(options.format)) {
    GateInput shown = input;
    if (baselines.is_given()) shown.baseline = baseline->side;
    RESIDUE_TRY(print_all(options, shown, streams));
  }
  RESIDUE_ASSIGN(DumpReport examined, examine(options, input, baseline, options.arguments[0],
                                              /*one_of_many=*/false, streams.err));
  Report report{options.command, {}, &options.gates, examined.judgement.exit_code};
  report.dumps.push_back(std::move(examined));
  write_report(report, options.format, streams.out);
  return report.exit_code;
}

}  // namespace residue
