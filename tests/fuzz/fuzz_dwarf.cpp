// Any bytes as the DWARF of a module: look-ups, tail calls, names, types and location lists.
//
// An input names its sections, see tests/symbolize/dwarf_samples.h. The file serves as its own
// split unit and as its own common file of dwz, so that every reference has somewhere to lead.
#include <cstdio>
#include <cstdlib>

#include "symbolize/dwarf/debug_info.h"
#include "symbolize/dwarf/entry_cursor.h"
#include "symbolize/dwarf/location_lists.h"
#include "symbolize/dwarf/module_dwarf.h"
#include "symbolize/dwarf/names.h"
#include "tests/symbolize/dwarf_samples.h"

namespace residue {
namespace {

constexpr size_t kMaxInput = size_t{16} * 1024;
// Entries that are asked for their names, which costs a walk each.
constexpr int kMaxEntries = 64;

std::unique_ptr<SymbolFile> file_of(std::span<const std::byte> input) {
  test::Shape shape;
  const auto flags = std::to_integer<unsigned>(input[0]);
  shape.big_endian = (flags & test::kBigEndian) != 0;
  shape.address_size = (flags & test::kNarrow) != 0 ? 4 : 8;
  test::Sections sections;
  ByteCursor cursor(input.subspan(1), ByteOrder::kLittle);
  while (cursor.remaining() >= 3) {
    const uint8_t index = cursor.read<uint8_t>().value_or(0);
    const uint16_t length = cursor.read<uint16_t>().value_or(0);
    const auto bytes = cursor.take(std::min<size_t>(length, cursor.remaining()));
    const char* name = test::kFuzzSections[index % test::kFuzzSections.size()];
    sections[name].assign(static_cast<const char*>(static_cast<const void*>(bytes->data())),
                          bytes->size());
  }
  return test::make_elf(shape, sections);
}

void look_up(const SymbolFile& file, std::span<const uint64_t> addresses) {
  DebugInfo info(file, &file,
                 [&](const std::string&, const std::string&, uint64_t) { return &file; });
  const auto found = info.look_up(addresses);
  std::vector<CallPair> pairs;
  for (const uint64_t address : addresses) pairs.push_back({address, 0x1800});
  const auto calls = info.tail_calls(pairs, [](const std::string&) { return 0x1800; });
  bool lawful = found.size() == addresses.size() && calls.size() == pairs.size();
  for (const SourceFrames& frames : found) {
    // Inner frames are inlined into what follows; the last one is not.
    for (const SourceFrame& frame : frames) {
      lawful = lawful && frame.inlined == (&frame != &frames.back());
      lawful = lawful && frame.directory <= frame.file.size();
    }
  }
  // Asked one by one, the answers are the same.
  const auto again = info.look_up(addresses.first(1));
  lawful = lawful && again.size() == 1 && again[0].size() == found[0].size();
  if (lawful) return;
  std::fprintf(stderr, "broken law: what a look-up gives\n");
  std::abort();
}

void read_everything(const SymbolFile& file) {
  using namespace dwarf;
  ModuleDwarf module(file, &file,
                     [&](const std::string&, const std::string&, uint64_t) { return &file; });
  Names names(module);
  int left = kMaxEntries;
  for (const UnitHeader& header : module.main().units()) {
    const Unit* unit = module.main().unit(header);
    if (unit == nullptr) continue;
    if (const Unit* full = module.full(*unit)) unit = full;
    EntryCursor walk(*unit, unit->root_entry());
    Entry entry;
    while (walk.next(entry) && --left > 0) {
      (void)names.qualified({unit, entry});
      (void)names.type({unit, entry});
      unit->for_each_attribute(entry, [&](uint16_t, const Value& value) {
        (void)location_at(*unit, value, 0x1010);
        return true;
      });
    }
  }
}

}  // namespace
}  // namespace residue

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 4 || size > residue::kMaxInput) return 0;
  const auto file = residue::file_of(std::as_bytes(std::span(data, size)));
  if (file == nullptr) return 0;
  const uint64_t addresses[] = {0x1035, 0x1000, 0x10ff, 0x1041, 0x1805, 0x2000, 0};
  residue::look_up(*file, addresses);
  residue::read_everything(*file);
  return 0;
}
