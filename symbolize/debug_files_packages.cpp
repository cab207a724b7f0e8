#include "symbolize/debug_files_packages.h"

#include <dirent.h>

#include <algorithm>
#include <cctype>
#include <memory>
#include <string_view>
#include <unordered_set>

#include "formats/base/mapped_file.h"
#include "formats/base/text.h"

namespace residue {
namespace {

constexpr const char* kLists = "/var/lib/dpkg/info";
constexpr std::string_view kListSuffix = ".list";

// The names that a list may have for the file: before and after /lib became a link to /usr/lib.
std::vector<std::string> spellings(const std::string& path) {
  std::vector<std::string> names{path};
  if (path.starts_with("/usr/")) {
    names.push_back(path.substr(4));
  } else if (path.starts_with("/lib") || path.starts_with("/bin") || path.starts_with("/sbin")) {
    names.push_back("/usr" + path);
  }
  return names;
}

std::vector<std::string> list_names(const std::string& directory) {
  std::vector<std::string> names;
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(opendir(directory.c_str()), closedir);
  if (dir == nullptr) return names;
  while (const dirent* entry = readdir(dir.get())) {
    std::string name(static_cast<const char*>(entry->d_name));
    if (name.ends_with(kListSuffix)) names.push_back(std::move(name));
  }
  std::sort(names.begin(), names.end());
  return names;
}

// "libc6:amd64.list" is that of libc6.
std::string package_of_list(std::string_view name) {
  name.remove_suffix(kListSuffix.size());
  return std::string(name.substr(0, name.find(':')));
}

std::string debug_name(const std::string& package) {
  if (package == "libc6" || package.starts_with("libc6-")) return "libc6-dbg";
  if (package.ends_with("-dbgsym") || package.ends_with("-dbg")) return package;
  return package + "-dbgsym";
}

}  // namespace

PackageNames::PackageNames(const std::string& sysroot, const std::vector<std::string>& paths) {
  std::unordered_set<std::string> wanted;
  for (const std::string& path : paths) {
    for (std::string& name : spellings(path)) wanted.insert(std::move(name));
  }
  if (wanted.empty()) return;
  const std::string directory = sysroot + kLists;
  for (const std::string& name : list_names(directory)) {
    const auto file = MappedFile::open(directory + "/" + name);
    if (!file) continue;
    const auto bytes = file->bytes();
    std::string_view rest(static_cast<const char*>(static_cast<const void*>(bytes.data())),
                          bytes.size());
    while (!rest.empty()) {
      const size_t end = rest.find('\n');
      const std::string line(rest.substr(0, end));
      if (wanted.contains(line)) owner_.try_emplace(line, package_of_list(name));
      rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    }
  }
}

PackageAnswer PackageNames::debug_package(const std::string& path) const {
  for (const std::string& name : spellings(path)) {
    const auto it = owner_.find(name);
    if (it != owner_.end()) return {debug_name(it->second), false};
  }
  if (path_style(path) != PathStyle::kDebian) return {};
  std::string guess = guess_debug_package(path);
  return {guess, !guess.empty()};
}

PathStyle path_style(const std::string& path) {
  const auto below = [&path](std::string_view directory) { return path.starts_with(directory); };
  if (below("/usr/lib64/") || below("/lib64/")) return PathStyle::kFedora;
  if ((below("/usr/lib/") || below("/lib/")) && path.find("-linux-gnu") != std::string::npos) {
    return PathStyle::kDebian;
  }
  return PathStyle::kOther;
}

std::string guess_debug_package(const std::string& path) {
  std::string name(base_name(path));
  if (name.starts_with("ld-linux") || name == "libc.so.6" || name == "libm.so.6" ||
      name == "libpthread.so.0" || name == "libdl.so.2" || name == "librt.so.1") {
    return "libc6-dbg";
  }
  const size_t so = name.find(".so");
  if (!name.starts_with("lib") || so == std::string::npos) return {};
  std::string stem = name.substr(0, so);
  std::string version = name.substr(so + 3);
  if (version.starts_with('.')) version.erase(0, 1);
  version = version.substr(0, version.find('.'));
  if (version.empty()) return {};
  std::transform(stem.begin(), stem.end(), stem.begin(), [](char c) {
    return c == '_' ? '-' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  });
  const bool digit = std::isdigit(static_cast<unsigned char>(stem.back())) != 0;
  return stem.append(digit ? "-" : "").append(version).append("-dbgsym");
}

}  // namespace residue
