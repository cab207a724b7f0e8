// SymbolTable: which function or variable lies at an address, from ELF symbol tables.
//
// Tables are read once per module, on the first question about it: that of the module's own file
// (.symtab, else .dynsym), and the .symtab of its debug file or .gnu_debugdata; without any file
// the dynamic symbols in the dump's own pages. Either word size and byte order. Names are views
// into the files and the dump. Thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "formats/image.h"
#include "symbolize/debug_files.h"

namespace residue {

struct DataSymbol {
  uint64_t address = 0;  // in the process
  uint64_t size = 0;
  std::string_view name;  // mangled
};

struct FunctionSymbol {
  uint64_t address = 0;  // in the process; of code, also where symbols name descriptors
  uint64_t size = 0;
  std::string_view name;  // mangled, without version
  // Whether the table gives the size. Otherwise (assembly, as a rule) it is what lies between this
  // symbol and the next, or the end of the section.
  bool exact = true;
};

// How much is known of a module's names: 'full' with debug information, 'partial' with a symbol
// table, 'none'.
enum class SymbolLevel : uint8_t { kNone, kPartial, kFull };
const char* to_string(SymbolLevel level);

class SymbolTable {
 public:
  // REQUIRES: `files` and its Image outlive this.
  explicit SymbolTable(const DebugFiles& files);
  ~SymbolTable();
  SymbolTable(const SymbolTable&) = delete;
  SymbolTable& operator=(const SymbolTable&) = delete;

  // The function that holds `a`. Of several names at one address, the one that gdb shows.
  std::optional<FunctionSymbol> find_function(Address a) const;
  // The variable or vtable that holds `a`. Of several names the shortest.
  std::optional<DataSymbol> find_data(Address a) const;
  // The function of a module with this (mangled) name. Looks at all symbols.
  std::optional<FunctionSymbol> find_named(ModuleId module, std::string_view name) const;
  SymbolLevel level(ModuleId module) const;

 private:
  struct Table;
  const Table& table_of(size_t module) const;
  const Table* table_at(Address a, uint64_t* bias) const;
  void load(size_t m, Table* table) const;

  const DebugFiles& files_;
  const std::unique_ptr<Table[]> tables_;
};

}  // namespace residue
