// Scopes: which entries enclose an entry.
//
// Entries do not point to their parents, and we keep no tree. The way from the root to an entry is
// found by walking its unit from the top, jumping over every subtree that ends before it. One walk
// finds the ways to any number of entries, so ask for many at once.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "symbolize/dwarf/unit.h"

namespace residue::dwarf {

// For each of `offsets` (sorted, of entries of `unit`) the entries that enclose it, outermost
// first, without the unit's root; empty for a child of the root and for what is no entry.
std::vector<std::vector<Entry>> find_scopes(const Unit& unit, std::span<const uint64_t> offsets);

}  // namespace residue::dwarf
