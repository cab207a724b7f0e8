// Writes the seeds of the fuzz targets: make_seeds FOLDER makes FOLDER/<target>/<seed>.
//
// They come from the builders of the tests, so that they never go stale and no binary is kept in
// the tree.
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/fuzz/block_seeds.h"
#include "tests/support/bytes.h"
#include "tests/support/module_builder.h"
#include "tests/support/packers.h"
#include "tests/support/seed_cores.h"
#include "tests/symbolize/dwarf_samples.h"
#include "tests/symbolize/unwind/cfi_builder.h"

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

bool write_text(const std::filesystem::path& path, std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text));
  return write(path, {bytes.begin(), bytes.end()});
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

void put_section(ByteWriter* out, uint32_t name, uint32_t type, uint64_t flags, uint64_t offset,
                 uint64_t size) {
  out->u32(name).u32(type).u64(flags).u64(0).u64(offset).u64(size);
  out->u32(0).u32(0).u64(1).u64(0);
}

// A debug file: a compressed section (RFC 1950 and 1951, one stored block), an old .zdebug_ one,
// and the links to other files. Written from the gABI.
std::vector<std::byte> debug_file_input(uint8_t flags) {
  const auto zlib = ByteWriter()
                        .u8(0x78)
                        .u8(1)
                        .u8(1)
                        .u16(4)
                        .u16(0xfffb)
                        .text("abcd")
                        .u8(0x03)
                        .u8(0xd8)
                        .u8(0x01)
                        .u8(0x8b)
                        .take();
  const auto info = ByteWriter().u32(1).u32(0).u64(4).u64(1).bytes(zlib).take();
  const auto old = ByteWriter().text("ZLIB").zeros(7).u8(4).bytes(zlib).take();
  const auto link = ByteWriter().c_string("x.debug").u32(0x12345678).take();
  const auto alternate = ByteWriter().c_string("../common").text("0123456789abcdefghij").take();
  const std::string_view names(
      "\0.debug_info\0.zdebug_str\0.gnu_debuglink\0.gnu_debugaltlink\0"
      ".shstrtab\0",
      68);
  ByteWriter out;
  out.u8(flags).u16(0x3000);
  const size_t start = out.size();
  out.u32(0x464c457f).u8(2).u8(1).u8(1).zeros(9).u16(3).u16(62).u32(1).u64(0).u64(0);
  const uint64_t info_at = 64, old_at = info_at + info.size(), link_at = old_at + old.size();
  const uint64_t alternate_at = link_at + link.size();
  const uint64_t names_at = alternate_at + alternate.size();
  const uint64_t headers = names_at + names.size();
  out.u64(headers).u32(0).u16(64).u16(56).u16(0).u16(64).u16(6).u16(5);
  out.pad_to(start + info_at).bytes(info).bytes(old).bytes(link).bytes(alternate).text(names);
  put_section(&out, 0, 0, 0, 0, 0);
  put_section(&out, 1, 1, 0x800, info_at, info.size());
  put_section(&out, 13, 1, 0, old_at, old.size());
  put_section(&out, 25, 1, 0, link_at, link.size());
  put_section(&out, 40, 1, 0, alternate_at, alternate.size());
  put_section(&out, 58, 3, 0, names_at, names.size());
  return out.take();
}

