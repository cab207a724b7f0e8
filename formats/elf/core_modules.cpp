#include "formats/elf/core_modules.h"

#include <algorithm>
#include <map>

#include "formats/base/range_map.h"
#include "formats/base/text.h"
#include "formats/elf/elf_layout.h"
#include "formats/elf/link_map.h"
#include "formats/elf/module_files.h"
#include "formats/elf/module_headers.h"

namespace residue::elf {
namespace {

constexpr const char* kStage = "elf-core";

std::optional<Address> aux_address(const CoreNotes& notes, uint64_t type) {
  const auto entry = notes.auxv.find(type);
  if (entry == notes.auxv.end() || entry->second == 0) return std::nullopt;
  return Address(entry->second);
}

bool looks_like_library(std::string_view path) {
  const auto name = without_deleted(base_name(path));
  return name.ends_with(".so") || name.find(".so.") != std::string_view::npos;
}

// For each mapped file the end of the run of mappings with its path that it stands in.
std::vector<Address> ends_of_runs(const std::vector<MappedFileEntry>& files) {
  std::vector<Address> ends(files.size());
  for (size_t i = files.size(); i-- > 0;) {
    ends[i] = files[i].range.end();
    if (i + 1 < files.size() && files[i + 1].path == files[i].path) {
      ends[i] = std::max(ends[i], ends[i + 1]);
    }
  }
  return ends;
}

class ModuleFinder {
 public:
  ModuleFinder(Image* image, const CoreNotes& notes, Diagnostics& diagnostics)
      : image_(*image),
        notes_(notes),
        diagnostics_(diagnostics),
        entry_(aux_address(notes, kAuxEntry)) {}

  void find() {
    find_by_files();
    add_vdso();
    if (notes_.files.empty()) find_by_magic();
    std::stable_sort(image_.modules.begin(), image_.modules.end(),
                     [](const Module& a, const Module& b) { return a.range.base < b.range.base; });
  }

 private:
  void add(Module module, std::string path) {
    module.path = std::move(path);
    module.is_executable = entry_ && module.range.contains(*entry_);
    covered_.add(module.range);
    image_.modules.push_back(std::move(module));
  }

  void find_by_files() {
    const std::vector<Address> ends = ends_of_runs(notes_.files);
    for (size_t i = 0; i < notes_.files.size(); ++i) {
      const MappedFileEntry& file = notes_.files[i];
      if (file.file_offset != 0 || covered_.contains(file.range.base)) continue;
      if (has_magic(image_.view(file.range.base, sizeof kMagic))) {
        auto module = parse_module(image_, file.range.base);
        if (module) {
          add(std::move(module).value(), file.path);
        } else {
          diagnostics_.add(Severity::kWarning, kStage, file.path, 0,
                           "starts like a module but is none: " + module.error().message);
        }
        continue;
      }
      if (!image_.view(file.range.base, 1).empty()) continue;
      add_without_header(file, {file.range.base, ends[i] - file.range.base});
    }
  }

  // Where the ELF header of a mapped file is not in the core, only the range of its mappings is
  // known.
  void add_without_header(const MappedFileEntry& file, AddressRange range) {
    const bool is_program = entry_ && range.contains(*entry_);
    if (!is_program && !looks_like_library(file.path)) return;
    add_bare(range, file.path);
  }

  void add_bare(AddressRange range, const std::string& path) {
    diagnostics_.add(Severity::kWarning, kStage, path, 0,
                     "its ELF header is not in the core, so neither its build-id nor its segments "
                     "are known");
    Module bare;
    bare.range = range;
    add(std::move(bare), path);
  }

  void add_vdso() {
    const auto at = aux_address(notes_, kAuxSysinfoEhdr);
    if (!at || covered_.contains(*at) || !has_magic(image_.view(*at, sizeof kMagic))) return;
    if (auto module = parse_module(image_, *at)) add(std::move(module).value(), "[vdso]");
  }

  // Modules of a core that does not list the mapped files (Linux before 3.7, NetBSD, qemu-user):
  // dumped regions that start with an ELF header, and the places where ld.so says it loaded
  // something, should the regions of two modules have become one. Names are ld.so's.
  void find_by_magic() {
    const std::vector<LoadedObject> loaded = read_link_map(image_, notes_.auxv);
    for (const LoadedObject& object : loaded) {
      by_dynamic_.emplace(object.dynamic.value(), &object);
    }
    for (const LoadedObject& object : loaded) try_header(Address(object.bias));
    if (const auto base = aux_address(notes_, kAuxBase)) try_header(*base);
    for (const Region& region : image_.regions) {
      if (!region.bytes.empty()) try_header(region.range.base);
    }
    for (const LoadedObject& object : loaded) add_loaded(object);
    add_program();
  }

  // The program where no page with its header is dumped: NetBSD leaves out the text. Its headers'
  // place is known, and its text, data and .bss follow one another; each may be in two regions, one
  // with bytes and one without.
  static constexpr int kMaxProgramRegions = 12;
  void add_program() {
    const auto headers = aux_address(notes_, kAuxPhdr);
    if (!entry_ || !headers || covered_.contains(*entry_)) return;
    const Region* first = image_.find_region(*headers);
    if (first == nullptr) return;
    Address end = first->range.end();
    const Region* const last = image_.regions.data() + image_.regions.size();
    for (const Region* next = first + 1; next != last && next < first + kMaxProgramRegions;
         ++next) {
      if (next->range.base != end || covered_.contains(next->range.base)) break;
      end = next->range.end();
    }
    const AddressRange range{first->range.base, end - first->range.base};
    if (range.contains(*entry_)) add_bare(range, program_path());
  }

