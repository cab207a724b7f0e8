// Small pieces of DWARF that several tests and the fuzz target's seeds begin with.
#pragma once

#include <array>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "dwarf_builder.h"

namespace residue::test {

using Sections = std::map<std::string, std::string>;

// A unit with one function, [0x1000, 0x1100), with two functions inlined into one another.
Sections one_function(const Shape& shape);

// The sections that an input of fuzz_dwarf can hold. An input is a byte of flags (kBigEndian,
// kNarrow) and then pieces: index of a section, length in two bytes, little endian, and contents.
inline constexpr std::array<const char*, 18> kFuzzSections = {
    ".debug_info",     ".debug_abbrev",     ".debug_line",    ".debug_str",
    ".debug_ranges",   ".debug_rnglists",   ".debug_loc",     ".debug_loclists",
    ".debug_addr",     ".debug_aranges",    ".debug_types",   ".debug_str_offsets",
    ".debug_info.dwo", ".debug_abbrev.dwo", ".debug_loc.dwo", ".debug_rnglists.dwo",
    ".debug_cu_index", ".debug_tu_index",
};
inline constexpr unsigned kBigEndian = 1;
inline constexpr unsigned kNarrow = 2;  // 32-bit ELF

// Name and contents of each seed.
std::vector<std::pair<std::string, std::string>> fuzz_dwarf_seeds();

}  // namespace residue::test