// Expressions as compilers and linkers write them, behind the two bytes of fuzz_expression.cpp.
bool write_expressions(const std::filesystem::path& folder) {
  const std::pair<const char*, std::vector<uint8_t>> seeds[] = {
      {"plt", {0x43, 0, 0x77, 8, 0x80, 0, 0x3f, 0x1a, 0x3b, 0x2a, 0x33, 0x24, 0x22}},
      {"pieces", {0x03, 0, 0x53, 0x93, 8, 0x93, 4, 0x91, 0x70, 0x93, 4, 0x31, 0x9f, 0x93, 1}},
      {"typed", {0x32, 0, 0xa5, 17, 89, 0xa8, 72, 0xa4, 72, 4, 0, 0, 0x80, 0x3f, 0x1e, 0x9f}},
      {"call", {0x02, 3, 0x31, 0x22, 0x12, 0x38, 0x98, 1, 0, 0x9a, 1, 0, 0, 0, 0x94, 2}},
      {"loop", {0x07, 0, 0x3a, 0x31, 0x1c, 0x12, 0x28, 0xff, 0xfa}},
      {"entry_value", {0x03, 0, 0xa3, 1, 0x55, 0x23, 8, 0xa0, 1, 2, 3, 4, 5}},
  };
  bool written = true;
  for (const auto& [name, bytes] : seeds) {
    const auto view = std::as_bytes(std::span(bytes));
    written = write(folder / name, {view.begin(), view.end()}) && written;
  }
  return written;
}

// The eight bytes that fuzz_cfi.cpp takes off the front, then a process at 0x10000: code in which
// each function returns to the next one, .eh_frame_hdr, .eh_frame, a stack.
std::vector<std::byte> cfi_input(uint8_t architecture, const std::vector<uint8_t>& instructions) {
  using residue::testing::operator+;
  constexpr uint64_t kBase = 0x10000, kHeader = kBase + 0x100, kFrame = kBase + 0x140;
  constexpr uint16_t kStackOffset = 0x200;
  residue::testing::CfiBuilder builder(kFrame);
  const uint64_t cie = builder.cie();
  std::vector<std::pair<uint64_t, uint64_t>> pairs;
  for (uint64_t n = 0; n < 3; ++n) {
    pairs.emplace_back(kBase + 0x40 * n, builder.fde(cie, kBase + 0x40 * n, 0x40, instructions));
  }
  ByteWriter writer;
  writer.u8(architecture).u8(4).u16(0x100).u16(kStackOffset).u16(0x10);
  writer.pad_to(8 + 0x100).bytes(
      residue::testing::to_bytes(residue::testing::search_table(kHeader, kFrame, pairs)));
  writer.pad_to(8 + 0x140).bytes(residue::testing::to_bytes(builder.bytes()));
  writer.pad_to(8 + kStackOffset);
  for (uint64_t n = 0; n < 16; ++n) writer.u64(kBase + 0x40 * (n % 3) + 0x10);
  return writer.take();
}

bool write_cfi(const std::filesystem::path& folder) {
  const std::pair<const char*, std::vector<uint8_t>> seeds[] = {
      {"push", {0x41, 0x0e, 16, 0x86, 2, 0x43, 0x0d, 6}},
      {"plt", {0x0f, 11, 0x77, 8, 0x80, 0, 0x3f, 0x1a, 0x3b, 0x2a, 0x33, 0x24, 0x22}},
      {"states", {0x0a, 0x0e, 24, 0x90, 3, 0x42, 0x0b, 0x0e, 16}},
      {"values", {0x14, 3, 2, 0x15, 12, 0x7e, 0x09, 13, 3, 0x07, 14, 0x08, 15, 0x16, 5, 1, 0x30}},
      {"outermost", {0x07, 16}}};
  bool written = true;
  for (uint8_t architecture = 0; architecture < 3; ++architecture) {
    for (const auto& [name, instructions] : seeds) {
      const std::string file = name + std::to_string(architecture);
      written = write(folder / file, cfi_input(architecture, instructions)) && written;
    }
  }
  // ARM: functions that pop a word and the link register, in place and by a table.
  const auto arm = [&](uint32_t first, uint32_t second) {
    ByteWriter writer;
    writer.u8(3).u8(1).u16(0x100).u16(0x200).u16(0x10);
    writer.pad_to(8 + 0x100).u32(0x7fffff00).u32(first).u32(0x7fffff38).u32(0x00000034);
    writer.pad_to(8 + 0x140).u32(second).u32(0xb0b0b0b0);
    writer.pad_to(8 + 0x200);
    for (uint32_t n = 0; n < 32; ++n) writer.u32(0x10000 + 0x40 * (n % 2) + 0x10);
    return writer.take();
  };
  written = write(folder / "arm_inline", arm(0x80a8b0b0, 0x8101b108)) && written;
  return write(folder / "arm_table", arm(0x808406b0, 0x81018400)) && written;
}

