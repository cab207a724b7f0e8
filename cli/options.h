// The command line, parsed and checked. Names and meanings are the contract that scripts rely on.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/render.h"
#include "db/gate.h"
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
  bool replace = false;                   // --replace
  bool dry_run = false;                   // --dry-run
  int64_t older_than = -1;                // --older-than: seconds; -1 if not given
  int64_t keep_last = -1;                 // --keep-last; -1 if not given
  std::string dimension;                  // --by
  std::string measure;                    // --measure; empty means used_bytes
  std::string process;                    // --process: an identity or a pid
  std::string executable;                 // --executable: a path or its last component
  bool chunks = false;                    // --chunks
  uint32_t tid = 0;                       // --tid; 0 means all
  std::vector<GateRule> gates;            // --fail-on
  std::string baseline;                   // --baseline: a snapshot, a database or a dump
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
