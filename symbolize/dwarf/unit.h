// Unit: one unit of debugging information, ready to decode its entries.
//
// A Unit keeps its header, its abbreviations and what its root entry says about the rest (bases of
// the indexed sections, language, directory); entries are decoded from the file each time. A split
// unit (.dwo) takes from its skeleton what only that knows: addresses, ranges, the directory.
//
// Made by DwarfFile; valid until ModuleDwarf::trim(). Offsets count from the start of the section
// that the unit lies in, everywhere.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "symbolize/dwarf/dwarf_file.h"
#include "symbolize/dwarf/entry.h"
#include "symbolize/dwarf/unit_header.h"

namespace residue::dwarf {

class Unit;

// An entry and the unit that can decode it. References lead to other units and other files.
struct EntryRef {
  const Unit* unit = nullptr;
  Entry entry;
};

// What identifies an entry for as long as the module's DWARF is open, also over trim().
struct EntryKey {
  DwarfFile* file = nullptr;
  bool in_types = false;
  uint64_t offset = 0;

  friend auto operator<=>(const EntryKey&, const EntryKey&) = default;
};

// What the root entry says.
struct UnitRoot {
  uint16_t tag = 0;
  uint16_t language = 0;
  std::string_view name;
  std::string_view compilation_dir;
  std::string_view dwo_name;
  std::optional<uint64_t> dwo_id;
  std::optional<uint64_t> line_table;  // offset in .debug_line
  std::optional<uint64_t> low_pc;
  uint64_t str_offsets_base = 0;
  uint64_t addr_base = 0;
  uint64_t rnglists_base = 0;
  uint64_t loclists_base = 0;
  uint64_t ranges_base = 0;  // DW_AT_GNU_ranges_base: of a split unit's DW_AT_ranges
};

class Unit {
 public:
  Unit(DwarfFile& file, const UnitHeader& header, const Contributions& contributions);

  const UnitHeader& header() const { return header_; }
  const Format& format() const { return header_.format; }
  DwarfFile& file() const { return file_; }
  const UnitRoot& root() const { return root_; }
  const Entry& root_entry() const { return root_entry_; }
  const Abbreviations& abbreviations() const { return *abbreviations_; }
  const Contributions& contributions() const { return contributions_; }
  // The root entry could be decoded.
  bool usable() const { return root_entry_.abbreviation != nullptr; }
  // The section that holds this unit, up to the unit's end.
  std::span<const std::byte> bytes() const { return bytes_; }
  EntryKey key(const Entry& entry) const { return {&file_, header_.in_types, entry.offset}; }
  bool is_cpp() const;

  // Split DWARF: takes addresses, ranges, lines and the directory from the unit in the main file.
  // REQUIRES: `skeleton` lives as long as this.
  void attach(const Unit& skeleton);
  const Unit* skeleton() const { return skeleton_; }

  // --- entries ---

  // The entry at `offset`; nullopt at the end of a list of siblings, for a code without
  // abbreviation, and outside the unit.
  std::optional<Entry> entry_at(uint64_t offset) const;
  // Calls visit(attribute, Value) for each attribute in order; ends early if `visit` returns false
  // or the values are damaged (then returns false). Returns by `end`, if wanted, where the values
  // end: there the next entry begins.
  template <typename Visit>
  bool for_each_attribute(const Entry& entry, Visit visit) const {
    Cursor cursor(bytes_, entry.attributes, header_.format.order);
    for (const AttributeSpec& spec : abbreviations_->specs(*entry.abbreviation)) {
      const Value value = decode(cursor, spec);
      if (!cursor.ok()) return false;
      if (!visit(spec.attribute, value)) return true;
    }
    return true;
  }
  // The first of these attributes that the entry itself has.
  std::optional<Value> find(const Entry& entry, uint16_t attribute) const;
  // The entry's own, or that of what it completes (DW_AT_specification) or instantiates
  // (DW_AT_abstract_origin), at most kMaxChain steps away. The unit says how to read the value.
  struct Found {
    EntryRef where;
    Value value;
  };
  std::optional<Found> find_inherited(const Entry& entry, uint16_t attribute) const;
  static constexpr int kMaxChain = 8;

  // --- values ---

  // Where a reference leads: in this unit, in another one, in dwz's file, to a type unit.
  std::optional<EntryRef> follow(const Value& value) const;
  std::optional<EntryRef> follow(const Entry& entry, uint16_t attribute) const;
  // Empty for what is no string.
  std::string_view string(const Value& value) const;
  std::string_view string(const Entry& entry, uint16_t attribute) const;
  // Also of indexes into .debug_addr.
  std::optional<uint64_t> address(const Value& value) const;
  // The entry `index` of this unit's part of .debug_addr.
  std::optional<uint64_t> indexed_address(uint64_t index) const;
  // A constant of any form (signed ones wrap); nullopt for blocks and references.
  std::optional<uint64_t> constant(const Entry& entry, uint16_t attribute) const;
  bool flag(const Entry& entry, uint16_t attribute) const;
  // Addresses that linkers leave in place of those of dropped code: 0, -1 and -2.
  bool is_dead(uint64_t address) const;

 private:
  Value decode(Cursor& cursor, const AttributeSpec& spec) const {
    if (spec.form == kFormImplicitConst) {
      Value value;
      value.form = spec.form;
      value.number = static_cast<uint64_t>(abbreviations_->constant(spec.constant));
      return value;
    }
    return read_value(cursor, spec.form, header_.format);
  }
  void read_root();
  void read_bases();
  void default_bases();
  std::string_view indexed_string(uint64_t index) const;
  std::optional<EntryRef> entry_of(DwarfFile& file, uint64_t offset) const;

  DwarfFile& file_;
  const UnitHeader header_;
  const Contributions contributions_;
  std::span<const std::byte> bytes_;
  std::shared_ptr<const Abbreviations> abbreviations_;
  UnitRoot root_;
  Entry root_entry_;
  const Unit* skeleton_ = nullptr;
};

}  // namespace residue::dwarf
