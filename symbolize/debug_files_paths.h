// Where a module's debug information may lie: the conventions of gdb, elfutils, dwz and the
// distributions, as lists of paths to try. Nothing here opens a file.
//
// Sources: gdb's manual, "Separate Debug Files" and "Index Files" (gdb 13); elfutils'
// debuginfod_find_debuginfo(3); dwz(1), 0.15; the DWARF 5 specification, 7.3.5 (packages).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "formats/file_search.h"
#include "symbolize/symbol_file.h"

namespace residue {

// .gnu_debuglink: a file name without directory, and the CRC-32 of that file.
struct DebugLink {
  std::string name;
  uint32_t crc = 0;
};
std::optional<DebugLink> read_debug_link(const SymbolFile& file);

// .gnu_debugaltlink: dwz's common file, by path and build-id.
struct AlternateLink {
  std::string path;
  std::string build_id;  // lower-case hex
};
std::optional<AlternateLink> read_alternate_link(const SymbolFile& file);

// A path, and in words why it is tried.
struct Candidate {
  std::string path;
  const char* how = "";
};

// Debug files whose name is the build-id, best first.
std::vector<Candidate> candidates_by_build_id(const FileSearch& search,
                                              const std::string& build_id);

// Debug files named by the program's .gnu_debuglink. `file` is the program's path on this machine
// (empty if it is not here), `recorded` that in the dump.
std::vector<Candidate> candidates_by_link(const FileSearch& search, const std::string& file,
                                          const std::string& recorded, const std::string& link);

// Debug files that are named after the module, or are the unstripped module itself.
std::vector<Candidate> candidates_by_name(const FileSearch& search, const std::string& file,
                                          const std::string& recorded);

// dwz's common file of the debug file at `debug`.
std::vector<Candidate> alternate_candidates(const FileSearch& search, const std::string& debug,
                                            const AlternateLink& link);

// DWARF packages beside the module or its debug file.
std::vector<std::string> package_candidates(const FileSearch& search, const std::string& binary,
                                            const std::string& debug, const std::string& recorded);

// The .dwo file that a skeleton unit names.
std::vector<std::string> split_candidates(const FileSearch& search, const std::string& binary,
                                          const std::string& compilation_dir,
                                          const std::string& name);

}  // namespace residue
