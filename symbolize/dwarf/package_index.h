// PackageIndex: which parts of a .dwp's sections belong to which split unit (.debug_cu_index and
// .debug_tu_index; DWARF 5, 7.3.5, and GNU's version 2 of the same for DWARF 4).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "symbolize/dwarf/unit.h"

namespace residue::dwarf {

struct PackageRow {
  uint64_t id = 0;
  Contribution unit;  // in .debug_info.dwo, or in .debug_types.dwo
  bool in_types = false;
  Contributions parts;
};

class PackageIndex {
 public:
  PackageIndex(std::span<const std::byte> section, ByteOrder order);

  const PackageRow* find(uint64_t id) const;
  // The unit of .debug_info.dwo that holds `offset`.
  const PackageRow* holding(uint64_t offset) const;
  const std::vector<PackageRow>& rows() const { return rows_; }
  bool damaged() const { return damaged_; }

 private:
  bool read_columns(Cursor cursor, const std::vector<uint32_t>& columns, uint64_t units,
                    const std::vector<std::pair<uint32_t, uint64_t>>& used);

  std::vector<PackageRow> rows_;  // by id
  std::vector<uint32_t> by_offset_;
  bool damaged_ = false;
  uint16_t version_ = 0;
};

}  // namespace residue::dwarf
