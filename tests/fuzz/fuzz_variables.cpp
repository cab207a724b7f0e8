// Any bytes as the DWARF of a module: its variables by address, and the locals of frames.
//
// An input is a byte of flags (1: big endian, 2: 32-bit ELF) and then sections: an index of
// kSections, a length in two bytes, little endian, and the contents. The file serves as its own
// split unit and as its own common file of dwz.
#include <array>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>

#include "symbolize/dwarf/variables.h"
#include "symbolize/symbol_file.h"
#include "tests/symbolize/dwarf_builder.h"

namespace residue {
namespace {

constexpr size_t kMaxInput = size_t{16} * 1024;
constexpr std::array<const char*, 18> kSections = {
    ".debug_info",     ".debug_abbrev",     ".debug_line",    ".debug_str",
    ".debug_ranges",   ".debug_rnglists",   ".debug_loc",     ".debug_loclists",
    ".debug_addr",     ".debug_aranges",    ".debug_types",   ".debug_str_offsets",
    ".debug_info.dwo", ".debug_abbrev.dwo", ".debug_loc.dwo", ".debug_rnglists.dwo",
    ".debug_cu_index", ".debug_tu_index",
};
constexpr unsigned kBigEndian = 1;
constexpr unsigned kNarrow = 2;

std::unique_ptr<SymbolFile> file_of(std::span<const std::byte> input) {
  test::Shape shape;
  const auto flags = std::to_integer<unsigned>(input[0]);
  shape.big_endian = (flags & kBigEndian) != 0;
  shape.address_size = (flags & kNarrow) != 0 ? 4 : 8;
  std::map<std::string, std::string> sections;
  ByteCursor cursor(input.subspan(1), ByteOrder::kLittle);
  while (cursor.remaining() >= 3) {
    const uint8_t index = cursor.read<uint8_t>().value_or(0);
    const uint16_t length = cursor.read<uint16_t>().value_or(0);
    const auto bytes = cursor.take(std::min<size_t>(length, cursor.remaining()));
    const char* name = kSections[index % kSections.size()];
    sections[name].assign(static_cast<const char*>(static_cast<const void*>(bytes->data())),
                          bytes->size());
  }
  return test::make_elf(shape, sections);
}

// A frame whose callers are like it, without end.
class AnyFrame : public FrameContext {
 public:
  std::optional<uint64_t> reg(unsigned dwarf) const override {
    if (dwarf > 20) return std::nullopt;
    return 0x7fff0000 + 8 * dwarf;
  }
  bool read(uint64_t address, std::span<std::byte> out) const override {
    for (std::byte& byte : out) byte = static_cast<std::byte>(address++);
    return address % 5 != 0;
  }
  std::optional<uint64_t> cfa() const override { return 0x7fff1000; }
  uint64_t relocate(uint64_t address) const override { return address + 0x550000; }
  const FrameContext* caller() const override { return this; }
  uint64_t return_address() const override { return 0x1040; }
};

void law(bool holds, const char* text) {
  if (holds) return;
  std::fprintf(stderr, "broken law: %s\n", text);
  std::abort();
}

void check(const SymbolFile& file) {
  Variables variables(file, &file,
                      [&](const std::string&, const std::string&, uint64_t) { return &file; });
  const uint64_t addresses[] = {0x4000, 0x4007, 0x4fff, 0x1000, 0x5000, 0x10000, 0, ~uint64_t{0}};
  const auto found = variables.find(addresses);
  law(found.size() == std::size(addresses), "an answer for each address");
  for (size_t i = 0; i < found.size(); ++i) {
    if (!found[i]) continue;
    const uint64_t offset = addresses[i] - found[i]->address;
    law(offset == 0 || offset < found[i]->size, "a variable holds the address it was found for");
    law(found[i]->directory <= found[i]->file.size(), "a directory is part of its path");
    const auto again = variables.find(addresses[i]);
    law(again && again->name == found[i]->name && again->type == found[i]->type,
        "asked alone, the answer is the same");
  }
  (void)variables.find_thread_local(8);
  const AnyFrame frame;
  for (const uint64_t pc : {0x1035u, 0x1000u, 0x10ffu, 0x1041u, 0x1805u}) {
    for (const LocalVariable& local : variables.locals(pc, frame)) {
      law(!local.name.empty() && !local.pieces.empty(), "a local has a name and a place");
    }
  }
}

}  // namespace
}  // namespace residue

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 4 || size > residue::kMaxInput) return 0;
  const auto file = residue::file_of(std::as_bytes(std::span(data, size)));
  if (file != nullptr) residue::check(*file);
  return 0;
}
