#include "symbolize/debug_files.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <utility>

#include "formats/base/text.h"
#include "formats/elf/elf_layout.h"
#include "symbolize/debug_files_identity.h"
#include "symbolize/debug_files_paths.h"
#include "symbolize/debug_files_server.h"
#include "symbolize/raw_symbols.h"

namespace residue {
namespace {

constexpr const char* kVdso = "[vdso]";
// A program has a .dwo file for every source file: of those that are missing the first few are
// named.
constexpr size_t kMaxMissingUnits = 10;

// The path that the file had before it was removed or replaced.
std::string plain_path(const Module& module) {
  constexpr std::string_view kDeleted = " (deleted)";
  std::string path = module.path;
  if (path.ends_with(kDeleted)) path.resize(path.size() - kDeleted.size());
  return path;
}

bool has_debug_info(const SymbolFile& file) { return file.has(".debug_info"); }

// By type, not by name: that survives a lost table of names.
bool has_symtab(const SymbolFile& file) {
  return symbols_of_file(file, elf::kSectionSymtab).count() > 0;
}

}  // namespace

// One module at a time is looked at by one thread (its once_flag); files are shared between modules
// (dwz's common file is), so the table of them has its own lock.
class DebugFiles::Impl {
 public:
  Impl(const Image& image, FileSearch search)
      : image_(image), search_(std::move(search)), states_(image.modules.size()) {}

  const Image& image() const { return image_; }
  const FileSearch& search() const { return search_; }

  const ModuleFiles& of(ModuleId id) {
    State& state = states_.at(id.value());
    std::call_once(state.once, [&] { look_at(id.value(), &state); });
    return state.files;
  }

  std::vector<SymbolFinding> findings(ModuleId id) {
    (void)of(id);
    State& state = states_[id.value()];
    std::vector<SymbolFinding> all = state.findings;
    const std::lock_guard lock(split_mutex_);
    all.insert(all.end(), state.split_findings.begin(), state.split_findings.end());
    if (!state.first_split.empty()) {
      all.push_back({"dwo", "found", state.first_split,
                     std::to_string(state.split_found) + " files of this kind", ""});
    }
    if (state.split_missing > kMaxMissingUnits) {
      all.push_back({"dwo", "missing", "",
                     std::to_string(state.split_missing - kMaxMissingUnits) + " more", ""});
    }
    return all;
  }

  const SymbolFile* split_unit(ModuleId id, const std::string& compilation_dir,
                               const std::string& name, uint64_t dwo_id);

 private:
  struct State {
    std::once_flag once;
    ModuleFiles files;
    std::vector<SymbolFinding> findings;
    // Guarded by split_mutex_.
    bool package_sought = false;
    const SymbolFile* package = nullptr;
    std::map<std::string, const SymbolFile*> split;  // by directory and name; null: missing
    std::vector<SymbolFinding> split_findings;
    std::string first_split;
    size_t split_found = 0;
    size_t split_missing = 0;
  };
  struct Opened {
    std::unique_ptr<SymbolFile> file;
    ErrorCode code = ErrorCode::kIo;
    std::string reason;
  };

  const Opened& open(const std::string& path);
  const SymbolFile* keep(std::unique_ptr<SymbolFile> file, const std::string& path);
  bool is_mapped(std::span<const std::byte> bytes) const;
  void look_at(size_t m, State* state);
  void find_binary(const Module& module, State* state);
  void use_module_file(const Module& module, State* state);
  void find_unconfirmed(const Module& module, State* state);
  void report_other_binaries(const Module& module, State* state);
  void use_dump_pages(const Module& module, State* state);
  void find_debug(const Module& module, State* state);
  bool try_debug(const Module& module, const Candidate& candidate,
                 const std::optional<DebugLink>& link, State* state);
  void report_missing_debug(const Module& module, State* state);
  void find_alternate(State* state);
  void find_symtab(State* state);
  const SymbolFile* find_package(const Module& module, State* state);

