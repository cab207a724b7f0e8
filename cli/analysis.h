// What every command that takes a DUMP shares: opening it, analysing it with a progress line, and
// reporting damage.
#pragma once

#include <memory>

#include "analyzer/pipeline.h"
#include "cli/commands.h"
#include "formats/image.h"
#include "symbolize/debug_files.h"

namespace residue {

struct Analysis {
  Image image;
  std::unique_ptr<DebugFiles> files;  // of `image`
  Snapshot snapshot;
  Evidence evidence;  // filled in only if asked for
};

// Errors carry the file's name and are those of an unreadable input. With --strict, damage is one.
Result<std::unique_ptr<Analysis>> analyze_dump(const std::string& path, const Options& options,
                                               bool want_evidence, std::ostream& err);

// Damage and warnings as lines on `err`, unless --quiet.
void print_diagnostics(const std::string& path, const Diagnostics& diagnostics,
                       const Options& options, std::ostream& err);

}  // namespace residue
