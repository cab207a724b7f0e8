// residue diff: what grew between two snapshots, and which chunks made it grow.
#include "db/diff.h"

#include <algorithm>
#include <array>
#include <map>

#include "cli/diff_text.h"
#include "cli/gate_report.h"
#include "cli/leak_text.h"
#include "cli/source.h"
#include "db/query.h"
#include "formats/base/text.h"

namespace residue {
namespace {

constexpr int64_t kDefaultRows = 10;
constexpr int64_t kDefaultChunks = 30;

Result<void> check_dimension(const std::string& dimension) {
  const bool known =
      std::find(kDiffDimensions.begin(), kDiffDimensions.end(), dimension) != kDiffDimensions.end();
  if (dimension.empty() || known) return {};
  return Error{ErrorCode::kUsage, "unknown dimension '" + dimension + "'", {}};
}

Result<void> print_chunks(Database& database, DiffRequest request, const Kinship& kinship,
                          const Options& options, Streams streams) {
  if (request.by_name) {
    return Error{ErrorCode::kUsage,
                 "--chunks compares addresses, and the snapshots are of different processes (" +
                     kinship.reason + ")",
                 {}};
  }
  const bool table = options.format == OutputFormat::kTable;
  request.limit = options.limit < 0 && table ? kDefaultChunks : std::max<int64_t>(options.limit, 0);
  Renderer renderer(streams.out, options.format);
  return changed_chunks(database, request, renderer);
}

// Sums are stored beside the chunks: damage to these leaves the sums.
Result<void> print_keys(Database& database, DiffRequest request, RowSink& sink, std::ostream& err) {
  Result<void> done = changed_keys(database, request, sink);
  if (done || request.by_name || done.error().code != ErrorCode::kCorrupt) return done;
  err << "residue: " << printable(to_string(done.error()))
      << ": shown without the chunks behind the sums\n";
  request.sums_only = true;
  return changed_keys(database, request, sink);
}

Result<void> print_report(Database& database, DiffRequest request, const Kinship& kinship,
                          Streams streams) {
  std::ostream& out = streams.out;
  RESIDUE_ASSIGN(const Totals before, snapshot_totals(database, request.from));
  RESIDUE_ASSIGN(const Totals after, snapshot_totals(database, request.to));
  print_diff_header(before, after, request, kinship, out);
  if (request.dimension.empty()) {
    Renderer renderer(out, OutputFormat::kTable);
    UnlessEmpty shown(&renderer,
                      [&out] { out << "\nNew leaks, of shapes that did not leak before:\n"; });
    LeakLines lines(&shown);
    RESIDUE_TRY(new_leaks(database, request, lines));
  }
  DimensionTables tables(request.by_name);
  request.limit_each = true;
  RESIDUE_TRY(print_keys(database, request, tables, streams.err));
  for (const char* dimension : kDiffDimensions) tables.print(dimension, out);
  if (tables.empty()) out << "\nNothing changed.\n";
  return {};
}

// The gates, with A as the baseline, and the formats that are reports. The exit code.
Result<int> judge_diff(const Options& options, Database& database, const DiffRequest& request,
                       Streams streams) {
  Options gated = options;
  gated.baseline = options.arguments[1];
  RESIDUE_ASSIGN(const Baselines baselines,
                 Baselines::make(gated, &database, /*kept=*/true, streams));
  GateInput input;
  input.current = {&database, request.to};
  input.history = input.current;
  RESIDUE_ASSIGN(auto baseline, baselines.of(input.current));
  baseline->side.snapshot = request.from;
  const std::string source = options.arguments[0] + "@" + options.arguments[2];
  const std::string dimension = options.dimension.empty() ? "type" : options.dimension;
  RESIDUE_ASSIGN(DumpReport examined,
                 examine(gated, input, baseline, source, false, streams.err, dimension));
  Report report{options.command, {}, &options.gates, examined.judgement.exit_code};
  report.dumps.push_back(std::move(examined));
  write_report(report, options.format, streams.out);
  return report.exit_code;
}

}  // namespace

Result<int> run_diff(const Options& options, Streams streams) {
  const std::string& path = options.arguments[0];
  RESIDUE_ASSIGN(Database database, open_database_to_read(path));
  DiffRequest request;
  RESIDUE_ASSIGN(request.from, resolve_snapshot(database, options.arguments[1]));
  RESIDUE_ASSIGN(request.to, resolve_snapshot(database, options.arguments[2]));
  RESIDUE_TRY(check_dimension(options.dimension));
  request.dimension = options.dimension;
  RESIDUE_ASSIGN(const Kinship kinship, compare_processes(database, request.from, request.to));
  request.by_name = !kinship.same_process;
  if (is_report(options.format)) return judge_diff(options, database, request, streams);
  if (options.chunks) {
    RESIDUE_TRY(print_chunks(database, request, kinship, options, streams));
    return judge_diff(options, database, request, streams);
  }
  if (options.format != OutputFormat::kTable) {
    request.limit = std::max<int64_t>(options.limit, 0);
    if (request.by_name && !options.quiet) {
      streams.err << "residue: " << path << ": different processes (" << kinship.reason
                  << "): compared by name\n";
    }
    Renderer renderer(streams.out, options.format);
    RESIDUE_TRY(print_keys(database, request, renderer, streams.err));
    return judge_diff(options, database, request, streams);
  }
  request.limit = options.limit < 0 ? kDefaultRows : options.limit;
  RESIDUE_TRY(print_report(database, request, kinship, streams));
  return judge_diff(options, database, request, streams);
}

}  // namespace residue