  const Image& image_;
  const FileSearch search_;
  std::vector<State> states_;
  std::mutex open_mutex_;
  std::map<std::string, Opened> opened_;
  const Opened nowhere_;
  std::mutex split_mutex_;
};

const DebugFiles::Impl::Opened& DebugFiles::Impl::open(const std::string& path) {
  const std::lock_guard lock(open_mutex_);
  if (const auto known = opened_.find(path); known != opened_.end()) return known->second;
  auto file = SymbolFile::open(path);
  // What is not there now may be in a moment: debuginfod's library puts what it fetches where its
  // cache was looked at before.
  if (!file && file.error().code == ErrorCode::kIo) return nowhere_;
  Opened& opened = opened_[path];
  if (file) {
    opened.file = std::move(file).value();
  } else {
    opened.code = file.error().code;
    opened.reason = to_string(file.error());
  }
  return opened;
}

const SymbolFile* DebugFiles::Impl::keep(std::unique_ptr<SymbolFile> file, const std::string& key) {
  const std::lock_guard lock(open_mutex_);
  Opened& opened = opened_[key];
  // Somebody else opened the same path meanwhile: pointers to that one are out already.
  if (opened.file == nullptr) opened.file = std::move(file);
  return opened.file.get();
}

bool DebugFiles::Impl::is_mapped(std::span<const std::byte> bytes) const {
  return std::any_of(image_.files.begin(), image_.files.end(), [&](const MappedFile& file) {
    const auto all = file.bytes();
    return std::less_equal<>()(all.data(), bytes.data()) &&
           std::less_equal<>()(bytes.data() + bytes.size(), all.data() + all.size());
  });
}

void DebugFiles::Impl::look_at(size_t m, State* state) {
  const Module& module = image_.modules[m];
  find_binary(module, state);
  if (module.path == kVdso) {
    find_symtab(state);
    return;
  }
  find_debug(module, state);
  find_alternate(state);
  find_symtab(state);
}

void DebugFiles::Impl::find_binary(const Module& module, State* state) {
  if (module.path == kVdso) {
    use_dump_pages(module, state);
    state->findings.push_back({"binary", "not needed", module.path,
                               state->files.dump_pages != nullptr
                                   ? "the kernel's own; its pages are in the dump"
                                   : "the kernel's own; its pages are not in the dump",
                               ""});
    return;
  }
  if (!module.file.empty()) {
    use_module_file(module, state);
  } else if (module.build_id.empty()) {
    find_unconfirmed(module, state);
  } else {
    report_other_binaries(module, state);
  }
  if (state->files.binary == nullptr) use_dump_pages(module, state);
}

void DebugFiles::Impl::use_module_file(const Module& module, State* state) {
  const auto keeper =
      is_mapped(module.file) ? SymbolFile::Keeper::kMapping : SymbolFile::Keeper::kOther;
  const std::string path = module.file_path.empty() ? module.path : module.file_path;
  auto file = SymbolFile::of_bytes(module.file, path, keeper);
  if (!file) {
    state->findings.push_back({"binary", "damaged", path, to_string(file.error()), ""});
    return;
  }
  state->files.binary = keep(std::move(file).value(), path);
  const std::string problem = state->files.binary->problem();
  state->findings.push_back({"binary", problem.empty() ? "found" : "damaged", path,
                             problem.empty() ? "its build-id is the one in the dump" : problem,
                             ""});
}

void DebugFiles::Impl::find_unconfirmed(const Module& module, State* state) {
  FileSearch named = search_;
  named.debuginfod_cache.clear();
  auto candidates = named.module_candidates(module.path, "", module.is_executable);
  // The last one is where the process had it: what lies there may be anything by now.
  const bool is_exe = module.is_executable && !search_.executable.empty();
  if (!is_exe && !module.path.empty()) candidates.pop_back();
  for (const std::string& path : candidates) {
    const Opened& opened = open(path);
    if (opened.file == nullptr) continue;
    // A file that was named for it and has an id cannot be compared by it, but by its headers.
    if (auto reason = differs_by_headers(*opened.file, image_, module, /*is_debug=*/false)) {
      state->findings.push_back({"binary", "mismatch", path, std::move(*reason), ""});
      continue;
    }
    state->files.binary = opened.file.get();
    state->files.unconfirmed = true;
    state->findings.push_back({"binary", "found", path,
                               "unconfirmed: the dump has no build-id of it, but nothing in its "
                               "program headers speaks against it",
                               ""});
    return;
  }
  state->findings.push_back({"binary", "missing", module.path,
                             "the dump has no build-id of it, so no file can be confirmed", ""});
}

void DebugFiles::Impl::report_other_binaries(const Module& module, State* state) {
  for (const std::string& path :
       search_.module_candidates(plain_path(module), module.build_id, module.is_executable)) {
    const Opened& opened = open(path);
    if (opened.file == nullptr) {
      if (opened.code != ErrorCode::kIo && opened.file == nullptr) {
        state->findings.push_back({"binary", "damaged", path, opened.reason, ""});
      }
      continue;
    }
    auto reason = differs_by_build_id(*opened.file, module.build_id);
    if (!reason) continue;  // the Image did not want it for its contents; find_debug looks again
    state->findings.push_back({"binary", "mismatch", path, std::move(*reason), ""});
  }
  if (search_.debuginfod) {
    auto path = fetch_from_debuginfod(ServerFile::kExecutable, module.build_id);
    if (path) {
      const Opened& opened = open(*path);
      if (opened.file != nullptr && opened.file->build_id() == module.build_id) {
        state->files.binary = opened.file.get();
        state->findings.push_back({"binary", "found", *path, "from debuginfod", ""});
        return;
      }
    }
  }
  state->findings.push_back(
      {"binary", "missing", module.path, "no file with build-id " + module.build_id, ""});
}

// The file is in memory as it is on disk only where one segment holds all of it: the vdso, and the
// smallest of programs. Elsewhere a section table would be read from the wrong places.
void DebugFiles::Impl::use_dump_pages(const Module& module, State* state) {
  if (module.segments.size() != 1 || module.segments[0].file_offset != 0) return;
  const auto pages = image_.view(module.range.base, module.range.size.value());
  if (pages.empty()) return;
  auto file = SymbolFile::of_bytes(pages, module.path.empty() ? "(dump)" : module.path);
  if (!file) return;
  state->files.dump_pages =
      keep(std::move(file).value(), "(dump):" + hex(module.range.base.value()));
}

void DebugFiles::Impl::find_debug(const Module& module, State* state) {
  const SymbolFile* binary = state->files.binary;
  if (binary != nullptr && has_debug_info(*binary)) {
    state->files.debug = binary;
    state->findings.push_back({"debug", "found", binary->path(), "in the binary itself", ""});
    return;
  }
  const std::string file = binary == nullptr ? std::string() : binary->path();
  const std::string id = !module.build_id.empty() ? module.build_id
                         : binary != nullptr      ? binary->build_id()
                                                  : std::string();
  const std::string recorded = plain_path(module);
  const auto link = binary == nullptr ? std::nullopt : read_debug_link(*binary);
  for (const Candidate& c : candidates_by_build_id(search_, id)) {
    if (try_debug(module, c, std::nullopt, state)) return;
  }
  if (link) {
    for (const Candidate& c : candidates_by_link(search_, file, recorded, link->name)) {
      if (try_debug(module, c, link, state)) return;
    }
  }
  for (const Candidate& c : candidates_by_name(search_, file, recorded)) {
    if (try_debug(module, c, std::nullopt, state)) return;
  }
  if (search_.debuginfod && !id.empty()) {
    const auto path = fetch_from_debuginfod(ServerFile::kDebugInfo, id);
    if (path && try_debug(module, {*path, "from debuginfod"}, std::nullopt, state)) return;
  }
  report_missing_debug(module, state);
}

// Whether the search is over. A file of the right build without .debug_info is kept for its symbol
// table, and the search goes on.
bool DebugFiles::Impl::try_debug(const Module& module, const Candidate& candidate,
                                 const std::optional<DebugLink>& link, State* state) {
  const SymbolFile* binary = state->files.binary;
  if (binary != nullptr && candidate.path == binary->path()) return false;
  const Opened& opened = open(candidate.path);
  if (opened.file == nullptr) {
    if (opened.code != ErrorCode::kIo) {
      state->findings.push_back({"debug", "damaged", candidate.path, opened.reason, ""});
    }
    return false;
  }
  const SymbolFile& file = *opened.file;
  const std::string id =
      !module.build_id.empty() || binary == nullptr ? module.build_id : binary->build_id();
  std::optional<std::string> reason;
  std::string how = candidate.how;
  if (!id.empty() && !file.build_id().empty()) {
    reason = differs_by_build_id(file, id);
  } else if (link) {
    const uint32_t crc = crc_of(file.bytes());
    if (crc != link->crc) {
      reason = "has CRC " + hex(crc) + ", .gnu_debuglink wants " + hex(link->crc);
    }
    how += ", its CRC is right";
  } else if (!id.empty()) {
    reason = differs_by_build_id(file, id);
  } else {
    reason = differs_by_headers(file, image_, module, /*is_debug=*/true);
    how += ", unconfirmed: no build-id, but its program headers are the same";
  }
  if (reason) {
    state->findings.push_back({"debug", "mismatch", candidate.path, std::move(*reason), ""});
    return false;
  }
  if (!has_debug_info(file)) {
    if (state->files.symtab == nullptr && has_symtab(file)) state->files.symtab = &file;
    return false;
  }
  state->files.debug = &file;
  const std::string problem = file.problem();
  state->findings.push_back({"debug", problem.empty() ? "found" : "damaged", candidate.path,
                             problem.empty() ? how : problem, ""});
  return true;
}

void DebugFiles::Impl::report_missing_debug(const Module& module, State* state) {
  const SymbolFile* binary = state->files.binary;
  const std::string id =
      !module.build_id.empty() || binary == nullptr ? module.build_id : binary->build_id();
  std::string reason = "no debug file was found";
  if (!id.empty()) {
    reason = "no file with build-id " + id;
  } else if (binary == nullptr) {
    reason = "without the binary and its build-id no debug file can be confirmed";
  }
  state->findings.push_back({"debug", "missing", id.empty() ? module.path : id, reason, ""});
}

void DebugFiles::Impl::find_alternate(State* state) {
  if (state->files.debug == nullptr) return;
  const auto link = read_alternate_link(*state->files.debug);
  if (!link) return;
  const auto try_one = [&](const std::string& path, const char* how) {
    const Opened& opened = open(path);
    if (opened.file == nullptr) return false;
    if (auto reason = differs_by_build_id(*opened.file, link->build_id)) {
      state->findings.push_back({"alternate", "mismatch", path, std::move(*reason), ""});
      return false;
    }
    state->files.alternate = opened.file.get();
    state->findings.push_back({"alternate", "found", path, how, ""});
    return true;
  };
  for (const Candidate& c : alternate_candidates(search_, state->files.debug->path(), *link)) {
    if (try_one(c.path, c.how)) return;
  }
  if (search_.debuginfod) {
    const auto path = fetch_from_debuginfod(ServerFile::kDebugInfo, link->build_id);
    if (path && try_one(*path, "from debuginfod")) return;
  }
  state->findings.push_back({"alternate", "missing", link->path,
                             "no file with build-id " + link->build_id +
                                 ": names and types that dwz moved there are lost",
                             ""});
}

void DebugFiles::Impl::find_symtab(State* state) {
  ModuleFiles& files = state->files;
  if (files.debug != nullptr && has_symtab(*files.debug)) {
    files.symtab = files.debug;
  } else if (files.symtab == nullptr) {
    for (const SymbolFile* file : {files.binary, files.dump_pages}) {
      if (file != nullptr && has_symtab(*file)) {
        files.symtab = file;
        break;
      }
    }
  }
  if (files.symtab != nullptr) {
    if (files.symtab != files.debug) {
      state->findings.push_back({"symtab", "found", files.symtab->path(),
                                 files.symtab == files.dump_pages ? "in the dump's own pages" : "",
                                 ""});
    }
    return;
  }
  if (files.binary == nullptr) return;
  if (!files.binary->has(".gnu_debugdata")) {
    state->findings.push_back(
        {"symtab", "missing", files.binary->path(), "stripped: exported names only", ""});
    return;
  }
  const std::string path = files.binary->path() + "(.gnu_debugdata)";
  const auto unpack = [&]() -> Result<std::unique_ptr<SymbolFile>> {
    RESIDUE_ASSIGN(UnpackedBytes bytes, unpack_xz(files.binary->section(".gnu_debugdata")));
    return SymbolFile::of_memory(std::move(bytes), path);
  };
  auto mini = unpack();
  if (!mini) {
    state->findings.push_back({"debugdata", "damaged", path, to_string(mini.error()), ""});
    return;
  }
  files.mini = keep(std::move(mini).value(), path);
  state->findings.push_back({"debugdata", "found", path, "function names only", ""});
}

const SymbolFile* DebugFiles::Impl::find_package(const Module& module, State* state) {
  if (state->package_sought) return state->package;
  state->package_sought = true;
  const ModuleFiles& files = state->files;
  const auto path = [](const SymbolFile* file) {
    return file == nullptr ? std::string() : file->path();
  };
  for (const std::string& candidate :
       package_candidates(search_, path(files.binary), path(files.debug), plain_path(module))) {
    const Opened& opened = open(candidate);
    if (opened.file == nullptr) continue;
    if (!opened.file->has(".debug_cu_index") && !opened.file->has(".debug_tu_index")) {
      state->split_findings.push_back({"dwp", "damaged", candidate, "has no index of units", ""});
      continue;
    }
    state->package = opened.file.get();
    state->split_findings.push_back({"dwp", "found", candidate, "", ""});
    break;
  }
  return state->package;
}

const SymbolFile* DebugFiles::Impl::split_unit(ModuleId id, const std::string& compilation_dir,
                                               const std::string& name, uint64_t dwo_id) {
  (void)of(id);
  const std::lock_guard lock(split_mutex_);
  State& state = states_[id.value()];
  const Module& module = image_.modules[id.value()];
  if (const SymbolFile* package = find_package(module, &state)) return package;
  const auto [it, is_new] = state.split.try_emplace(compilation_dir + '\0' + name);
  if (!is_new) return it->second;
  const std::string binary =
      state.files.binary == nullptr ? std::string() : state.files.binary->path();
  for (const std::string& path : split_candidates(search_, binary, compilation_dir, name)) {
    const Opened& opened = open(path);
    if (opened.file == nullptr) continue;
    if (!opened.file->has(".debug_info.dwo")) {
      state.split_findings.push_back({"dwo", "damaged", path, "has no .debug_info.dwo", ""});
      continue;
    }
    it->second = opened.file.get();
    if (state.split_found++ == 0) state.first_split = path;
    return it->second;
  }
  if (++state.split_missing > kMaxMissingUnits) return nullptr;
  const bool is_absolute = name.starts_with('/') || compilation_dir.empty();
  state.split_findings.push_back({"dwo", "missing",
                                  is_absolute ? name : compilation_dir + "/" + name,
                                  "unit " + hex(dwo_id) + " is not in a package either", ""});
  return nullptr;
}

DebugFiles::DebugFiles(const Image& image, FileSearch search)
    : impl_(std::make_unique<Impl>(image, std::move(search))) {}
DebugFiles::~DebugFiles() = default;

const Image& DebugFiles::image() const { return impl_->image(); }
const FileSearch& DebugFiles::search() const { return impl_->search(); }
const ModuleFiles& DebugFiles::of(ModuleId module) const { return impl_->of(module); }

const SymbolFile* DebugFiles::split_unit(ModuleId module, const std::string& compilation_dir,
                                         const std::string& dwo_name, uint64_t id) const {
  return impl_->split_unit(module, compilation_dir, dwo_name, id);
}

std::vector<SymbolFinding> DebugFiles::findings(ModuleId module) const {
  return impl_->findings(module);
}

}  // namespace residue
