// Headers of units: .debug_info of DWARF 2-5 and .debug_types of version 4.
#pragma once

#include <cstdint>
#include <span>

#include "formats/base/result.h"
#include "symbolize/dwarf/abbreviations.h"

namespace residue::dwarf {

// Where the parts of a packaged (.dwp) unit lie in the sections of the package; for all others the
// offsets are 0 and the sections are whole.
struct Contribution {
  uint64_t offset = 0;
  uint64_t size = 0;
  bool packaged = false;
};

struct Contributions {
  Contribution abbrev, line, str_offsets, loc, loclists, rnglists;
};

struct UnitHeader {
  uint64_t offset = 0;       // of the header, in its section
  uint64_t end = 0;          // of the unit
  uint64_t first_entry = 0;  // where the root entry begins
  uint64_t abbrev_offset = 0;
  uint64_t id = 0;          // DWO id (skeleton, split) or type signature; 0 if it has none
  uint64_t type_entry = 0;  // type units: the type's entry, in the section
  Format format;
  uint8_t type = 0;       // DW_UT_*; versions 2-4: compile, or type for .debug_types
  bool in_types = false;  // lies in .debug_types

  bool is_type_unit() const { return type == 2 || type == 6; }
};

// The header at `offset` of a section. Fails where the bytes end, for versions other than 2-5, and
// for unit types and address sizes that nobody defines; `end` is set wherever the length could be
// read, so that the next unit can be found.
Result<void> read_unit_header(std::span<const std::byte> section, uint64_t offset, ByteOrder order,
                              bool in_types, UnitHeader& header);

}  // namespace residue::dwarf
