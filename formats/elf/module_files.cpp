#include "formats/elf/module_files.h"

#include <algorithm>

#include "formats/elf/elf_file.h"
#include "formats/elf/elf_layout.h"

namespace residue::elf {
namespace {

constexpr const char* kStage = "elf-core";

// The paths to try for the module: what was recorded, and without the mark of a deleted file.
std::vector<std::string> candidates(const Module& module, const FileSearch& search) {
  auto paths = search.module_candidates(module.path, module.build_id, module.is_executable);
  const std::string plain(without_deleted(module.path));
  if (plain == module.path) return paths;
  for (std::string& path : search.module_candidates(plain, module.build_id, module.is_executable)) {
    if (std::find(paths.begin(), paths.end(), path) == paths.end()) {
      paths.push_back(std::move(path));
    }
  }
  return paths;
}

// A separate debug file has the build-id and the addresses of the program, but not its bytes.
bool has_contents(std::span<const std::byte> file, const Module& module) {
  const auto header = read_header(file);
  const auto headers = header ? read_program_headers(file, *header) : ProgramHeaders();
  if (!headers) return false;
  return std::all_of(module.segments.begin(), module.segments.end(), [&](const Segment& segment) {
    return std::any_of(headers->items.begin(), headers->items.end(), [&](const ProgramHeader& h) {
      return h.type == kSegmentLoad && h.vaddr + module.bias == segment.range.base.value() &&
             h.offset == segment.file_offset && h.file_size == segment.file_size;
    });
  });
}

}  // namespace

std::string_view without_deleted(std::string_view path) {
  if (path.ends_with(kDeletedSuffix)) path.remove_suffix(kDeletedSuffix.size());
  return path;
}

void open_module_file(Image* image, Module* module, const FileSearch& search,
                      Diagnostics& diagnostics) {
  if (module->path.empty() || module->path.front() == '[') return;
  if (module->build_id.empty()) {
    diagnostics.add(Severity::kNote, kStage, module->path, 0,
                    "no build-id in the core: files on disk are not used for it");
    return;
  }
  bool mismatch = false;
  for (const std::string& path : candidates(*module, search)) {
    auto file = MappedFile::open(path);
    if (!file) continue;
    if (file_build_id(file->bytes()) != module->build_id) {
      mismatch = true;
      continue;
    }
    if (!has_contents(file->bytes(), *module)) continue;
    module->file = file->bytes();
    module->file_path = path;
    image->files.push_back(std::move(file).value());
    break;
  }
  if (module->file.empty()) {
    diagnostics.add(mismatch ? Severity::kWarning : Severity::kNote, kStage, module->path, 0,
                    mismatch ? "the file on disk has another build-id and is not used"
                             : "no file with its build-id was found");
  }
}

void fill_from_files(Image* image, const CoreNotes& notes) {
  std::vector<Region> filled;
  filled.reserve(image->regions.size());
  for (Region& region : image->regions) {
    const bool candidate = region.backing == Backing::kAbsent && region.module != kNone<ModuleId> &&
                           !region.permissions.write && region.kind != RegionKind::kModuleData;
    if (!candidate || image->modules[region.module.value()].file.empty()) {
      filled.push_back(std::move(region));
      continue;
    }
    const auto file = image->modules[region.module.value()].file;
    uint64_t there = 0;
    uint64_t offset = 0;
    if (const MappedFileEntry* entry = find_mapping(notes.files, region.range.base)) {
      offset = entry->file_offset + (region.range.base - entry->range.base).value();
      const uint64_t mapped =
          std::min(region.range.size.value(), (entry->range.end() - region.range.base).value());
      there = offset >= file.size() ? 0 : std::min<uint64_t>(mapped, file.size() - offset);
    }
    if (there > 0) {
      Region part = region;
      part.range.size = ByteCount(there);
      part.bytes = file.subspan(offset, there);
      part.backing = Backing::kFile;
      filled.push_back(std::move(part));
    }
    if (there < region.range.size.value()) {
      region.range = {region.range.base + ByteCount(there), region.range.size - ByteCount(there)};
      filled.push_back(std::move(region));
    }
  }
  image->regions = std::move(filled);
}

}  // namespace residue::elf
