// Any bytes as the file of a module, or as its pages in a dump: symbol tables and build-ids.
//
// The first bytes choose: bit 0 of the first, whether there is a file; bit 1, whether there are
// pages; bit 2, whether there is a debug file; the next two, where in the pages the dynamic section
// lies.
#include <cstdio>
#include <cstdlib>

#include "formats/elf/elf_file.h"
#include "formats/image.h"
#include "symbolize/data_symbols.h"

namespace residue {
namespace {

constexpr size_t kMaxInput = size_t{64} * 1024;
constexpr uint64_t kBase = 0x7f0000000000;

Image image_of(std::span<const std::byte> input) {
  const auto flags = std::to_integer<unsigned>(input[0]);
  const uint64_t dynamic = load<uint16_t>(input.subspan(1));
  const auto bytes = input.subspan(3);
  Image image;
  Module module;
  module.path = "/lib/fuzzed.so";
  module.range = {Address(kBase), ByteCount(0x20000)};
  module.bias = kBase;
  module.dynamic = AddressRange{Address(kBase + dynamic), ByteCount(0x200)};
  if ((flags & 1) != 0) module.file = bytes;
  if ((flags & 4) != 0) module.debug_file = bytes;
  image.modules.push_back(std::move(module));
  Region region;
  region.range = {Address(kBase), ByteCount(bytes.size())};
  region.module = ModuleId(0);
  region.kind = RegionKind::kModuleData;
  if ((flags & 2) != 0) {
    region.backing = Backing::kDump;
    region.bytes = bytes;
  }
  image.regions.push_back(std::move(region));
  return image;
}

void check(std::span<const std::byte> input) {
  (void)elf::file_build_id(input.subspan(3));
  const Image image = image_of(input);
  DataSymbols symbols(image);
  (void)symbols.level(ModuleId(0));
  for (uint64_t at = 0; at < 0x8000; at += 0x40) {
    const auto found = symbols.find(Address(kBase + at));
    if (!found) continue;
    const AddressRange range{Address(found->address), ByteCount(found->size)};
    if (!range.contains(Address(kBase + at)) || found->name.empty()) {
      std::fprintf(stderr, "broken law: a symbol holds the address it was found for\n");
      std::abort();
    }
  }
}

}  // namespace
}  // namespace residue

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 4 || size > residue::kMaxInput) return 0;
  residue::check(std::as_bytes(std::span(data, size)));
  return 0;
}
