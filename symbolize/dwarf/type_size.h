// How many bytes a value of a type takes.
#pragma once

#include <cstdint>
#include <map>

#include "symbolize/dwarf/unit.h"

namespace residue::dwarf {

// Sizes of types, remembered: many variables have the same type. Not thread-safe.
class TypeSizes {
 public:
  // Bytes of the type entry; 0 for types of no or unknown size (void, functions, classes that are
  // only declared here, arrays whose bounds are computed when the program runs).
  uint64_t of(const EntryRef& type);
  // Of the type that an entry has, or inherits from what it completes or instantiates.
  uint64_t of_typed(const EntryRef& entry);
  // Entries of units that ModuleDwarf::trim() forgot are never asked for again by a walk.
  void forget() { known_.clear(); }

 private:
  uint64_t compute(const EntryRef& type, int depth);
  uint64_t array(const EntryRef& type, int depth);

  std::map<EntryKey, uint64_t> known_;
};

// How many elements the dimensions of an array have together; 0 if one of them is not constant.
uint64_t array_elements(const EntryRef& type);

}  // namespace residue::dwarf
