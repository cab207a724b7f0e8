// Symbol tables as bytes: found in a file by section, or in a dump's pages through the dynamic
// section, and read one symbol at a time.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "formats/base/byte_cursor.h"
#include "formats/image.h"
#include "symbolize/symbol_file.h"
#include "symbolize/symbol_layout.h"

namespace residue {

struct RawSymbol {
  uint32_t name = 0;  // offset in the strings
  uint8_t type = 0;
  uint8_t bind = 0;
  uint16_t section = 0;
  uint64_t value = 0;
  uint64_t size = 0;
};

// Views into a file or the dump. Empty where there is no table.
struct RawSymbols {
  std::span<const std::byte> symbols;
  std::span<const std::byte> strings;
  bool is_64 = true;
  ByteOrder order = ByteOrder::kLittle;
  uint16_t machine = 0;

  size_t entry_bytes() const { return is_64 ? elf::kSymbolBytes64 : elf::kSymbolBytes32; }
  size_t count() const { return symbols.size() / entry_bytes(); }
  // REQUIRES: index < count().
  RawSymbol at(size_t index) const;
  // Without the version ("@@GLIBC_2.2.5") that linkers append; empty if there is no name or its end
  // is missing.
  std::string_view name_at(uint32_t offset) const;
};

// The first table of section type `type` (SHT_SYMTAB, SHT_DYNSYM) that has symbols and strings.
RawSymbols symbols_of_file(const SymbolFile& file, uint32_t type);

// The dynamic symbols in the dump's own pages, which need no file at all.
RawSymbols symbols_in_dump(const Image& image, const Module& module);

}  // namespace residue
