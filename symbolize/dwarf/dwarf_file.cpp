#include "symbolize/dwarf/dwarf_file.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "symbolize/dwarf/module_dwarf.h"
#include "symbolize/dwarf/package_index.h"

namespace residue::dwarf {
namespace {

// How many abbreviation tables are remembered for units that share them (dwz, LTO); each unit keeps
// its own as long as it lives.
constexpr size_t kSharedTables = 16;
// What reading a string at a random place costs in pages: the kernel maps 16 around a fault.
constexpr uint64_t kFaultAround = uint64_t{64} << 10;

struct Names {
  const char* whole;
  const char* split;
};
// In the order of Section; an empty name: such a file has none.
constexpr std::array<Names, kSectionCount> kNames = {{
    {".debug_info", ".debug_info.dwo"},
    {".debug_types", ".debug_types.dwo"},
    {".debug_abbrev", ".debug_abbrev.dwo"},
    {".debug_line", ".debug_line.dwo"},
    {".debug_str", ".debug_str.dwo"},
    {".debug_line_str", ".debug_line_str"},
    {".debug_str_offsets", ".debug_str_offsets.dwo"},
    {".debug_addr", ""},
    {".debug_aranges", ""},
    {".debug_ranges", ""},
    {".debug_rnglists", ".debug_rnglists.dwo"},
    {".debug_loc", ".debug_loc.dwo"},
    {".debug_loclists", ".debug_loclists.dwo"},
    {".debug_cu_index", ".debug_cu_index"},
    {".debug_tu_index", ".debug_tu_index"},
}};

}  // namespace

DwarfFile::DwarfFile(const SymbolFile& file, Kind kind, ModuleDwarf& module)
    : file_(file), kind_(kind), module_(module) {}

DwarfFile::~DwarfFile() = default;

std::span<const std::byte> DwarfFile::section(Section section) const {
  auto& slot = sections_[static_cast<size_t>(section)];
  if (!slot) {
    const Names& names = kNames[static_cast<size_t>(section)];
    const char* name = kind_ == Kind::kSplit ? names.split : names.whole;
    slot = *name == '\0' ? std::span<const std::byte>() : file_.section(name);
  }
  return *slot;
}

std::string_view DwarfFile::string_at(Section section, uint64_t offset) const {
  module_.touched(kFaultAround);
  return Cursor(this->section(section), offset, order()).c_string();
}

void DwarfFile::index_section(Section wanted) {
  const auto bytes = section(wanted);
  const bool in_types = wanted == Section::kTypes;
  for (uint64_t offset = 0; offset < bytes.size();) {
    UnitHeader header;
    const auto read = read_unit_header(bytes, offset, order(), in_types, header);
    if (read) {
      if (header.is_type_unit()) type_units_.try_emplace(header.id, units_.size());
      units_.push_back(header);
    } else {
      module_.report(Severity::kDamage, file_.path() + " unit at " + hex(offset),
                     read.error().message);
    }
    module_.touched(std::min(header.end - offset, kFaultAround));
    offset = header.end;
  }
}

const std::vector<UnitHeader>& DwarfFile::units() {
  if (!indexed_) {
    indexed_ = true;
    index_section(Section::kInfo);
    info_units_ = units_.size();
    index_section(Section::kTypes);
  }
  return units_;
}

Unit* DwarfFile::load(const UnitHeader& header, const Contributions& contributions) {
  auto& slot = loaded_[header.offset * 2 + (header.in_types ? 1 : 0)];
  if (slot == nullptr) {
    slot = std::make_unique<Unit>(*this, header, contributions);
    memory_ += sizeof(Unit) + slot->abbreviations().memory();
    if (!slot->usable() || slot->abbreviations().damaged()) {
      module_.report(Severity::kDamage, file_.path() + " unit at " + hex(header.offset),
                     "the unit's abbreviations are damaged: entries are lost");
    }
  }
  return slot->usable() ? slot.get() : nullptr;
}

const Unit* DwarfFile::unit(const UnitHeader& header) { return load(header, {}); }

const UnitHeader* DwarfFile::header_holding(uint64_t offset, bool in_types) {
  units();
  const auto middle = units_.begin() + static_cast<ptrdiff_t>(info_units_);
  const auto first = in_types ? middle : units_.begin();
  const auto last = in_types ? units_.end() : middle;
  const auto after = std::upper_bound(
      first, last, offset,
      [](uint64_t wanted, const UnitHeader& header) { return wanted < header.offset; });
  if (after == first) return nullptr;
  const UnitHeader& header = *(after - 1);
  return offset < header.end ? &header : nullptr;
}

const Unit* DwarfFile::unit_holding(uint64_t offset) {
  for (const Section index : {Section::kCuIndex, Section::kTuIndex}) {
    const PackageIndex* packaged = package(index);
    const auto* row = packaged != nullptr ? packaged->holding(offset) : nullptr;
    if (row != nullptr) return packaged_unit(*row);
  }
  const UnitHeader* header = header_holding(offset, false);
  return header == nullptr ? nullptr : unit(*header);
}

const Unit* DwarfFile::types_unit_holding(uint64_t offset) {
  if (const PackageIndex* packaged = package(Section::kTuIndex)) {
    for (const auto& row : packaged->rows()) {
      if (row.in_types && offset - row.unit.offset < row.unit.size) return packaged_unit(row);
    }
  }
  const UnitHeader* header = header_holding(offset, true);
  return header == nullptr ? nullptr : unit(*header);
}

const Unit* DwarfFile::type_unit(uint64_t signature) {
  if (const PackageIndex* packaged = package(Section::kTuIndex)) {
    const auto* row = packaged->find(signature);
    return row == nullptr ? nullptr : packaged_unit(*row);
  }
  units();
  const auto found = type_units_.find(signature);
  return found == type_units_.end() ? nullptr : unit(units_[found->second]);
}

Unit* DwarfFile::split_unit(uint64_t id) {
  if (const PackageIndex* packaged = package(Section::kCuIndex)) {
    const auto* row = packaged->find(id);
    return row == nullptr ? nullptr : packaged_unit(*row);
  }
  if (!split_units_) {
    split_units_.emplace();
    for (size_t i = 0; i < units().size(); ++i) {
      if (units_[i].is_type_unit()) continue;
      // Version 4 has the id in the root entry.
      const Unit* candidate = units_[i].id != 0 ? nullptr : unit(units_[i]);
      const uint64_t own =
          candidate != nullptr ? candidate->root().dwo_id.value_or(0) : units_[i].id;
      split_units_->try_emplace(own, i);
    }
  }
  const auto found = split_units_->find(id);
  return found == split_units_->end() ? nullptr : load(units_[found->second], {});
}

const PackageIndex* DwarfFile::package(Section section) {
  if (kind_ != Kind::kSplit) return nullptr;
  auto& slot = packages_[section == Section::kCuIndex ? 0 : 1];
  if (slot == nullptr) {
    slot = std::make_unique<PackageIndex>(this->section(section), order());
    if (slot->damaged()) {
      module_.report(Severity::kDamage, file_.path(), "the index of the package is damaged");
    }
  }
  return slot->rows().empty() ? nullptr : slot.get();
}

Unit* DwarfFile::packaged_unit(const PackageRow& row) {
  UnitHeader header;
  const auto bytes = section(row.in_types ? Section::kTypes : Section::kInfo);
  const auto read = read_unit_header(bytes, row.unit.offset, order(), row.in_types, header);
  if (!read) {
    module_.report(Severity::kDamage, file_.path() + " unit at " + hex(row.unit.offset),
                   read.error().message);
    return nullptr;
  }
  return load(header, row.parts);
}

std::shared_ptr<const Abbreviations> DwarfFile::abbreviations(uint64_t offset,
                                                              const Format& format) {
  const auto known = std::find_if(tables_.begin(), tables_.end(), [&](const SharedTable& shared) {
    return shared.offset == offset && shared.format == format;
  });
  if (known != tables_.end()) return known->table;
  auto table = std::make_shared<const Abbreviations>(section(Section::kAbbrev), offset, format);
  if (tables_.size() >= kSharedTables) tables_.erase(tables_.begin());
  tables_.push_back({offset, format, table});
  return table;
}

void DwarfFile::trim() {
  loaded_.clear();
  tables_.clear();
  memory_ = 0;
}

void DwarfFile::release_pages() const {
  for (size_t i = 0; i < kSectionCount; ++i) {
    if (!sections_[i] || sections_[i]->empty()) continue;
    file_.release(kind_ == Kind::kSplit ? kNames[i].split : kNames[i].whole);
  }
}

}  // namespace residue::dwarf
