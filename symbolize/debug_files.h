// DebugFiles: which files say what about each module of an Image, and which are missing.
//
// For every module: its own file (matched by build-id), the file with its debug information (the
// same one, a separate debug file by build-id, by .gnu_debuglink, by name, from the debuginfod
// cache or server), dwz's common file, the mini symbol table of .gnu_debugdata, and split DWARF
// (.dwo, .dwp). A file whose build-id (or CRC, for .gnu_debuglink without one) differs is reported
// and never used. A module without a build-id in the dump gets a file only if the user named it
// (--exe,
// --symbols) and its program headers are the dump's; the finding then says that it is unconfirmed.
// Modules are looked at on first use; thread-safe.
#pragma once

#include <memory>
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
  std::string reason;  // in words: how it was found, what differs, what is wrong
  std::string remedy;  // package or command that would bring it; empty if nothing is missing
};

struct ModuleFiles {
  // Null where there is none. `debug` has .debug_info; it may be the same object as `binary`.
  const SymbolFile* binary = nullptr;
  const SymbolFile* debug = nullptr;
  const SymbolFile* alternate = nullptr;
  const SymbolFile* mini = nullptr;  // unpacked .gnu_debugdata; only where there is no .symtab
  const SymbolFile* dump_pages = nullptr;  // ELF image in the dump's own pages (the vdso)
  // The file whose .symtab counts: debug, another file of the same build, or binary.
  const SymbolFile* symtab = nullptr;
  // `binary` has no build-id to compare; its program headers are the dump's.
  bool unconfirmed = false;
};

class DebugFiles {
 public:
  // REQUIRES: `image` outlives this.
  DebugFiles(const Image& image, FileSearch search);
  ~DebugFiles();
  DebugFiles(const DebugFiles&) = delete;
  DebugFiles& operator=(const DebugFiles&) = delete;

  const Image& image() const;
  const FileSearch& search() const;

  const ModuleFiles& of(ModuleId module) const;

  // Split DWARF: the file that holds the unit `id` (DWO id), from a .dwp beside the module or the
  // .dwo that the skeleton names. Null if it is missing; the module's findings then say so. Whether
  // the unit in a .dwo has that id is for the reader to check.
  const SymbolFile* split_unit(ModuleId module, const std::string& compilation_dir,
                               const std::string& dwo_name, uint64_t id) const;

  // What was found and what is missing, without remedies.
  std::vector<SymbolFinding> findings(ModuleId module) const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace residue
