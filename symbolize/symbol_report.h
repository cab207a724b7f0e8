// SymbolReport: what `residue symbols` says: for every module what was found, what is missing, and
// what would bring it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "symbolize/debug_files.h"

namespace residue {

struct SymbolReport {
  struct Row {
    ModuleId module = kNone<ModuleId>;
    SymbolFinding finding;
  };
  // The one command that would bring debug information for most modules that lack it.
  struct Advice {
    std::string command;
    size_t modules = 0;
  };
  std::vector<Row> rows;  // in the order of modules
  size_t modules = 0;     // without the vdso
  size_t full = 0;        // of them with debug information
  size_t partial = 0;     // with names of functions only
  std::optional<Advice> advice;
};

// Looks at every module, split DWARF included. Also reads the package manager's lists.
SymbolReport report_symbols(const DebugFiles& files);

}  // namespace residue
