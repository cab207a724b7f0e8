#include "formats/file_search.h"

#include <sys/stat.h>

#include <cstdlib>

#include "formats/base/text.h"

namespace residue {
namespace {

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

bool is_directory(const std::string& path) {
  struct stat status {};
  return stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

}  // namespace

std::string build_id_path(const std::string& build_id) {
  if (build_id.size() <= 2) return {};
  return "/.build-id/" + build_id.substr(0, 2) + "/" + build_id.substr(2);
}

std::string debuginfod_cache_directory() {
  if (auto given = environment("DEBUGINFOD_CACHE_PATH"); !given.empty()) return given;
  const std::string home = environment("HOME");
  if (!home.empty() && is_directory(home + "/.debuginfod_client_cache")) {
    return home + "/.debuginfod_client_cache";
  }
  if (auto cache = environment("XDG_CACHE_HOME"); !cache.empty()) {
    return cache + "/debuginfod_client";
  }
  return home.empty() ? home : home + "/.cache/debuginfod_client";
}

std::vector<std::string> FileSearch::module_candidates(const std::string& path,
                                                       const std::string& build_id,
                                                       bool is_executable) const {
  std::vector<std::string> paths;
  if (is_executable && !executable.empty()) return {executable};
  const std::string by_id = build_id_path(build_id);
  for (const std::string& dir : symbols) {
    const std::string below = dir + "/";
    if (!path.empty()) {
      paths.push_back(below + path);  // a recorded path begins with a slash; two do no harm
      paths.push_back(below + std::string(base_name(path)));
    }
    if (!by_id.empty()) paths.push_back(dir + by_id);
  }
  if (!path.empty()) paths.push_back(sysroot + path);
  if (!debuginfod_cache.empty() && !by_id.empty()) {
    paths.push_back(debuginfod_cache + "/" + build_id + "/executable");
  }
  return paths;
}

}  // namespace residue
