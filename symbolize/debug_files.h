// DebugFiles: which files say what about each module of an Image, and which are missing.
//
// For every module: its own file (matched by build-id), the file with its debug information (the
// same one, a separate debug file by build-id, by .gnu_debuglink, from the debuginfod cache or
// server), dwz's common file, the mini symbol table of .gnu_debugdata, and split DWARF (.dwo,
// .dwp). A file whose build-id (or CRC, for .gnu_debuglink without one) differs is reported and
// never used. Modules are looked at on first use; thread-safe.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "formats/file_search.h"
#include "formats/image.h"
#include "symbolize/symbol_file.h"

namespace residue {

// One file that was looked for: a row of `residue symbols`.
struct SymbolFinding {
  std::string what;    // 'binary', 'debug', 'alternate' (dwz), 'dwo', 'dwp', 'debugdata', 'symtab'
  std::string state;   // 'found', 'missing', 'mismatch', 'damaged', 'not needed'
  std::string path;    // the file, or what was sought (a path, a build-id)
  std::string reason;  // in words: what differs, what is wrong
  std::string remedy;  // package or command that would bring it; empty if nothing is missing
};

struct ModuleFiles {
  // Null where there is none. `debug` has .debug_info; it may be the same object as `binary`.
  const SymbolFile* binary = nullptr;
  const SymbolFile* debug = nullptr;
  const SymbolFile* alternate = nullptr;
  const SymbolFile* mini = nullptr;        // unpacked .gnu_debugdata
  const SymbolFile* dump_pages = nullptr;  // ELF image in the dump's own pages (the vdso)
  std::vector<SymbolFinding> findings;
};

class DebugFiles {
 public:
  // REQUIRES: `image` outlives this.
  DebugFiles(const Image& image, FileSearch search);
  ~DebugFiles();
  DebugFiles(const DebugFiles&) = delete;
  DebugFiles& operator=(const DebugFiles&) = delete;

  const ModuleFiles& of(ModuleId module) const;

  // Split DWARF: the file that holds the unit `id` (DWO id), from a .dwp beside the module or the
  // .dwo that the skeleton names. Null if it is missing; the module's findings then say so.
  const SymbolFile* split_unit(ModuleId module, const std::string& compilation_dir,
                               const std::string& dwo_name, uint64_t id) const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace residue
