// The command line, parsed and checked. Names and meanings are the contract that scripts rely on.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/render.h"
#include "formats/base/result.h"
#include "formats/file_search.h"

namespace residue {

struct Options {
  std::string command;                 // 'analyze', …; 'help' and 'version' too
  std::vector<std::string> arguments;  // what follows it
  FileSearch search;                   // --symbols, --exe, --sysroot, --debuginfod
  OutputFormat format = OutputFormat::kTable;
  bool quiet = false;
  bool strict = false;
  bool progress = true;
  bool retained = true;                   // not --no-retained
  std::vector<std::string> suppressions;  // --suppressions: files
  bool embedded_suppressions = true;      // not --no-embedded-suppressions
  unsigned jobs = 0;                      // --jobs: worker threads, 0 for one per processor
  std::string references = "auto";        // --references: 'auto', 'always' or 'never'
  std::string database;                   // --db
  std::string label;                      // --label
  std::string dimension;                  // --by
  uint32_t tid = 0;                       // --tid; 0 means all
  int64_t limit = -1;                     // --limit; 0 means all, -1 the command's default
};

// Options may stand before and after the subcommand. Fails with kUsage.
Result<Options> parse_options(int argc, const char* const* argv);

// The text of `residue help` (topic empty) or `residue help COMMAND`; kUsage for an unknown
// command.
Result<std::string> help_text(const std::string& topic);

// A bash script that completes commands, options and files.
std::string completion_script();

}  // namespace residue
