// residue diff: what grew between two snapshots.
#include <algorithm>
#include <array>

#include "cli/gate_report.h"
#include "db/query.h"

namespace residue {
namespace {

// The gates, with A as the baseline, and the formats that are reports. The exit code.
Result<int> judge_diff(const Options& options, Database& database, int64_t from, int64_t to,
                       Streams streams) {
  Options gated = options;
  gated.baseline = options.arguments[1];
  RESIDUE_ASSIGN(const Baselines baselines,
                 Baselines::make(gated, &database, /*kept=*/true, streams));
  GateInput input;
  input.current = {&database, to};
  input.history = input.current;
  RESIDUE_ASSIGN(auto baseline, baselines.of(input.current));
  baseline->side.snapshot = from;
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
  constexpr int64_t kDefaultRows = 10;
  const std::string& path = options.arguments[0];
  RESIDUE_ASSIGN(Database database, open_database_to_read(path));
  RESIDUE_ASSIGN(const int64_t from, resolve_snapshot(database, options.arguments[1]));
  RESIDUE_ASSIGN(const int64_t to, resolve_snapshot(database, options.arguments[2]));
  static constexpr std::array<const char*, 5> kDimensions = {"type", "module", "owner", "heap",
                                                             "size"};
  const bool known =
      std::find(kDimensions.begin(), kDimensions.end(), options.dimension) != kDimensions.end();
  if (!options.dimension.empty() && !known) {
    return Error{ErrorCode::kUsage, "unknown dimension '" + options.dimension + "'", {}};
  }
  if (is_report(options.format)) return judge_diff(options, database, from, to, streams);
  Renderer renderer(streams.out, options.format);
  if (options.format != OutputFormat::kTable || !options.dimension.empty()) {
    const int64_t limit = std::max<int64_t>(options.limit, 0);
    RESIDUE_TRY(diff_rows(database, from, to, options.dimension, limit, renderer));
    return judge_diff(options, database, from, to, streams);
  }
  const int64_t limit = options.limit < 0 ? kDefaultRows : options.limit;
  bool first = true;
  for (const char* dimension : kDimensions) {
    Renderer table(streams.out, options.format);
    streams.out << (first ? "" : "\n") << "By " << dimension << ", most grown first:\n";
    first = false;
    RESIDUE_TRY(diff_rows(database, from, to, dimension, limit, table));
  }
  return judge_diff(options, database, from, to, streams);
}

}  // namespace residue
