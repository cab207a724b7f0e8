// FileSearch: where on the analysis machine the dumped process's files may lie.
//
// Only says which paths to try; whoever opens them must compare build-ids before using a byte.
#pragma once

#include <string>
#include <vector>

namespace residue {

struct FileSearch {
  std::string executable;            // --exe: the main program's file, and no other
  std::string sysroot;               // --sysroot: put before every recorded path
  std::vector<std::string> symbols;  // --symbols: directories, searched first

  // Candidate paths for the module's own file, best first.
  std::vector<std::string> module_candidates(const std::string& path, const std::string& build_id,
                                             bool is_executable) const;
  // Candidate paths for its separate debug file, by build-id.
  std::vector<std::string> debug_candidates(const std::string& build_id) const;
};

}  // namespace residue
