// DataSymbols: which variable lies at an address, from ELF symbol tables.
//
// Tables are read once per module, on the first question about it: the separate debug file's
// .symtab, else the file's own .symtab, else its .dynsym, else the dynamic symbols in the dump's
// own pages (which need no file at all). Names are views into the Image's files and pages.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "formats/image.h"

namespace residue {

struct DataSymbol {
  uint64_t address = 0;  // in the process
  uint64_t size = 0;
  std::string_view name;  // mangled
};

// How much is known of a module's names: 'full' with debug information, 'partial' with a symbol
// table, 'none'.
enum class SymbolLevel : uint8_t { kNone, kPartial, kFull };
const char* to_string(SymbolLevel level);

class DataSymbols {
 public:
  // REQUIRES: `image` outlives this.
  explicit DataSymbols(const Image& image);

  // The variable or vtable that holds `a`. Not const: reads the module's table on first use.
  std::optional<DataSymbol> find(Address a);
  SymbolLevel level(ModuleId module) const;

 private:
  struct Table {
    bool loaded = false;
    std::vector<DataSymbol> symbols;  // by address
  };
  void load(size_t module);

  const Image& image_;
  std::vector<Table> tables_;
};

}  // namespace residue