// Each kind of compression: whole, in three frames, and a few bytes only.
bool write_packed(const std::filesystem::path& folder) {
  const auto core = residue::testing::heap_core();
  bool written = true;
  for (const residue::testing::Packer& packer : residue::testing::packers()) {
    const std::string name = packer.name;
    const std::vector<std::byte> few = residue::testing::pattern(40, 1);
    written = write(folder / name, packer.pack(core)) && written;
    written = write(folder / (name + "_few"), packer.pack(few)) && written;
    written = write(folder / (name + "_frames"),
                    residue::testing::pack_in_frames(packer, few, 3,
                                                     residue::testing::skippable_frame(5))) &&
              written;
  }
  return written;
}

// A heap of 60 chunks, every fifth of them free, up to top; and one with an impossible header.
bool write_heap(const std::filesystem::path& folder) {
  bool written = true;
  for (const bool damaged : {false, true}) {
    ByteWriter writer;
    writer.u8(0).u8(0).u16(300);  // top is 300 granules behind the first chunk
    for (unsigned i = 0; i < 60; ++i) {
      const bool free_before = i % 5 == 1;
      writer.u64(free_before ? 80 : 0);
      writer.u64(damaged && i == 30 ? 0x4141414141414141 : 80U | (free_before ? 0U : 1U));
      for (unsigned word = 0; word < 8; ++word) writer.u64(word);
    }
    writer.u64(0).u64(0x1001);
    for (unsigned word = 0; word < 510; ++word) writer.u64(0);
    written = write(folder / (damaged ? "damaged" : "sound"), writer.take()) && written;
  }
  return written;
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
  written = write_heap(folder / "fuzz_glibc_walk") && written;
  const auto symbols = folder / "fuzz_elf_symbols";
  written = write(symbols / "file", symbols_input(1, ModuleBuilder::Hash::kGnu)) && written;
  written = write(symbols / "debug", debug_file_input(1)) && written;
  written = write(symbols / "one_segment", symbols_input(18, ModuleBuilder::Hash::kGnu)) && written;
  written = write(symbols / "gnu_hash", symbols_input(2, ModuleBuilder::Hash::kGnu)) && written;
  written = write_text(folder / "fuzz_suppressions" / "lsan",
                       "^foo*bar$\na foo and a bar\n# known\nleak:*libfoo.so$\nrace:x\n") &&
            write_text(folder / "fuzz_suppressions" / "ours",
                       "leak-type:^app::*\napp::Session\nleak-module:server\nleak-owner:cache\n"
                       "leak-site:make_*\nleak-size:16-64\nleak-size:4096-\n") &&
            written;
  written = write(symbols / "sysv_hash", symbols_input(2, ModuleBuilder::Hash::kSysv)) && written;
  written = write_expressions(folder / "fuzz_expression") && written;
  written = write_cfi(folder / "fuzz_cfi") && written;
  written = write_packed(folder / "fuzz_unpack") && written;
  for (const auto& [target, name, bytes] : residue::testing::block_seeds()) {
    written = write(folder / target / name, bytes) && written;
  }
  for (const auto& [name, text] : residue::test::fuzz_dwarf_seeds()) {
    const auto bytes = std::as_bytes(std::span<const char>(text));
    for (const char* target : {"fuzz_dwarf", "fuzz_variables"}) {
      written = write(folder / target / name, {bytes.begin(), bytes.end()}) && written;
    }
  }
  return written ? 0 : 1;
}
