// Writes the seeds of the fuzz targets: make_seeds FOLDER makes FOLDER/<target>/<seed>.
//
// They come from the builders of the tests, so that they never go stale and no binary is kept in
// the tree.
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>
#include <vector>

#include "tests/support/bytes.h"
#include "tests/support/module_builder.h"
#include "tests/support/seed_cores.h"
#include "tests/symbolize/dwarf_samples.h"

namespace {

using residue::testing::ByteWriter;
using residue::testing::ModuleBuilder;

bool write(const std::filesystem::path& path, const std::vector<std::byte>& bytes) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream out(path, std::ios::binary);
  out.write(static_cast<const char*>(static_cast<const void*>(bytes.data())),
            static_cast<std::streamsize>(bytes.size()));
  return static_cast<bool>(out.flush());
}

// The three bytes that fuzz_elf_symbols.cpp takes off the front, then the module. Its file differs
// from its pages only where a gap lies, which the target does not know of: the dynamic section is
// where the file has it.
std::vector<std::byte> symbols_input(uint8_t flags, ModuleBuilder::Hash hash) {
  ModuleBuilder module(1);
  module.blank().hash(hash);
  module.dynamic_symbol({"exported", ModuleBuilder::kData + 0x100, 64, false});
  module.dynamic_symbol({"in_bss", ModuleBuilder::kBss, 64, false});
  if ((flags & 1) != 0) module.full_symbol({"hidden", ModuleBuilder::kData + 0x200, 64, false});
  return ByteWriter().u8(flags).u16(0x3000).bytes(module.build()).take();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: make_seeds FOLDER\n");
    return 2;
  }
  const std::filesystem::path folder = argv[1];
  bool written = true;
  for (const auto& [name, bytes] : residue::testing::seed_cores()) {
    written = write(folder / "fuzz_elf_core" / name, bytes) && written;
  }
  const auto symbols = folder / "fuzz_elf_symbols";
  written = write(symbols / "file", symbols_input(1, ModuleBuilder::Hash::kGnu)) && written;
  written = write(symbols / "debug", symbols_input(4, ModuleBuilder::Hash::kGnu)) && written;
  written = write(symbols / "gnu_hash", symbols_input(2, ModuleBuilder::Hash::kGnu)) && written;
  written = write(symbols / "sysv_hash", symbols_input(2, ModuleBuilder::Hash::kSysv)) && written;
  for (const auto& [name, text] : residue::test::fuzz_dwarf_seeds()) {
    const auto bytes = std::as_bytes(std::span<const char>(text));
    written = write(folder / "fuzz_dwarf" / name, {bytes.begin(), bytes.end()}) && written;
  }
  return written ? 0 : 1;
}
