#include "symbolize/dwarf/module_dwarf.h"

#include <utility>

namespace residue::dwarf {
namespace {

// Pages are given back after this many bytes: large enough that doing so costs nothing beside the
// reading, small enough to stay far below the 64 MB that a look-up may take.
constexpr uint64_t kTouchedLimit = uint64_t{8} << 20;
// Units and abbreviations kept at once.
constexpr size_t kMemoryLimit = size_t{8} << 20;
// Units that are asked for their language: assembler and C of the start-up code come first.
constexpr int kMaxLanguageUnits = 64;

}  // namespace

ModuleDwarf::ModuleDwarf(const SymbolFile& main, const SymbolFile* alternate,
                         SplitFinder find_split)
    : main_(std::make_unique<DwarfFile>(main, DwarfFile::Kind::kWhole, *this)),
      find_split_(std::move(find_split)) {
  if (alternate != nullptr) {
    alternate_ = std::make_unique<DwarfFile>(*alternate, DwarfFile::Kind::kWhole, *this);
  }
}

ModuleDwarf::~ModuleDwarf() = default;

DwarfFile* ModuleDwarf::alternate() {
  if (alternate_ == nullptr && !alternate_reported_) {
    alternate_reported_ = true;
    report(
        Severity::kWarning, main_->symbol_file().path(),
        "the file with the debug information that dwz moved out is missing; names are incomplete");
  }
  return alternate_.get();
}

DwarfFile* ModuleDwarf::split_file(const SymbolFile& file) {
  auto& slot = splits_[&file];
  if (slot == nullptr) slot = std::make_unique<DwarfFile>(file, DwarfFile::Kind::kSplit, *this);
  return slot.get();
}

const Unit* ModuleDwarf::full(const Unit& unit) {
  const UnitRoot& root = unit.root();
  // Version 5 marks skeletons; GNU's of version 4 are known by the attribute.
  if (unit.file().kind() == DwarfFile::Kind::kSplit || !root.dwo_id || root.dwo_name.empty()) {
    return &unit;
  }
  const std::string name(root.dwo_name);
  const SymbolFile* file =
      find_split_ ? find_split_(std::string(root.compilation_dir), name, *root.dwo_id) : nullptr;
  Unit* split = file == nullptr ? nullptr : split_file(*file)->split_unit(*root.dwo_id);
  if (split == nullptr || !split->usable()) {
    if (missing_.insert(*root.dwo_id).second) {
      report(Severity::kWarning, name,
             file == nullptr ? "split debug information is missing: no inlined frames and variables"
                             : "the split debug information does not hold the unit that is sought");
    }
    return nullptr;
  }
  if (split->skeleton() == nullptr) split->attach(unit);
  return split;
}

const Unit* ModuleDwarf::type_unit(DwarfFile& from, uint64_t signature) {
  if (const Unit* unit = from.type_unit(signature)) return unit;
  return &from == main_.get() ? nullptr : main_->type_unit(signature);
}

std::optional<EntryRef> ModuleDwarf::entry(const EntryKey& key) {
  if (key.file == nullptr) return std::nullopt;
  const Unit* unit =
      key.in_types ? key.file->types_unit_holding(key.offset) : key.file->unit_holding(key.offset);
  if (unit == nullptr) return std::nullopt;
  const auto entry = unit->entry_at(key.offset);
  if (!entry) return std::nullopt;
  return EntryRef{unit, *entry};
}

uint16_t ModuleDwarf::main_language() {
  if (main_language_) return *main_language_;
  main_language_ = 0;  // also the answer for a partial unit that is met on the way
  int looked_at = 0;
  for (const UnitHeader& header : main_->units()) {
    if (header.is_type_unit() || looked_at == kMaxLanguageUnits) continue;
    const Unit* unit = main_->unit(header);
    if (unit == nullptr || unit->root().tag == kTagPartialUnit) continue;
    ++looked_at;
    if (*main_language_ == 0 || unit->is_cpp()) main_language_ = unit->root().language;
    if (unit->is_cpp()) break;
  }
  return *main_language_;
}

void ModuleDwarf::touched(uint64_t bytes) {
  touched_ += bytes;
  if (touched_ < kTouchedLimit) return;
  touched_ = 0;
  main_->release_pages();
  if (alternate_ != nullptr) alternate_->release_pages();
  for (const auto& [file, split] : splits_) split->release_pages();
}

void ModuleDwarf::trim() {
  size_t memory = main_->memory() + (alternate_ != nullptr ? alternate_->memory() : 0);
  for (const auto& [file, split] : splits_) memory += split->memory();
  if (memory < kMemoryLimit) return;
  for (const auto& [file, split] : splits_) split->trim();
  if (alternate_ != nullptr) alternate_->trim();
  main_->trim();
}

void ModuleDwarf::report(Severity severity, const std::string& place, std::string message) {
  diagnostics_.add(severity, "dwarf", place, 0, std::move(message));
}

}  // namespace residue::dwarf
