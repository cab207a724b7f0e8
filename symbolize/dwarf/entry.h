// Entry and Value: one debugging information entry (DIE) and one attribute's value, as decoded.
//
// Both are small, are made on the stack, and point into the sections and the abbreviations of their
// Unit: they live as long as that.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "symbolize/dwarf/abbreviations.h"

namespace residue::dwarf {

struct Value {
  uint16_t form = 0;
  // Constants (signed forms sign-extended), flags, offsets, indexes, addresses, references: as they
  // stand in the file. The Unit knows what they mean.
  uint64_t number = 0;
  std::span<const std::byte> bytes;  // blocks, expressions, data16, and strings in place

  bool is_expression_or_block() const {
    return form == kFormExprloc || form == kFormBlock || form == kFormBlock1 ||
           form == kFormBlock2 || form == kFormBlock4;
  }
  bool is_reference() const {
    return (form >= kFormRefAddr && form <= kFormRefUdata) || form == kFormRefSig8 ||
           form == kFormRefSup4 || form == kFormRefSup8 || form == kFormGnuRefAlt;
  }
  bool is_address() const {
    return form == kFormAddr || form == kFormAddrx || form == kFormGnuAddrIndex ||
           (form >= kFormAddrx1 && form <= kFormAddrx4);
  }
  bool is_constant() const {
    return form == kFormData1 || form == kFormData2 || form == kFormData4 || form == kFormData8 ||
           form == kFormSdata || form == kFormUdata || form == kFormImplicitConst;
  }
  // A section offset or list index, also as DWARF 2 and 3 wrote them (data4, data8).
  bool is_list() const {
    return form == kFormSecOffset || form == kFormData4 || form == kFormData8 ||
           form == kFormLoclistx || form == kFormRnglistx;
  }
};

struct Entry {
  uint64_t offset = 0;  // in the section
  const Abbreviation* abbreviation = nullptr;
  uint64_t attributes = 0;  // where the first attribute's value lies in the section

  uint16_t tag() const { return abbreviation->tag; }
  bool has_children() const { return abbreviation->has_children; }
};

// Reads the value of a form at the cursor; the cursor fails where it does not fit.
Value read_value(Cursor& cursor, uint16_t form, const Format& format);

}  // namespace residue::dwarf
