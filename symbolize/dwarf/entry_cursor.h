// EntryCursor: walks the entries of a unit in the order of the file, keeping nothing but its place.
//
//     EntryCursor walk(unit, unit.root_entry());
//     Entry entry;
//     while (walk.next(entry)) {
//       if (!interesting(entry)) walk.skip_children();
//     }
//
// A walk over a whole unit costs about 10 ns an entry; DW_AT_sibling, where the producer wrote it
// (GCC does, clang does not), makes skip_children() a jump.
#pragma once

#include <cstdint>

#include "symbolize/dwarf/unit.h"

namespace residue::dwarf {

class EntryCursor {
 public:
  // Walks all that lies below `parent`, which is not itself returned.
  EntryCursor(const Unit& unit, const Entry& parent);

  // The next entry, children before siblings; false at the end, and where the unit is damaged.
  bool next(Entry& entry);
  // Passes over the children of the entry that next() returned last.
  void skip_children();
  // Where the entry that next() returned last has its next sibling; 0 if it does not say. What the
  // file says is believed only if it leads forwards inside the unit.
  uint64_t sibling();
  // Of the entry returned last: 1 for a child of the parent.
  unsigned depth() const { return depth_; }
  // A code without abbreviation or values that end too early were met.
  bool damaged() const { return damaged_; }

 private:
  void pass_values();
  bool read_code();
  bool jump();

  const Unit& unit_;
  Cursor cursor_;
  Entry current_;
  bool pending_ = true;   // the values of current_ are not yet passed
  bool descend_ = true;   // its children, if any, come next
  uint64_t sibling_ = 0;  // of current_
  unsigned depth_ = 0;
  unsigned level_ = 0;  // of the list that is read; 0: the walk is over
  bool damaged_ = false;
};

}  // namespace residue::dwarf