  void try_header(Address at) {
    if (covered_.contains(at) || !has_magic(image_.view(at, sizeof kMagic))) return;
    auto module = guess_module(image_, at);
    if (!module) return;
    std::string path;
    if (module->dynamic) {
      const auto object = by_dynamic_.find(module->dynamic->base.value());
      if (object != by_dynamic_.end()) path = object->second->path;
    }
    // ld.so has no name for the program itself.
    if (path.empty() && entry_ && module->range.contains(*entry_)) path = program_path();
    add(std::move(module).value(), std::move(path));
  }

  // What ld.so loaded and the dump has no header of reaches from its base to the mapping that holds
  // its dynamic section, RELRO as a rule, and over .data and .bss, which follow.
  void add_loaded(const LoadedObject& object) {
    const Region* first = image_.find_region(Address(object.bias));
    const Region* data = image_.find_region(object.dynamic);
    if (object.path.empty() || first == nullptr || data == nullptr ||
        first->range.base != Address(object.bias) || data->range.base < first->range.base ||
        covered_.contains(first->range.base)) {
      return;
    }
    Address end = data->range.end();
    const Region* const last = image_.regions.data() + image_.regions.size();
    for (const Region* next = data + 1; next != last && next <= data + 2; ++next) {
      if (next->range.base != end || !next->permissions.write) break;
      end = next->range.end();
    }
    add_bare({first->range.base, end - first->range.base}, object.path);
  }

  std::string program_path() const {
    const auto execfn = aux_address(notes_, kAuxExecfn);
    if (!execfn) return {};
    return std::string(image_.c_string(*execfn, 4096).value_or(std::string_view()));
  }

  Image& image_;
  const CoreNotes& notes_;
  Diagnostics& diagnostics_;
  const std::optional<Address> entry_;
  RangeSet covered_;
  std::map<uint64_t, const LoadedObject*> by_dynamic_;
};

// Which module, and which of its segments, an address lies in. Segments count before the gaps
// between them, in which another module may lie.
class ModuleIndex {
 public:
  explicit ModuleIndex(const Image& image) : image_(image) {
    const uint64_t page = image.page_size;
    for (uint32_t m = 0; m < image.modules.size(); ++m) {
      const Module& module = image.modules[m];
      ranges_.add(module.range, m);
      for (uint32_t s = 0; s < module.segments.size(); ++s) {
        const AddressRange range = module.segments[s].range;
        const uint64_t first = range.base.value() & ~(page - 1);
        const uint64_t last = (range.end().value() + page - 1) & ~(page - 1);
        if (!module.range.contains(range.base) || last <= first) continue;
        segments_.add({Address(first), ByteCount(last - first)},
                      static_cast<uint32_t>(places_.size()));
        places_.push_back({m, s});
      }
    }
    ranges_.finish();
    segments_.finish();
  }

  struct Place {
    uint32_t module = RangeIndex::kNothing;
    const Segment* segment = nullptr;
  };
  Place find(Address a) const {
    if (const uint32_t i = segments_.find(a); i != RangeIndex::kNothing) {
      const auto [m, s] = places_[i];
      return {m, &image_.modules[m].segments[s]};
    }
    return {ranges_.find(a), nullptr};
  }

 private:
  const Image& image_;
  RangeIndex ranges_, segments_;
  std::vector<std::pair<uint32_t, uint32_t>> places_;
};

// A module's .bss is anonymous memory behind its file, and the kernel merges it with an anonymous
// mapping that happens to follow. Where the module ends its last page does: what lies behind is not
// its own.
void split_at_module_ends(Image* image, const ModuleIndex& index) {
  std::vector<Region> split;
  split.reserve(image->regions.size());
  for (Region& region : image->regions) {
    const uint32_t m = index.find(region.range.base).module;
    const Module* module = m == RangeIndex::kNothing ? nullptr : &image->modules[m];
    if (region.kind != RegionKind::kAnonymous || module == nullptr || module->segments.empty() ||
        module->range.end() == region.range.base || !region.range.contains(module->range.end())) {
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
void label_regions(Image* image, const ModuleIndex& index, bool names_known) {
  for (Region& region : image->regions) {
    const ModuleIndex::Place place = index.find(region.range.base);
    if (place.module == RangeIndex::kNothing) continue;
    // Anonymous memory in the gaps of a module of which only the extent is known.
    if (names_known && region.name.empty() && image->modules[place.module].segments.empty()) {
      continue;
    }
    const Segment* segment = place.segment;
    region.module = ModuleId(place.module);
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
  }
}

// Ties the dynamic linker's records to the modules they describe.
void add_link_maps(Image* image, const CoreNotes& notes) {
  std::map<Address, Module*> by_dynamic;
  for (Module& module : image->modules) {
    if (module.dynamic) by_dynamic.emplace(module.dynamic->base, &module);
  }
  for (const LoadedObject& object : read_link_map(*image, notes.auxv)) {
    image->link_maps.push_back(object.record);
    const auto module = by_dynamic.find(object.dynamic);
    if (module != by_dynamic.end()) module->second->link_map = object.record;
  }
}

}  // namespace

void add_modules(Image* image, const CoreNotes& notes, const FileSearch& search,
                 Diagnostics& diagnostics) {
  ModuleFinder(image, notes, diagnostics).find();
  for (Module& module : image->modules) open_module_file(image, &module, search, diagnostics);
  const ModuleIndex index(*image);
  split_at_module_ends(image, index);
  label_regions(image, index, !notes.files.empty());
  fill_from_files(image, notes);
  add_link_maps(image, notes);
}

}  // namespace residue::elf
