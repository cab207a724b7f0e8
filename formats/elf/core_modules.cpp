#include "formats/elf/core_modules.h"

#include <algorithm>

#include "formats/base/text.h"
#include "formats/elf/elf_layout.h"

namespace residue::elf {
namespace {

constexpr const char* kStage = "elf-core";
// Program headers lie in the first page as a rule; this bounds what a damaged header can ask for.
constexpr uint64_t kHeaderBytes = 65536;

uint64_t page_down(uint64_t a, uint64_t page) { return a & ~(page - 1); }
uint64_t page_up(uint64_t a, uint64_t page) { return (a + page - 1) & ~(page - 1); }

// The module's extent, bias and segments, from its program headers. The file's first page is mapped
// at `start`. Fails if the headers do not describe a loadable module.
Result<Module> parse_module(const Image& image, Address start) {
  const auto bytes = image.view(start, kHeaderBytes);
  RESIDUE_ASSIGN(const Header header, read_header(bytes));
  if (header.type != kTypeExecutable && header.type != kTypeShared) {
    return Error{ErrorCode::kUnsupported, "ELF type " + std::to_string(header.type), {}};
  }
  RESIDUE_ASSIGN(const ProgramHeaders headers, read_program_headers(bytes, header));
  const uint64_t page = image.page_size;
  uint64_t low = ~uint64_t{0};
  uint64_t high = 0;
  std::optional<uint64_t> bias;
  for (const ProgramHeader& h : headers.items) {
    if (h.type != kSegmentLoad || h.memory_size > ~uint64_t{0} - page - h.vaddr) continue;
    low = std::min(low, page_down(h.vaddr, page));
    high = std::max(high, page_up(h.vaddr + h.memory_size, page));
    // The segment that maps the start of the file says where vaddr 0 would be.
    if (page_down(h.offset, page) == 0 && !bias) bias = start.value() - page_down(h.vaddr, page);
  }
  if (!bias || high <= low) return Error{ErrorCode::kCorrupt, "no loadable segments", {}};
  if (high - low > ~uint64_t{0} - (low + *bias)) {
    return Error{ErrorCode::kCorrupt, "segments beyond the end of the address space", {}};
  }
  Module module;
  module.bias = *bias;
  module.range = {Address(low + *bias), ByteCount(high - low)};
  for (const ProgramHeader& h : headers.items) {
    const AddressRange range{Address(h.vaddr + *bias), ByteCount(h.memory_size)};
    if (h.type == kSegmentDynamic) module.dynamic = range;
    if (h.type == kSegmentTls) module.tls_image = range;
    if (h.type == kSegmentNote && module.build_id.empty()) {
      module.build_id = find_build_id(image.view(range.base, h.memory_size), header.order);
    }
    if (h.type != kSegmentLoad) continue;
    module.segments.push_back(
        {range,
         {(h.flags & kFlagRead) != 0, (h.flags & kFlagWrite) != 0, (h.flags & kFlagExecute) != 0},
         h.offset,
         h.file_size});
  }
  return module;
}

const Segment* segment_of(const Module& module, Address a, uint64_t page) {
  for (const Segment& segment : module.segments) {
    const uint64_t first = page_down(segment.range.base.value(), page);
    const uint64_t last = page_up(segment.range.end().value(), page);
    if (a.value() >= first && a.value() < last) return &segment;
  }
  return nullptr;
}

// Where the ELF header of a mapped file is not in the core, only the range of its mappings is
// known.
Module module_without_header(const std::vector<MappedFileEntry>& files, size_t first) {
  Module module;
  Address end = files[first].range.end();
  for (size_t i = first; i < files.size() && files[i].path == files[first].path; ++i) {
    end = std::max(end, files[i].range.end());
  }
  module.range = {files[first].range.base, end - files[first].range.base};
  return module;
}

bool looks_like_library(const std::string& path) {
  const auto name = base_name(path);
  return name.ends_with(".so") || name.find(".so.") != std::string_view::npos;
}

void find_modules(Image* image, const CoreNotes& notes, Diagnostics& diagnostics) {
  const auto entry = notes.auxv.find(kAuxEntry);
  const auto covered = [image](Address a) {
    return std::any_of(image->modules.begin(), image->modules.end(),
                       [a](const Module& m) { return m.range.contains(a); });
  };
  const auto add = [&](Module module, const std::string& path) {
    module.path = path;
    module.is_executable =
        entry != notes.auxv.end() && module.range.contains(Address(entry->second));
    image->modules.push_back(std::move(module));
  };
  for (size_t i = 0; i < notes.files.size(); ++i) {
    const MappedFileEntry& file = notes.files[i];
    if (file.file_offset != 0 || covered(file.range.base)) continue;
    if (has_magic(image->view(file.range.base, sizeof kMagic))) {
      auto module = parse_module(*image, file.range.base);
      if (module) {
        add(std::move(module).value(), file.path);
      } else {
        diagnostics.add(Severity::kWarning, kStage, file.path, 0,
                        "starts like a module but is none: " + module.error().message);
      }
      continue;
    }
    if (!image->view(file.range.base, 1).empty()) continue;
    Module bare = module_without_header(notes.files, i);
    const bool is_program =
        entry != notes.auxv.end() && bare.range.contains(Address(entry->second));
    if (!is_program && !looks_like_library(file.path)) continue;
    diagnostics.add(Severity::kWarning, kStage, file.path, 0,
                    "its ELF header is not in the core, so neither its build-id nor its segments "
                    "are known");
    add(std::move(bare), file.path);
  }
}

// Modules of a core without NT_FILE (kernels before 3.7): every dumped region that starts with an
// ELF header, nameless. The vdso is one of them.
void find_modules_by_magic(Image* image, const CoreNotes& notes) {
  for (const Region& region : image->regions) {
    if (!has_magic(region.bytes)) continue;
    const bool known =
        std::any_of(image->modules.begin(), image->modules.end(),
                    [&](const Module& m) { return m.range.contains(region.range.base); });
    if (known) continue;
    const auto vdso = notes.auxv.find(kAuxSysinfoEhdr);
    const bool is_vdso = vdso != notes.auxv.end() && region.range.base.value() == vdso->second;
    if (!is_vdso && !notes.files.empty()) continue;
    auto module = parse_module(*image, region.range.base);
    if (!module) continue;
    module->path = is_vdso ? "[vdso]" : "";
    const auto entry = notes.auxv.find(kAuxEntry);
    module->is_executable =
        entry != notes.auxv.end() && module->range.contains(Address(entry->second));
    image->modules.push_back(std::move(module).value());
  }
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

void open_module_file(Image* image, Module* module, const FileSearch& search,
                      Diagnostics& diagnostics) {
  if (module->path.empty() || module->path == "[vdso]") return;
  if (module->build_id.empty()) {
    diagnostics.add(Severity::kNote, kStage, module->path, 0,
                    "no build-id in the core: files on disk are not used for it");
    return;
  }
  bool mismatch = false;
  for (const std::string& path :
       search.module_candidates(module->path, module->build_id, module->is_executable)) {
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
    diagnostics.add(Severity::kNote, kStage, module->path, 0,
                    mismatch ? "the file on disk has another build-id and is not used"
                             : "no file with its build-id was found");
  }
}

// A module's .bss is anonymous memory behind its file, and the kernel merges it with an anonymous
// mapping that happens to follow. Where the module ends its last page does: what lies behind is not
// its own.
void split_at_module_ends(Image* image) {
  std::vector<Region> split;
  split.reserve(image->regions.size());
  for (Region& region : image->regions) {
    const auto module =
        std::find_if(image->modules.begin(), image->modules.end(), [&](const Module& m) {
          return !m.segments.empty() && m.range.contains(region.range.base) &&
                 m.range.end() != region.range.base && region.range.contains(m.range.end());
        });
    if (module == image->modules.end() || region.kind != RegionKind::kAnonymous) {
      split.push_back(std::move(region));
      continue;
    }
    const ByteCount own = module->range.end() - region.range.base;
    Region rest = region;
    rest.range = {region.range.base + own, region.range.size - own};
    rest.bytes = rest.bytes.subspan(std::min<size_t>(own.value(), rest.bytes.size()));
    region.bytes = region.bytes.first(std::min<size_t>(own.value(), region.bytes.size()));
    region.range.size = own;
    split.push_back(std::move(region));
    split.push_back(std::move(rest));
  }
  image->regions = std::move(split);
}

// Kind and module of each region; regions that straddle a module's segments take the kind of their
// first byte (mappings and segments begin at the same pages).
void label_regions(Image* image) {
  for (Region& region : image->regions) {
    for (uint32_t m = 0; m < image->modules.size(); ++m) {
      const Module& module = image->modules[m];
      if (!module.range.contains(region.range.base)) continue;
      if (region.name.empty() && module.segments.empty()) continue;
      const Segment* segment = segment_of(module, region.range.base, image->page_size);
      region.module = ModuleId(m);
      if (segment != nullptr && region.backing == Backing::kAbsent) {
        region.permissions = segment->permissions;
      }
      if (region.permissions.execute) {
        region.kind = RegionKind::kModuleText;
      } else if (region.permissions.write || (segment != nullptr && segment->permissions.write)) {
        region.kind = RegionKind::kModuleData;
      } else {
        region.kind = RegionKind::kModuleRodata;
      }
      break;
    }
  }
}

// Backs absent read-only regions by the module's file. Writable segments are never filled: the
// process may have changed them, and then the file tells lies.
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
    const auto entry =
        std::find_if(notes.files.begin(), notes.files.end(),
                     [&](const MappedFileEntry& e) { return e.range.contains(region.range.base); });
    uint64_t there = 0;
    uint64_t offset = 0;
    if (entry != notes.files.end()) {
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

}  // namespace

void add_modules(Image* image, const CoreNotes& notes, const FileSearch& search,
                 Diagnostics& diagnostics) {
  find_modules(image, notes, diagnostics);
  find_modules_by_magic(image, notes);
  std::sort(image->modules.begin(), image->modules.end(),
            [](const Module& a, const Module& b) { return a.range.base < b.range.base; });
  for (Module& module : image->modules) open_module_file(image, &module, search, diagnostics);
  split_at_module_ends(image);
  label_regions(image);
  fill_from_files(image, notes);
}

}  // namespace residue::elf
