// Address ranges of entries: low and high pc, .debug_ranges, .debug_rnglists; and .debug_aranges.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "symbolize/dwarf/unit.h"

namespace residue::dwarf {

struct PcRange {
  uint64_t low = 0;
  uint64_t high = 0;  // one past the last byte

  bool contains(uint64_t pc) const { return pc >= low && pc < high; }
};

// The code of an entry (subprogram, inlined subroutine, block, unit), appended to `ranges`. Ranges
// without bytes and those of code that the linker dropped (see Unit::is_dead) are left out. Returns
// false if the list is damaged; the ranges before the damage count.
bool read_ranges(const Unit& unit, const Entry& entry, std::vector<PcRange>& ranges);

// Calls visit(offset of the unit's header in .debug_info, range) for every range of
// .debug_aranges. Sets that are damaged are passed over, and make this return false.
bool for_each_arange(const DwarfFile& file,
                     const std::function<void(uint64_t unit, PcRange range)>& visit);

}  // namespace residue::dwarf
