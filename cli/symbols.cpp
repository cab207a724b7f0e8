// residue symbols: which files with symbols were found, which are missing, and what would bring
// them.
#include <optional>

#include "cli/analysis.h"
#include "cli/table.h"
#include "formats/base/text.h"
#include "symbolize/symbol_report.h"

namespace residue {
namespace {

void summarize(const SymbolReport& report, std::ostream& out) {
  out << report.full << " of " << report.modules << " modules have full symbols";
  if (report.partial > 0) out << ", " << report.partial << " names of functions only";
  const size_t none = report.modules - report.full - report.partial;
  if (none > 0) out << ", " << none << " nothing";
  out << "\n";
  if (report.advice) {
    out << "most would come from: " << printable(report.advice->command) << " ("
        << report.advice->modules << (report.advice->modules == 1 ? " module)\n" : " modules)\n");
  }
}

}  // namespace

// No heap is walked: this answers at once whatever the dump's size.
Result<int> run_symbols(const Options& options, Streams streams) {
  const std::string& path = options.arguments[0];
  Diagnostics diagnostics;
  std::optional<Progress> progress;
  progress.emplace(streams.err, options.progress && Progress::is_terminal(), path);
  RESIDUE_ASSIGN(const Image image, open_image(path, options, &*progress, &diagnostics));
  progress->stage("looking for debug files");
  const DebugFiles files(image, options.search);
  const SymbolReport report = report_symbols(files);
  progress.reset();
  print_diagnostics(path, diagnostics, options, streams.err);
  RESIDUE_TRY(check_strict(path, diagnostics, options));
  TextTable table({"module", "what", "state", "path", "reason", "remedy"});
  for (const SymbolReport::Row& row : report.rows) {
    const Module& module = image.modules[row.module.value()];
    const SymbolFinding& f = row.finding;
    table.add({std::string(base_name(module.path)), f.what, f.state, f.path, f.reason, f.remedy});
  }
  Renderer renderer(streams.out, options.format);
  table.print(renderer);
  if (options.quiet) return kExitDone;
  if (options.format == OutputFormat::kTable) {
    streams.out << "\n";
    summarize(report, streams.out);
  } else {
    summarize(report, streams.err);
  }
  return kExitDone;
}

}  // namespace residue
