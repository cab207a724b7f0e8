// ModuleBuilder: a tiny shared object, as a file and as its pages in a core.
//
// Written from the gABI (dynamic section, symbol tables, SYSV hash), the GNU hash section as
// binutils writes it, and the LSB's build-id note. Shares nothing with the reader. The image has
// the segments that today's linkers make, with a gap so that addresses and file offsets differ:
//
//   part           in the file      address   in the process
//   headers        0x0000..0x1000   0x0000    r--   ELF header, build-id note, dynamic symbols
//   text           0x1000..0x2000   0x1000    r-x
//   rodata         0x2000..0x3000   0x2000    r--
//   relro          0x3000..0x4000   0x4000    r--   the dynamic section; was writable once
//   data           0x4000..0x5000   0x5000    rw-
//   bss            -                0x6000    rw-   anonymous
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/core_builder.h"

namespace residue::testing {

struct ModuleSymbol {
  std::string name;
  uint64_t vaddr = 0;
  uint64_t size = 0;
  bool is_function = false;
};

class ModuleBuilder {
 public:
  static constexpr uint64_t kText = 0x1000, kRodata = 0x2000, kRelro = 0x4000, kData = 0x5000;
  static constexpr uint64_t kBss = 0x6000, kEnd = 0x7000;
  static constexpr uint64_t kTls = kData + 0xf00, kTlsFileSize = 0x10, kTlsMemorySize = 0x40;

  enum class Hash { kSysv, kGnu, kNone };

  // The pages' contents depend on `seed`, as does the build-id that is made if none is given.
  explicit ModuleBuilder(uint64_t seed);

  ModuleBuilder& build_id(std::vector<std::byte> id);  // empty: no note at all
  ModuleBuilder& dynamic_symbol(ModuleSymbol symbol);  // in .dynsym
  ModuleBuilder& full_symbol(ModuleSymbol symbol);     // in .symtab, which only the file has
  ModuleBuilder& hash(Hash style);
  ModuleBuilder& tls();
  // Zeros instead of a pattern in text, rodata and data.
  ModuleBuilder& blank();
  // Puts bytes into the .data page, at an address of that page.
  ModuleBuilder& data(uint64_t vaddr, const std::vector<std::byte>& bytes);

  // The file on disk.
  std::vector<std::byte> build() const;
  // Lower-case hex.
  std::string build_id_text() const;

  // How a core shows the module.
  struct Placement {
    bool headers_in_dump = true;    // the kernel's default for the first page of an ELF mapping
    bool readonly_in_dump = false;  // text and rodata: gcore's default
    bool data_in_dump = true;
    bool relocated = true;  // glibc's ld.so adds the base to the dynamic section's pointers; musl's
                            // does not
  };
  // Adds the module's mappings and loads at `base`. A core lists both by address: call in order.
  void place(CoreBuilder* core, uint64_t base, const std::string& path, Placement placement) const;
  void place(CoreBuilder* core, uint64_t base, const std::string& path) const {
    place(core, base, path, Placement());
  }

 private:
  struct DynamicTables {
    uint64_t symbols = 0, strings = 0, strings_size = 0, hash = 0;  // addresses in the first page
    std::vector<std::byte> bytes;                                   // the first page
  };
  DynamicTables headers_page(uint64_t section_headers) const;
  std::vector<std::byte> dynamic_section(uint64_t base) const;
  std::vector<std::byte> page(uint64_t seed) const;
  std::vector<std::byte> data_page() const;
  std::vector<ModuleSymbol> ordered_dynamic_symbols() const;
  std::vector<std::byte> sysv_hash(const std::vector<ModuleSymbol>& symbols) const;
  std::vector<std::byte> gnu_hash(const std::vector<ModuleSymbol>& symbols) const;

  uint64_t seed_;
  std::vector<std::byte> build_id_;
  std::vector<ModuleSymbol> dynamic_, full_;
  Hash hash_ = Hash::kGnu;
  bool tls_ = false, blank_ = false;
  std::vector<std::pair<uint64_t, std::vector<std::byte>>> data_;
};

}  // namespace residue::testing
