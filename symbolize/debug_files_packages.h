// Which distribution package would bring a module's debug information.
//
// Debian and Ubuntu: `dpkg`'s lists of files name the package of a file on this machine; its debug
// information is in PACKAGE-dbgsym (since Debian 9, Ubuntu earlier; glibc's in libc6-dbg). Where no
// list names the file, its name gives a guess by Debian's library naming rule (Policy 8.1:
// soname libfoo.so.2 is in libfoo2, libfoo-3.so.2 in libfoo-3-2). Fedora and its kin are told by
// /usr/lib64; there `rpm -qf` says it.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

namespace residue {

struct PackageAnswer {
  std::string package;  // empty: unknown
  bool is_guess = false;
};

class PackageNames {
 public:
  // Reads the lists below `sysroot` for those of `paths` that they name.
  PackageNames(const std::string& sysroot, const std::vector<std::string>& paths);

  // The debug package of the file that the dump knows as `path`; empty if there is no rule for it.
  PackageAnswer debug_package(const std::string& path) const;

 private:
  std::map<std::string, std::string> owner_;  // path → package
};

// Whether a path looks like one of Debian's multiarch directories or programs, or like Fedora's.
enum class PathStyle : uint8_t { kOther, kDebian, kFedora };
PathStyle path_style(const std::string& path);

// "libfoo-3-2-dbgsym" for "libfoo-3.so.2.0.1"; empty for what is no library's name.
std::string guess_debug_package(const std::string& path);

}  // namespace residue
