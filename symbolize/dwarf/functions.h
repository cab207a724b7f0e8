// Functions: which functions of a unit, inlined ones among them, hold given addresses.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "symbolize/dwarf/unit.h"

namespace residue::dwarf {

// A function around an address. For an inlined one, where it was called.
struct FunctionLink {
  Entry entry;
  unsigned depth = 0;  // in the unit
  uint64_t call_file = 0;
  uint32_t call_line = 0;
  uint32_t call_column = 0;
  // Where it was called is known. It is not in strict DWARF 2: then the function's variables are
  // there, but it makes no frame, as a function without its caller confuses more than it says.
  bool has_call = false;
};

// Outermost first: the function itself, then those inlined into it. Empty: in no function.
using FunctionChain = std::vector<FunctionLink>;

// The chain of each of `addresses` (sorted). The unit's lists of entries are streamed; only the
// functions that hold one of the addresses are gone through.
std::vector<FunctionChain> find_functions(const Unit& unit, std::span<const uint64_t> addresses);

}  // namespace residue::dwarf
