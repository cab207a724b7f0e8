#include "cli/analysis.h"

#include "cli/progress.h"
#include "formats/base/text.h"
#include "formats/format.h"
#include "formats/identity.h"

namespace residue {

Result<std::unique_ptr<Analysis>> analyze_dump(const std::string& path, const Options& options,
                                               bool want_evidence, std::ostream& err,
                                               const Wanted& wanted) {
  Diagnostics diagnostics;
  auto analysis = std::make_unique<Analysis>();
  {
    Progress progress(err, options.progress && Progress::is_terminal(), path);
    RESIDUE_ASSIGN(analysis->image, open_image(path, options, &progress, &diagnostics));
    analysis->image.dump_id = identify_dump(analysis->image.files.front());
    PipelineOptions pipeline;
    RESIDUE_ASSIGN(pipeline.suppressions, load_suppressions(options));
    pipeline.embedded_suppressions = options.embedded_suppressions;
    for (const std::string& what : pipeline.suppressions.notes) {
      diagnostics.add(Severity::kNote, "suppressions", "", 0, what);
    }
    pipeline.label = options.label;
    analysis->symbolizer =
        std::make_unique<Symbolizer>(analysis->image, options.search, options.jobs);
    pipeline.symbolizer = analysis->symbolizer.get();
    pipeline.jobs = options.jobs;
    pipeline.wanted = wanted;
    if (!options.retained) pipeline.wanted.retained = false;
    pipeline.progress = [&](const char* name) { progress.stage(name); };
    pipeline.evidence = want_evidence ? &analysis->evidence : nullptr;
    analysis->snapshot = analyze(analysis->image, std::move(diagnostics), pipeline);
  }
  if (auto strict = check_strict(path, analysis->snapshot.diagnostics, options); !strict) {
    print_diagnostics(path, analysis->snapshot.diagnostics, options, err);
    return std::move(strict).error();
  }
  return analysis;
}

Result<SuppressionList> load_suppressions(const Options& options) {
  return read_suppressions(options.suppressions);
}

Result<Image> open_image(const std::string& path, const Options& options, Progress* progress,
                         Diagnostics* diagnostics) {
  auto image = open_dump(path, options.search, *diagnostics, [&](uint64_t done, uint64_t total) {
    progress->bar("unpacking", done, total);
  });
  if (!image) return std::move(image).error().in(path);
  return image;
}

Result<void> check_strict(const std::string& path, const Diagnostics& diagnostics,
                          const Options& options) {
  if (!options.strict || !diagnostics.has_damage()) return {};
  return Error{ErrorCode::kCorrupt, path + ": is damaged, and --strict is given", {}};
}

void print_diagnostics(const std::string& path, const Diagnostics& diagnostics,
                       const Options& options, std::ostream& err) {
  if (options.quiet) return;
  for (const Diagnostic& d : diagnostics.items()) {
    if (d.severity == Severity::kNote) continue;
    err << "residue: " << printable(path) << ": " << to_string(d.severity) << ": "
        << printable(d.place) << ": " << printable(d.message);
    if (d.bytes > 0) err << " (" << d.bytes << " bytes)";
    err << "\n";
  }
  if (diagnostics.dropped() > 0) {
    err << "residue: " << printable(path) << ": " << diagnostics.dropped()
        << " further diagnostics like these\n";
  }
}

}  // namespace residue
