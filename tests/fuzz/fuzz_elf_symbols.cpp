// Any bytes as the file of a module, or as its pages in a dump: sections, symbol tables, mini
// debugging information, links to other files, and the names found in them.
//
// The first bytes choose: bit 0 of the first, whether there is a file; bit 1, whether there are
// pages; bits 2 and 3, word size and byte order; bit 4, whether the whole is one segment; the next
// two, where in the pages the dynamic section lies.
#include <cstdio>
#include <cstdlib>

#include "formats/elf/elf_file.h"
#include "formats/image.h"
#include "symbolize/debug_files.h"
#include "symbolize/debug_files_paths.h"
#include "symbolize/demangle.h"
#include "symbolize/symbol_table.h"

namespace residue {
namespace {

constexpr size_t kMaxInput = size_t{64} * 1024;
constexpr uint64_t kBase = 0x7f000000;

[[noreturn]] void broken(const char* law) {
  std::fprintf(stderr, "broken law: %s\n", law);
  std::abort();
}

Image image_of(std::span<const std::byte> input) {
  const auto flags = std::to_integer<unsigned>(input[0]);
  const uint64_t dynamic = load<uint16_t>(input.subspan(1));
  const auto bytes = input.subspan(3);
  Image image;
  image.pointer_width = (flags & 4) != 0 ? 4 : 8;
  image.order = (flags & 8) != 0 ? ByteOrder::kBig : ByteOrder::kLittle;
  Module module;
  module.path = "/nonexistent/lib/fuzzed.so";
  module.range = {Address(kBase), ByteCount(0x20000)};
  module.bias = kBase;
  module.dynamic = AddressRange{Address(kBase + dynamic), ByteCount(0x200)};
  if ((flags & 16) != 0) module.segments.push_back({module.range, {true, false, true}, 0, 0x20000});
  if ((flags & 1) != 0) module.file = bytes;
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

void check_file(std::span<const std::byte> bytes) {
  (void)elf::file_build_id(bytes);
  const auto file = SymbolFile::of_bytes(bytes, "fuzzed");
  if (!file) return;
  for (const auto& section : (*file)->sections()) {
    const auto contents = (*file)->section(section.name);
    if (!contents.empty() && !(*file)->has(section.name)) {
      broken("a section with contents is there");
    }
    (void)(*file)->section_address(section.name);
    (*file)->release(section.name);
  }
  (void)read_debug_link(**file);
  (void)read_alternate_link(**file);
  (void)(*file)->problem();
}

void check(std::span<const std::byte> input) {
  check_file(input.subspan(3));
  const Image image = image_of(input);
  FileSearch nowhere;
  nowhere.sysroot = "/nonexistent";
  const DebugFiles files(image, nowhere);
  (void)files.findings(ModuleId(0));
  const SymbolTable symbols(files);
  (void)symbols.level(ModuleId(0));
  for (uint64_t at = 0; at < 0x8000; at += 0x40) {
    const Address a(kBase + at);
    if (const auto found = symbols.find_data(a)) {
      const AddressRange range{Address(found->address), ByteCount(found->size)};
      if (!range.contains(a) || found->name.empty()) broken("a variable holds its address");
    }
    if (const auto found = symbols.find_function(a)) {
      if (a.value() < found->address || a.value() - found->address >= found->size ||
          found->name.empty()) {
        broken("a function holds its address");
      }
      (void)function_name(std::string(found->name.substr(0, 256)));
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
