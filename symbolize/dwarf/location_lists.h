// Location lists: where a variable is at which pc. .debug_loc, .debug_loclists, and GNU's lists of
// DWARF 4 split units.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "symbolize/dwarf/unit.h"

namespace residue::dwarf {

struct LocationEntry {
  uint64_t low = 0;
  uint64_t high = 0;        // one past the last byte
  bool is_default = false;  // holds wherever no other entry does; low and high say nothing
  std::span<const std::byte> expression;
};

// The entries behind a DW_AT_location, DW_AT_frame_base, … of `unit`: one that holds everywhere if
// the value is an expression, otherwise the list's. Views live as long as the file's sections.
// What is damaged ends the list.
std::vector<LocationEntry> read_locations(const Unit& unit, const Value& value);

// The expression that holds at `pc`, empty if there is none.
std::span<const std::byte> location_at(const Unit& unit, const Value& value, uint64_t pc);

}  // namespace residue::dwarf
