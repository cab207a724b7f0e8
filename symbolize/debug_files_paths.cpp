#include "symbolize/debug_files_paths.h"

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "formats/base/text.h"

namespace residue {
namespace {

constexpr const char* kDebugRoot = "/usr/lib/debug";
// A build-id is 16, 20 or 32 bytes; ld's --build-id=0x… may give another length.
constexpr size_t kMaxBuildId = 64;
constexpr size_t kMaxPath = 4096;

// "/usr/lib/" of "/usr/lib/libfoo.so": with the slash, so that it can be put before a name.
std::string directory_of(const std::string& path) {
  const auto slash = path.rfind('/');
  return slash == std::string::npos ? std::string() : path.substr(0, slash + 1);
}

// Links such as /usr/lib/debug/.build-id/ab/cdef.debug lead elsewhere, and what is relative is so
// to where they lead.
std::string real_path(const std::string& path) {
  std::error_code error;
  const auto real = std::filesystem::canonical(path, error);
  return error ? path : real.string();
}

void add(std::vector<Candidate>* paths, std::string path, const char* how) {
  const bool known =
      std::any_of(paths->begin(), paths->end(), [&](const Candidate& c) { return c.path == path; });
  if (!known && !path.empty()) paths->push_back({std::move(path), how});
}

void add(std::vector<std::string>* paths, std::string path) {
  if (path.empty() || std::find(paths->begin(), paths->end(), path) != paths->end()) return;
  paths->push_back(std::move(path));
}

}  // namespace

std::optional<DebugLink> read_debug_link(const SymbolFile& file) {
  ByteCursor cursor(file.section(".gnu_debuglink"), file.order());
  const auto name = cursor.c_string();
  if (!name || name->empty() || name->size() > kMaxPath) return std::nullopt;
  cursor.align(4);
  const auto crc = cursor.read<uint32_t>();
  if (!crc) return std::nullopt;
  // A directory in it would be a way out of the places that are searched.
  return DebugLink{std::string(base_name(*name)), *crc};
}

std::optional<AlternateLink> read_alternate_link(const SymbolFile& file) {
  const auto bytes = file.section(".gnu_debugaltlink");
  ByteCursor cursor(bytes, file.order());
  const auto path = cursor.c_string();
  if (!path || path->empty() || path->size() > kMaxPath) return std::nullopt;
  const auto id = bytes.subspan(cursor.position());
  if (id.empty() || id.size() > kMaxBuildId) return std::nullopt;
  return AlternateLink{std::string(*path), hex_bytes(id)};
}

std::vector<Candidate> candidates_by_build_id(const FileSearch& search,
                                              const std::string& build_id) {
  std::vector<Candidate> paths;
  const std::string by_id = build_id_path(build_id);
  if (by_id.empty()) return paths;
  for (const std::string& dir : search.symbols) {
    add(&paths, dir + by_id + ".debug", "by build-id in --symbols");
    // The directory given may be the .build-id one itself.
    add(&paths, dir + by_id.substr(sizeof "/.build-id" - 1) + ".debug", "by build-id in --symbols");
    // And one may hold debuginfod's layout.
    add(&paths, dir + "/" + build_id + "/debuginfo", "by build-id in --symbols");
  }
  add(&paths, search.sysroot + kDebugRoot + by_id + ".debug", "by build-id");
  if (!search.debuginfod_cache.empty()) {
    add(&paths, search.debuginfod_cache + "/" + build_id + "/debuginfo", "in debuginfod's cache");
  }
  return paths;
}

std::vector<Candidate> candidates_by_link(const FileSearch& search, const std::string& file,
                                          const std::string& recorded, const std::string& link) {
  std::vector<Candidate> paths;
  constexpr const char* kHow = "by .gnu_debuglink";
  const std::string recorded_dir = directory_of(recorded);
  for (const std::string& dir : search.symbols) {
    add(&paths, dir + recorded_dir + (recorded_dir.empty() ? "/" : "") + link, kHow);
    add(&paths, dir + "/" + link, kHow);
  }
  for (const std::string& path : {file, file.empty() ? file : real_path(file)}) {
    if (path.empty()) continue;
    add(&paths, directory_of(path) + link, kHow);
    add(&paths, directory_of(path) + ".debug/" + link, kHow);
  }
  for (const std::string& path : {recorded, file.empty() ? file : real_path(file)}) {
    if (!path.starts_with('/')) continue;
    add(&paths, search.sysroot + kDebugRoot + directory_of(path) + link, kHow);
  }
  return paths;
}

std::vector<Candidate> candidates_by_name(const FileSearch& search, const std::string& file,
                                          const std::string& recorded) {
  std::vector<Candidate> paths;
  constexpr const char* kHow = "by name";
  const std::string name(base_name(recorded.empty() ? file : recorded));
  for (const std::string& dir : search.symbols) {
    if (name.empty()) break;
    if (recorded.starts_with('/')) {
      add(&paths, dir + recorded + ".debug", kHow);
      add(&paths, dir + recorded, kHow);
    }
    add(&paths, dir + "/" + name + ".debug", kHow);
    add(&paths, dir + "/" + name, kHow);
  }
  if (!file.empty()) {
    add(&paths, file + ".debug", kHow);
    add(&paths, directory_of(file) + ".debug/" + name + ".debug", kHow);
  }
  if (recorded.starts_with('/')) {
    add(&paths, search.sysroot + recorded + ".debug", kHow);
    add(&paths, search.sysroot + kDebugRoot + recorded + ".debug", kHow);
    add(&paths, search.sysroot + kDebugRoot + recorded, kHow);
  }
  return paths;
}

std::vector<Candidate> alternate_candidates(const FileSearch& search, const std::string& debug,
                                            const AlternateLink& link) {
  std::vector<Candidate> paths;
  constexpr const char* kHow = "by .gnu_debugaltlink";
  const std::string name(base_name(link.path));
  for (const std::string& dir : search.symbols) {
    if (link.path.starts_with('/')) add(&paths, dir + link.path, kHow);
    add(&paths, dir + "/" + name, kHow);
    add(&paths, dir + "/.dwz/" + name, kHow);
  }
  if (link.path.starts_with('/')) {
    add(&paths, search.sysroot + link.path, kHow);
  } else if (!debug.empty()) {
    add(&paths, directory_of(debug) + link.path, kHow);
    add(&paths, directory_of(real_path(debug)) + link.path, kHow);
  }
  for (Candidate& c : candidates_by_build_id(search, link.build_id)) {
    add(&paths, std::move(c.path), c.how);
  }
  return paths;
}

std::vector<std::string> package_candidates(const FileSearch& search, const std::string& binary,
                                            const std::string& debug, const std::string& recorded) {
  std::vector<std::string> paths;
  const std::string name(base_name(recorded.empty() ? binary : recorded));
  for (const std::string& dir : search.symbols) {
    if (!name.empty()) add(&paths, dir + "/" + name + ".dwp");
  }
  for (const std::string& path : {binary, debug}) {
    if (path.empty()) continue;
    add(&paths, path + ".dwp");
    add(&paths, real_path(path) + ".dwp");
    // x.debug goes with x.dwp too.
    if (path.ends_with(".debug")) add(&paths, path.substr(0, path.size() - 6) + ".dwp");
  }
  return paths;
}

std::vector<std::string> split_candidates(const FileSearch& search, const std::string& binary,
                                          const std::string& compilation_dir,
                                          const std::string& name) {
  std::vector<std::string> paths;
  if (name.empty() || name.size() > kMaxPath || compilation_dir.size() > kMaxPath) return paths;
  const std::string base(base_name(name));
  for (const std::string& dir : search.symbols) {
    if (!name.starts_with('/')) add(&paths, dir + "/" + name);
    add(&paths, dir + "/" + base);
  }
  if (name.starts_with('/')) {
    add(&paths, search.sysroot + name);
  } else if (!compilation_dir.empty()) {
    add(&paths, search.sysroot + compilation_dir + "/" + name);
  }
  if (!binary.empty()) {
    if (!name.starts_with('/')) add(&paths, directory_of(binary) + name);
    add(&paths, directory_of(binary) + base);
  }
  return paths;
}

}  // namespace residue
