// What to call a variable that owns something: with everything that it is in.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "symbolize/dwarf/line_table.h"
#include "symbolize/dwarf/names.h"

namespace residue::dwarf {

// For each of `variables` (entries that have a location, all of units that are in use):
// "ns::table", "Class::member", and for a static variable of a function that function's readable
// name too: "ns::Class::run()::cache". Costs one walk over each unit, however many variables it
// has.
std::vector<std::string> variable_names(Names& names, std::span<const EntryRef> variables);

// The file and line of the declaration: those of the entry itself, or of what it completes or
// instantiates. Both empty (0) if the compiler did not say.
struct Declaration {
  std::string file;
  uint32_t directory = 0;  // as SourceFrame::directory
  uint32_t line = 0;
};
class Declarations {
 public:
  Declaration of(const EntryRef& entry);
  // Forgets the last unit: call it before ModuleDwarf::trim().
  void forget() { unit_ = nullptr; }

 private:
  const Unit* unit_ = nullptr;
  std::optional<LineTable> table_;  // of unit_
};

}  // namespace residue::dwarf
