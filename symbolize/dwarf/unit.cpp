#include "symbolize/dwarf/unit.h"

#include "symbolize/dwarf/module_dwarf.h"

namespace residue::dwarf {

Unit::Unit(DwarfFile& file, const UnitHeader& header, const Contributions& contributions)
    : file_(file), header_(header), contributions_(contributions) {
  const auto section = file.section(header.in_types ? Section::kTypes : Section::kInfo);
  bytes_ = section.first(std::min<uint64_t>(header.end, section.size()));
  abbreviations_ =
      file.abbreviations(contributions.abbrev.offset + header.abbrev_offset, header.format);
  if (const auto root = entry_at(header.first_entry)) {
    root_entry_ = *root;
    read_bases();
    read_root();
  }
}

// The bases first: strings of the root itself may be indexed.
void Unit::read_bases() {
  default_bases();
  root_.tag = root_entry_.tag();
  if (header_.id != 0 && !header_.is_type_unit()) root_.dwo_id = header_.id;
  for_each_attribute(root_entry_, [this](uint16_t attribute, const Value& value) {
    switch (attribute) {
      case kAtStrOffsetsBase:
        root_.str_offsets_base = value.number;
        break;
      case kAtAddrBase:
      case kAtGnuAddrBase:
        root_.addr_base = value.number;
        break;
      case kAtRnglistsBase:
        root_.rnglists_base = value.number;
        break;
      case kAtLoclistsBase:
        root_.loclists_base = value.number;
        break;
      case kAtGnuRangesBase:
        root_.ranges_base = value.number;
        break;
      case kAtGnuDwoId:
        root_.dwo_id = value.number;
        break;
      default:
        break;
    }
    return true;
  });
}

// Split units of DWARF 5 have no base attributes: each .dwo (or each contribution to a .dwp) holds
// one table, whose entries begin behind its header (DWARF 5, 7.26-7.29). Version 4's have no
// header.
void Unit::default_bases() {
  if (file_.kind() != DwarfFile::Kind::kSplit) return;
  const bool wide = header_.format.offset_size == 8;
  const bool has_headers = header_.format.version >= 5;
  const uint64_t strings = !has_headers ? 0 : wide ? 16 : 8;
  const uint64_t lists = !has_headers ? 0 : wide ? 20 : 12;
  root_.str_offsets_base = contributions_.str_offsets.offset + strings;
  root_.rnglists_base = contributions_.rnglists.offset + lists;
  root_.loclists_base = contributions_.loclists.offset + lists;
}

void Unit::read_root() {
  for_each_attribute(root_entry_, [this](uint16_t attribute, const Value& value) {
    switch (attribute) {
      case kAtName:
        root_.name = string(value);
        break;
      case kAtCompDir:
        root_.compilation_dir = string(value);
        break;
      case kAtDwoName:
      case kAtGnuDwoName:
        root_.dwo_name = string(value);
        break;
      case kAtLanguage:
        root_.language = static_cast<uint16_t>(value.number);
        break;
      case kAtStmtList:
        root_.line_table = contributions_.line.offset + value.number;
        break;
      case kAtLowPc:
        root_.low_pc = address(value);
        break;
      default:
        break;
    }
    return true;
  });
  // dwz's partial units do not repeat the language of those that they were taken from.
  if (root_.language == 0 && root_.tag == kTagPartialUnit) {
    root_.language = file_.module().main_language();
  }
}

bool Unit::is_cpp() const {
  switch (root_.language) {
    case kLangCpp:
    case kLangCpp03:
    case kLangCpp11:
    case kLangCpp14:
    case kLangCpp17:
    case kLangCpp20:
    case kLangCpp23:
      return true;
    default:
      return false;
  }
}

void Unit::attach(const Unit& skeleton) {
  skeleton_ = &skeleton;
  const UnitRoot& other = skeleton.root();
  root_.addr_base = other.addr_base;
  root_.low_pc = other.low_pc;
  root_.ranges_base = other.ranges_base;
  // The rows, and the files that calls and declarations name, are those of the main file.
  root_.line_table = other.line_table;
  if (root_.compilation_dir.empty()) root_.compilation_dir = other.compilation_dir;
}

std::optional<Entry> Unit::entry_at(uint64_t offset) const {
  if (offset < header_.first_entry || offset >= bytes_.size()) return std::nullopt;
  Cursor cursor(bytes_, offset, header_.format.order);
  const uint64_t code = cursor.uleb();
  if (!cursor.ok() || code == 0) return std::nullopt;
  const Abbreviation* abbreviation = abbreviations_->find(code);
  if (abbreviation == nullptr) return std::nullopt;
  return Entry{offset, abbreviation, cursor.position()};
}

std::optional<Value> Unit::find(const Entry& entry, uint16_t attribute) const {
  std::optional<Value> found;
  for_each_attribute(entry, [&](uint16_t name, const Value& value) {
    if (name == attribute) found = value;
    return name != attribute;
  });
  return found;
}

std::optional<Unit::Found> Unit::find_inherited(const Entry& entry, uint16_t attribute) const {
  EntryRef at{this, entry};
  for (int i = 0; i < kMaxChain; ++i) {
    std::optional<Value> found;
    std::optional<Value> next;
    at.unit->for_each_attribute(at.entry, [&](uint16_t name, const Value& value) {
      if (name == attribute) found = value;
      if (name == kAtSpecification || name == kAtAbstractOrigin) next = value;
      return !found;
    });
    if (found) return Found{at, *found};
    const auto step = next ? at.unit->follow(*next) : std::nullopt;
    if (!step) return std::nullopt;
    at = *step;
  }
  return std::nullopt;
}

std::optional<EntryRef> Unit::entry_of(DwarfFile& file, uint64_t offset) const {
  const bool here =
      &file == &file_ && !header_.in_types && offset >= header_.first_entry && offset < header_.end;
  const Unit* unit = here ? this : file.unit_holding(offset);
  if (unit == nullptr) return std::nullopt;
  const auto entry = unit->entry_at(offset);
  if (!entry) return std::nullopt;
  return EntryRef{unit, *entry};
}

std::optional<EntryRef> Unit::follow(const Value& value) const {
  switch (value.form) {
    case kFormRef1:
    case kFormRef2:
    case kFormRef4:
    case kFormRef8:
    case kFormRefUdata: {
      const auto entry = entry_at(header_.offset + value.number);
      if (!entry) return std::nullopt;
      return EntryRef{this, *entry};
    }
    case kFormRefAddr:
      return entry_of(file_, value.number);
    case kFormRefSup4:
    case kFormRefSup8:
    case kFormGnuRefAlt: {
      DwarfFile* alternate = file_.module().alternate();
      return alternate == nullptr ? std::nullopt : entry_of(*alternate, value.number);
    }
    case kFormRefSig8: {
      const Unit* unit = file_.module().type_unit(file_, value.number);
      if (unit == nullptr) return std::nullopt;
      const auto entry = unit->entry_at(unit->header().type_entry);
      if (!entry) return std::nullopt;
      return EntryRef{unit, *entry};
    }
    default:
      return std::nullopt;
  }
}

std::optional<EntryRef> Unit::follow(const Entry& entry, uint16_t attribute) const {
  const auto value = find(entry, attribute);
  return value ? follow(*value) : std::nullopt;
}

std::string_view Unit::indexed_string(uint64_t index) const {
  const unsigned size = header_.format.offset_size;
  const auto section = file_.section(Section::kStrOffsets);
  if (index > section.size() / size) return {};
  Cursor cursor(section, root_.str_offsets_base + index * size, header_.format.order);
  const uint64_t offset = cursor.number_of(size);
  return cursor.ok() ? file_.string_at(Section::kStr, offset) : std::string_view();
}

std::string_view Unit::string(const Value& value) const {
  switch (value.form) {
    case kFormString:
      return {static_cast<const char*>(static_cast<const void*>(value.bytes.data())),
              value.bytes.size()};
    case kFormStrp:
      return file_.string_at(Section::kStr, value.number);
    case kFormLineStrp:
      return file_.string_at(Section::kLineStr, value.number);
    case kFormStrpSup:
    case kFormGnuStrpAlt: {
      const DwarfFile* alternate = file_.module().alternate();
      return alternate == nullptr ? std::string_view()
                                  : alternate->string_at(Section::kStr, value.number);
    }
    case kFormStrx:
    case kFormStrx1:
    case kFormStrx2:
    case kFormStrx3:
    case kFormStrx4:
    case kFormGnuStrIndex:
      return indexed_string(value.number);
    default:
      return {};
  }
}

std::string_view Unit::string(const Entry& entry, uint16_t attribute) const {
  const auto value = find(entry, attribute);
  return value ? string(*value) : std::string_view();
}

std::optional<uint64_t> Unit::indexed_address(uint64_t index) const {
  // .debug_addr stands in the main file, also for split units.
  const DwarfFile& holder = skeleton_ != nullptr ? skeleton_->file() : file_;
  const unsigned size = header_.format.address_size;
  const auto section = holder.section(Section::kAddr);
  if (index > section.size() / size) return std::nullopt;
  Cursor cursor(section, root_.addr_base + index * size, header_.format.order);
  const uint64_t address = cursor.number_of(size);
  if (!cursor.ok()) return std::nullopt;
  return address;
}

std::optional<uint64_t> Unit::address(const Value& value) const {
  if (value.form == kFormAddr) return value.number;
  if (value.is_address()) return indexed_address(value.number);
  return std::nullopt;
}

std::optional<uint64_t> Unit::constant(const Entry& entry, uint16_t attribute) const {
  const auto value = find(entry, attribute);
  if (!value || !value->is_constant()) return std::nullopt;
  return value->number;
}

bool Unit::flag(const Entry& entry, uint16_t attribute) const {
  const auto value = find(entry, attribute);
  return value && value->number != 0;
}

bool Unit::is_dead(uint64_t address) const {
  const unsigned bits = header_.format.address_size * 8U;
  const uint64_t last = bits >= 64 ? ~uint64_t{0} : (uint64_t{1} << bits) - 1;
  return address == 0 || address >= last - 1;
}

}  // namespace residue::dwarf
