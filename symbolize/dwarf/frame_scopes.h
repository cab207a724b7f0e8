// Which parameters and variables are in scope at a pc, and what the file says of where each is.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "symbolize/dwarf/functions.h"
#include "symbolize/dwarf/names.h"
#include "symbolize/dwarf/type_size.h"
#include "symbolize/dwarf/variable_names.h"
#include "symbolize/dwarf/variables.h"

namespace residue::dwarf {

struct ScopedVariable {
  LocalVariable what;  // all but its pieces
  // DW_AT_location at the pc; empty if it has none there. Lives as long as the file's sections.
  std::span<const std::byte> location;
  // DW_AT_const_value of what has no location: a number, or bytes as in memory.
  std::optional<Value> constant;
};

// All that depends on the pc alone: threads that wait at the same place share it.
struct FrameScopes {
  EntryKey function;                      // whose code holds the pc
  uint64_t entry_pc = 0;                  // where that function begins
  std::span<const std::byte> frame_base;  // DW_AT_frame_base at the pc
  std::vector<ScopedVariable> variables;  // in the order of Variables::locals()
};

class ScopeReader {
 public:
  // REQUIRES: all outlive this.
  ScopeReader(Names& names, TypeSizes& sizes, Declarations& declarations)
      : names_(names), sizes_(sizes), declarations_(declarations) {}

  // The scopes at `pc`; nullopt if no function of the unit holds it.
  std::optional<FrameScopes> read(const Unit& unit, uint64_t pc);

 private:
  ScopedVariable describe(const EntryRef& entry, bool is_parameter, uint64_t pc);

  Names& names_;
  TypeSizes& sizes_;
  Declarations& declarations_;
};

// Where a function begins; nullopt if it has no code.
std::optional<uint64_t> entry_pc_of(const EntryRef& function);

// The type entries whose names make up the name of this entry's type: at the end of pointers,
// qualifiers and arrays. For Names::prepare().
std::optional<EntryRef> named_type_of(const EntryRef& entry);

}  // namespace residue::dwarf
