// Line tables: which source line an address comes from (.debug_line of DWARF 2-5).
//
// The program of a unit is run once for all wanted addresses, and no row is kept but theirs. LLVM's
// reader, which keeps all rows, took 20 ms and 13 MB for a unit of 159,000 rows.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "symbolize/dwarf/unit.h"

namespace residue::dwarf {

struct LineRow {
  uint64_t file = 0;  // index into the table's files
  uint32_t line = 0;  // 0: nothing is known
  uint32_t column = 0;
};

// A path as recorded, made absolute where the compilation's directory is known.
struct SourcePath {
  std::string path;
  // How many characters of `path` are that directory and its slash: without them it is the name
  // that the compiler was given, which is what gdb prints.
  size_t directory = 0;
};

class LineTable {
 public:
  // The table that the unit's root (a split unit's skeleton) names. Nullopt if it has none or the
  // header is damaged. `damage` says what is wrong, also where a part can be used. The unit must
  // outlive the table.
  static std::optional<LineTable> of(const Unit& unit, std::string* damage = nullptr);

  // The rows of `addresses`, which are sorted. As in gdb, the last row of an address counts, unless
  // only an earlier one begins a statement; rows of line 0 say nothing and let the one before them
  // hold on; a sequence of dropped code (see Unit::is_dead) is passed over.
  std::vector<LineRow> rows(std::span<const uint64_t> addresses) const;

  // Empty for an index without file. Indexes are those of rows and of DW_AT_decl_file, call_file.
  SourcePath file(uint64_t index) const;
  // Bytes of the program.
  uint64_t size() const { return end_ - program_; }

 private:
  struct File {
    std::string_view name;
    uint64_t directory = 0;
  };
  class Machine;

  explicit LineTable(const Unit& unit) : unit_(&unit) {}
  std::string read_header(Cursor& cursor);
  bool read_old_lists(Cursor& cursor);
  bool read_new_list(Cursor& cursor, std::vector<File>& list);
  std::string_view directory(uint64_t index) const;

  const Unit* unit_;
  std::span<const std::byte> section_;
  Format format_;
  uint64_t program_ = 0;
  uint64_t end_ = 0;
  bool cut_ = false;  // the section ends before the table
  uint8_t min_instruction_ = 1;
  uint8_t max_operations_ = 1;
  bool default_is_stmt_ = true;
  int8_t line_base_ = 0;
  uint8_t line_range_ = 1;
  uint8_t opcode_base_ = 1;
  std::span<const std::byte> opcode_lengths_;
  std::vector<File> directories_;
  std::vector<File> files_;
};

}  // namespace residue::dwarf
