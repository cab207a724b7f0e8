// What every command that takes a DUMP shares: opening it, analysing it with a progress line, and
// reporting damage.
#pragma once

#include <memory>

#include "analyzer/pipeline.h"
#include "cli/commands.h"
#include "cli/progress.h"
#include "formats/image.h"
#include "symbolize/symbolizer.h"

namespace residue {

struct Analysis {
  Image image;
  std::unique_ptr<Symbolizer> symbolizer;  // of `image`
  Snapshot snapshot;
  Evidence evidence;  // filled in only if asked for
};

// Errors carry the file's name and are those of an unreadable input. With --strict, damage is one.
Result<std::unique_ptr<Analysis>> analyze_dump(const std::string& path, const Options& options,
                                               bool want_evidence, std::ostream& err,
                                               const Wanted& wanted = {});

// The rules of --suppressions. kUsage for a file that cannot be read or has a malformed line.
Result<SuppressionList> load_suppressions(const Options& options);

// Opens a dump for the commands that need no analysis. Errors as above; what was noticed goes to
// `diagnostics`.
Result<Image> open_image(const std::string& path, const Options& options, Progress* progress,
                         Diagnostics* diagnostics);

// The error that --strict makes of damage.
Result<void> check_strict(const std::string& path, const Diagnostics& diagnostics,
                          const Options& options);

// Damage and warnings as lines on `err`, unless --quiet.
void print_diagnostics(const std::string& path, const Diagnostics& diagnostics,
                       const Options& options, std::ostream& err);

}  // namespace residue
