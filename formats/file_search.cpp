#include "formats/file_search.h"

#include "formats/base/text.h"

namespace residue {
namespace {

// "/.build-id/ab/cdef…", the layout that gdb, elfutils and the distributions share.
std::string build_id_path(const std::string& build_id) {
  return "/.build-id/" + build_id.substr(0, 2) + "/" + build_id.substr(2);
}

}  // namespace

std::vector<std::string> FileSearch::module_candidates(const std::string& path,
                                                       const std::string& build_id,
                                                       bool is_executable) const {
  std::vector<std::string> paths;
  if (is_executable && !executable.empty()) return {executable};
  for (const std::string& dir : symbols) {
    const std::string below = dir + "/";
    if (!path.empty()) {
      paths.push_back(below + path);  // a recorded path begins with a slash; two do no harm
      paths.push_back(below + std::string(base_name(path)));
    }
    if (build_id.size() > 2) paths.push_back(dir + build_id_path(build_id));
  }
  if (!path.empty()) paths.push_back(sysroot + path);
  return paths;
}

std::vector<std::string> FileSearch::debug_candidates(const std::string& build_id) const {
  std::vector<std::string> paths;
  if (build_id.size() <= 2) return paths;
  for (const std::string& dir : symbols) {
    paths.push_back(dir + build_id_path(build_id) + ".debug");
  }
  paths.push_back(sysroot + "/usr/lib/debug" + build_id_path(build_id) + ".debug");
  return paths;
}

}  // namespace residue
