// DwarfFile: the DWARF of one ELF file: its sections, and where its units begin.
//
// A module's debug information may be spread over several files: the main one, dwz's common one,
// and the .dwo or .dwp files of split DWARF. Each is a DwarfFile; module_dwarf.h ties them
// together.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "formats/base/diagnostics.h"
#include "symbolize/dwarf/unit_header.h"
#include "symbolize/symbol_file.h"

namespace residue::dwarf {

class ModuleDwarf;
class PackageIndex;
struct PackageRow;
class Unit;

enum class Section : uint8_t {
  kInfo,
  kTypes,
  kAbbrev,
  kLine,
  kStr,
  kLineStr,
  kStrOffsets,
  kAddr,
  kAranges,
  kRanges,
  kRnglists,
  kLoc,
  kLoclists,
  kCuIndex,
  kTuIndex,
};
inline constexpr size_t kSectionCount = 15;

class DwarfFile {
 public:
  // kSplit: the sections named .debug_….dwo count.
  enum class Kind : uint8_t { kWhole, kSplit };

  // REQUIRES: `file` and `module` outlive this.
  DwarfFile(const SymbolFile& file, Kind kind, ModuleDwarf& module);
  ~DwarfFile();
  DwarfFile(const DwarfFile&) = delete;
  DwarfFile& operator=(const DwarfFile&) = delete;

  const SymbolFile& symbol_file() const { return file_; }
  Kind kind() const { return kind_; }
  ModuleDwarf& module() const { return module_; }
  ByteOrder order() const { return file_.order(); }

  // Read (and unpacked) when first asked for; empty if the file has none.
  std::span<const std::byte> section(Section section) const;
  // The NUL-terminated string at `offset`; empty where there is none.
  std::string_view string_at(Section section, uint64_t offset) const;

  // All units of .debug_info (then those of .debug_types), in the order of the file.
  const std::vector<UnitHeader>& units();
  // The unit that starts at a header of units(). Null if its abbreviations or its root are damaged.
  // Valid until ModuleDwarf::trim().
  const Unit* unit(const UnitHeader& header);
  // The unit of .debug_info whose bytes hold `offset`.
  const Unit* unit_holding(uint64_t offset);
  // The same for .debug_types.
  const Unit* types_unit_holding(uint64_t offset);
  const Unit* type_unit(uint64_t signature);
  // Split files: the unit with this DWO id. Not const, for Unit::attach().
  Unit* split_unit(uint64_t id);

  // The abbreviations at `offset`, shared between units.
  std::shared_ptr<const Abbreviations> abbreviations(uint64_t offset, const Format& format);
  // Forgets all units and abbreviations.
  void trim();
  size_t memory() const { return memory_; }
  // Gives the sections' pages back to the kernel.
  void release_pages() const;

 private:
  Unit* load(const UnitHeader& header, const Contributions& contributions);
  void index_section(Section section);
  const UnitHeader* header_holding(uint64_t offset, bool in_types);
  const PackageIndex* package(Section section);
  Unit* packaged_unit(const PackageRow& row);

  const SymbolFile& file_;
  const Kind kind_;
  ModuleDwarf& module_;
  mutable std::array<std::optional<std::span<const std::byte>>, kSectionCount> sections_;
  bool indexed_ = false;
  std::vector<UnitHeader> units_;
  size_t info_units_ = 0;                            // how many of them lie in .debug_info
  std::unordered_map<uint64_t, size_t> type_units_;  // signature → index in units_
  std::optional<std::unordered_map<uint64_t, size_t>> split_units_;  // DWO id → index in units_
  std::unordered_map<uint64_t, std::unique_ptr<Unit>> loaded_;       // offset * 2 + in .debug_types
  struct SharedTable {
    uint64_t offset = 0;
    Format format;
    std::shared_ptr<const Abbreviations> table;
  };
  std::vector<SharedTable> tables_;
  std::array<std::unique_ptr<PackageIndex>, 2> packages_;  // of compilation and of type units
  size_t memory_ = 0;
};

}  // namespace residue::dwarf
