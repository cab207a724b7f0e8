// UnitMap: which units' code holds an address.
//
// Built once, from .debug_aranges for the units that it names (GCC writes it, clang does not) and
// from the root entries of the others. An address that no range holds makes the map look at the
// root entries of all units: .debug_aranges is known to be incomplete in places.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "symbolize/dwarf/dwarf_file.h"
#include "symbolize/dwarf/ranges.h"

namespace residue::dwarf {

class UnitMap {
 public:
  // REQUIRES: `file` outlives this.
  explicit UnitMap(DwarfFile& file) : file_(file) {}

  // Indexes into file.units() of the units that hold `address`, in the order of the file; mostly
  // one, none for code without debug information.
  std::vector<uint32_t> find(uint64_t address);

 private:
  struct Span {
    uint64_t low = 0;
    uint64_t high = 0;
    uint32_t unit = 0;
  };
  struct Table {
    std::vector<Span> spans;         // by low
    std::vector<uint64_t> max_high;  // of the spans up to each
    void finish();
    void find(uint64_t address, std::vector<uint32_t>& units) const;
  };
  void build_first();
  void build_rest();
  bool may_hold(uint64_t address);
  void add_root(uint32_t unit, Table& table);

  DwarfFile& file_;
  bool first_built_ = false;
  bool rest_built_ = false;
  std::vector<bool> listed_;  // units that .debug_aranges names
  Table first_;
  std::optional<std::vector<PcRange>> code_;  // the file's segments, once read
  Table rest_;                                // roots of the units that .debug_aranges names
};

}  // namespace residue::dwarf
