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
  std::string debuginfod_cache;      // files that its client fetched earlier; empty: not searched
  bool debuginfod = false;           // --debuginfod: ask the servers of DEBUGINFOD_URLS too

  // Candidate paths for the module's own file, best first.
  std::vector<std::string> module_candidates(const std::string& path, const std::string& build_id,
                                             bool is_executable) const;
};

// Where libdebuginfod keeps what it fetched, by its documented rules (debuginfod_find_debuginfo(3),
// elfutils 0.178 and later): $DEBUGINFOD_CACHE_PATH, an old ~/.debuginfod_client_cache,
// $XDG_CACHE_HOME/debuginfod_client, ~/.cache/debuginfod_client. Empty if none of them is set.
std::string debuginfod_cache_directory();

// "/.build-id/ab/cdef…", the layout that gdb, elfutils and the distributions share; empty for an id
// that is too short for it.
std::string build_id_path(const std::string& build_id);

}  // namespace residue
