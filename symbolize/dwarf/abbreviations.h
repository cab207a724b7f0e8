// Abbreviations: how the entries of a unit are laid out (.debug_abbrev).
//
// A table is decoded once for each (offset, format) and gives each abbreviation a small skip
// program: neighbouring attributes of fixed size become one step, so that an entry that is not
// wanted costs a few additions.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "symbolize/dwarf/cursor.h"
#include "symbolize/dwarf/dwarf_layout.h"

namespace residue::dwarf {

// What the size of a form depends on.
struct Format {
  ByteOrder order = ByteOrder::kLittle;
  uint8_t version = 0;
  uint8_t address_size = 0;
  uint8_t offset_size = 4;  // 8 in 64-bit DWARF

  friend bool operator==(const Format&, const Format&) = default;
  // Of DW_FORM_ref_addr: an address in DWARF 2, an offset since.
  unsigned ref_addr_size() const { return version <= 2 ? address_size : offset_size; }
};

struct AttributeSpec {
  uint16_t attribute = 0;  // 0 for one that no producer defines
  uint16_t form = 0;
  uint32_t constant = 0;  // DW_FORM_implicit_const: index of its value
};

struct SkipStep {
  enum Kind : uint8_t {
    kBytes,
    kLeb,
    kString,
    kBlock1,
    kBlock2,
    kBlock4,
    kBlockLeb,
    kIndirect,
    kSibling
  };
  Kind kind = kBytes;
  uint16_t form = 0;   // kSibling: of the reference
  uint32_t bytes = 0;  // kBytes
};

struct Abbreviation {
  uint64_t code = 0;
  uint16_t tag = 0;
  bool has_children = false;
  bool has_low_pc = false;
  bool has_ranges = false;
  uint32_t first_spec = 0;
  uint32_t spec_count = 0;
  uint32_t first_step = 0;
  uint32_t step_count = 0;
};

class Abbreviations {
 public:
  // A damaged table ends before its first damaged abbreviation; entries with codes that it lacks
  // end the walk of their unit.
  Abbreviations(std::span<const std::byte> section, uint64_t offset, const Format& format);

  // Null if there is no such code.
  const Abbreviation* find(uint64_t code) const {
    // Producers number from 1 without holes.
    if (code - 1 < items_.size() && items_[code - 1].code == code) return &items_[code - 1];
    return find_sparse(code);
  }
  std::span<const AttributeSpec> specs(const Abbreviation& a) const {
    return {specs_.data() + a.first_spec, a.spec_count};
  }
  std::span<const SkipStep> steps(const Abbreviation& a) const {
    return {steps_.data() + a.first_step, a.step_count};
  }
  int64_t constant(uint32_t index) const { return constants_[index]; }
  size_t memory() const;
  bool damaged() const { return damaged_; }

 private:
  bool read_specs(Cursor& cursor, Abbreviation& item);
  void compile(Abbreviation& item, const Format& format);
  const Abbreviation* find_sparse(uint64_t code) const;

  std::vector<Abbreviation> items_;  // in the order of the table, sorted by code if sorted_
  std::vector<AttributeSpec> specs_;
  std::vector<SkipStep> steps_;
  std::vector<int64_t> constants_;
  bool damaged_ = false;
};

// The bytes that `form` always takes, or nullopt if its value says it.
std::optional<unsigned> fixed_size(uint16_t form, const Format& format);

}  // namespace residue::dwarf
