// ModuleDwarf: all DWARF that belongs to one module, over however many files it is spread.
//
// Owns the DwarfFiles of the main file, of dwz's common file, and of split units as they are met.
// Not thread-safe. What is damaged or missing goes to diagnostics(), once.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "formats/base/diagnostics.h"
#include "symbolize/dwarf/dwarf_file.h"
#include "symbolize/dwarf/unit.h"

namespace residue::dwarf {

class ModuleDwarf {
 public:
  // Finds the file that holds a split unit: directory of the compilation, name of the .dwo, DWO id.
  using SplitFinder =
      std::function<const SymbolFile*(const std::string&, const std::string&, uint64_t)>;

  // `alternate` may be null. REQUIRES: the files outlive this.
  ModuleDwarf(const SymbolFile& main, const SymbolFile* alternate, SplitFinder find_split);
  ~ModuleDwarf();
  ModuleDwarf(const ModuleDwarf&) = delete;
  ModuleDwarf& operator=(const ModuleDwarf&) = delete;

  DwarfFile& main() { return *main_; }
  // dwz's common file, null if there is none; a reference to it is then reported.
  DwarfFile* alternate();

  // The unit with the entries: for a skeleton its split unit, attached, or null if that is missing
  // (which is reported); for all others the unit itself.
  const Unit* full(const Unit& unit);
  // The type unit with this signature that a unit of `from` means.
  const Unit* type_unit(DwarfFile& from, uint64_t signature);
  // The entry behind a key, and its unit; nullopt if the file is damaged there.
  std::optional<EntryRef> entry(const EntryKey& key);

  // The language of the first compilation unit that names one, C++ before others: that of units
  // which say nothing. 0 if there is none.
  uint16_t main_language();

  // Counts bytes that were touched; every few megabytes the files' pages are given back.
  void touched(uint64_t bytes);
  // Forgets Units and abbreviations if they have grown large: no Unit, Entry or view of one may be
  // in use. Call it between two units.
  void trim();

  Diagnostics& diagnostics() { return diagnostics_; }
  // Reports something about this module's DWARF. `place` is an offset of .debug_info or a name.
  void report(Severity severity, const std::string& place, std::string message);

 private:
  DwarfFile* split_file(const SymbolFile& file);

  std::unique_ptr<DwarfFile> main_;
  std::unique_ptr<DwarfFile> alternate_;
  std::map<const SymbolFile*, std::unique_ptr<DwarfFile>> splits_;
  SplitFinder find_split_;
  std::set<uint64_t> missing_;  // DWO ids that were reported
  bool alternate_reported_ = false;
  uint64_t touched_ = 0;
  std::optional<uint16_t> main_language_;
  Diagnostics diagnostics_;
};

}  // namespace residue::dwarf
