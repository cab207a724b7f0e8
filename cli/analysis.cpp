#include "cli/analysis.h"

#include <unistd.h>

#include <chrono>

#include "formats/base/text.h"
#include "formats/format.h"

namespace residue {
namespace {

// A line on the terminal that says what is being done, once the work takes over a second.
class Progress {
 public:
  Progress(std::ostream& err, bool wanted)
      : err_(err), wanted_(wanted && isatty(STDERR_FILENO) == 1), start_(Clock::now()) {}
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  ~Progress() {
    if (shown_) err_ << "\r\x1b[K" << std::flush;
  }

  void stage(const std::string& path, const char* name) {
    if (!wanted_ || Clock::now() - start_ < std::chrono::seconds(1)) return;
    err_ << "\r\x1b[K" << printable(base_name(path)) << ": " << name << " …" << std::flush;
    shown_ = true;
  }

 private:
  using Clock = std::chrono::steady_clock;
  std::ostream& err_;
  bool wanted_;
  bool shown_ = false;
  Clock::time_point start_;
};

}  // namespace

Result<std::unique_ptr<Analysis>> analyze_dump(const std::string& path, const Options& options,
                                               bool want_evidence, std::ostream& err) {
  Diagnostics diagnostics;
  auto image = open_dump(path, options.search, diagnostics);
  if (!image) return std::move(image).error().in(path);
  auto analysis = std::make_unique<Analysis>();
  analysis->image = std::move(image).value();
  analysis->files = std::make_unique<DebugFiles>(analysis->image, options.search);
  {
    Progress progress(err, options.progress);
    PipelineOptions pipeline;
    pipeline.label = options.label;
    pipeline.files = analysis->files.get();
    pipeline.progress = [&](const char* name) { progress.stage(path, name); };
    pipeline.evidence = want_evidence ? &analysis->evidence : nullptr;
    analysis->snapshot = analyze(analysis->image, std::move(diagnostics), pipeline);
  }
  if (options.strict && analysis->snapshot.diagnostics.has_damage()) {
    print_diagnostics(path, analysis->snapshot.diagnostics, options, err);
    return Error{ErrorCode::kCorrupt, path + ": is damaged, and --strict is given", {}};
  }
  return analysis;
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
