#include "symbolize/debug_files_identity.h"

#include <zlib.h>

#include <algorithm>

#include "formats/base/text.h"
#include "formats/elf/elf_file.h"
#include "formats/elf/elf_layout.h"

namespace residue {
namespace {

using namespace elf;

// Enough for any header with its program headers (the kernel reads no more than 64 KiB of them).
constexpr uint64_t kHeaderBytes = 65536 + 64;

std::vector<ProgramHeader> loads_of(std::span<const std::byte> bytes, const Header& header) {
  const auto all = read_program_headers(bytes, header);
  std::vector<ProgramHeader> loads;
  if (!all) return loads;
  for (const ProgramHeader& h : all->items) {
    if (h.type == kSegmentLoad) loads.push_back(h);
  }
  return loads;
}

bool same_place(const ProgramHeader& a, const ProgramHeader& b) {
  return a.vaddr == b.vaddr && a.memory_size == b.memory_size && a.flags == b.flags;
}

// What strip and objcopy change in a header is where the sections are; all else must be equal.
std::optional<std::string> differs_from_pages(const SymbolFile& file,
                                              std::span<const std::byte> pages, bool is_debug) {
  const auto in_dump = read_header(pages);
  if (!in_dump) return std::nullopt;  // says nothing
  const Header& header = file.header();
  if (header.is_64 != in_dump->is_64 || header.order != in_dump->order ||
      header.machine != in_dump->machine || header.type != in_dump->type) {
    return "is for another kind of machine or of another type than the module in the dump";
  }
  const auto all = read_program_headers(pages, *in_dump);
  if (!all || all->missing > 0) return std::nullopt;
  const auto ours = loads_of(file.bytes(), header);
  const auto theirs = loads_of(pages, *in_dump);
  const bool same =
      std::equal(ours.begin(), ours.end(), theirs.begin(), theirs.end(),
                 [is_debug](const ProgramHeader& a, const ProgramHeader& b) {
                   return same_place(a, b) &&
                          (is_debug || (a.offset == b.offset && a.file_size == b.file_size));
                 });
  if (!same) return "its program headers are not those in the dump";
  return std::nullopt;
}

// Where the dump has no byte of a program, the extent of its mappings is all there is to compare.
// Only of one that was linked for its address does that say something.
std::optional<std::string> differs_by_extent(const std::vector<ProgramHeader>& loads,
                                             const Image& image, const Module& module) {
  if (!module.is_executable || module.bias != 0 || loads.empty()) {
    return "the dump has nothing of the module to compare it with";
  }
  const uint64_t page = image.page_size;
  const uint64_t first = loads.front().vaddr & ~(page - 1);
  uint64_t end = 0;
  for (const ProgramHeader& h : loads) end = std::max(end, h.vaddr + h.memory_size);
  // The heap may follow at once.
  if (first != module.range.base.value() || end > module.range.end().value()) {
    return "it is not linked for the program's addresses in the dump";
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::string> differs_by_build_id(const SymbolFile& file,
                                               const std::string& build_id) {
  if (file.build_id() == build_id) return std::nullopt;
  if (file.build_id().empty()) return "has no build-id, the module has " + build_id;
  return "has build-id " + file.build_id() + ", the module has " + build_id;
}

std::optional<std::string> differs_by_headers(const SymbolFile& file, const Image& image,
                                              const Module& module, bool is_debug) {
  const auto loads = loads_of(file.bytes(), file.header());
  if (module.segments.empty()) return differs_by_extent(loads, image, module);
  const bool same =
      std::equal(loads.begin(), loads.end(), module.segments.begin(), module.segments.end(),
                 [&](const ProgramHeader& a, const Segment& b) {
                   return a.vaddr + module.bias == b.range.base.value() &&
                          a.memory_size == b.range.size.value();
                 });
  if (!same) return "its loadable segments are not those of the module in the dump";
  for (const Segment& segment : module.segments) {
    if (segment.file_offset != 0) continue;
    const uint64_t extent = std::min(segment.range.size.value(), kHeaderBytes);
    if (auto reason = differs_from_pages(file, image.view(segment.range.base, extent), is_debug)) {
      return reason;
    }
  }
  return std::nullopt;
}

uint32_t crc_of(std::span<const std::byte> bytes) {
  constexpr size_t kPart = size_t{1} << 30;
  uLong crc = crc32(0, nullptr, 0);
  while (!bytes.empty()) {
    const auto part = bytes.first(std::min(bytes.size(), kPart));
    crc = crc32(crc, static_cast<const Bytef*>(static_cast<const void*>(part.data())),
                static_cast<uInt>(part.size()));
    bytes = bytes.subspan(part.size());
  }
  return static_cast<uint32_t>(crc);
}

}  // namespace residue
