#include "formats/elf/module_headers.h"

#include <algorithm>

#include "formats/elf/elf_layout.h"

namespace residue::elf {
namespace {

// Program headers lie in the first page as a rule; this bounds what a damaged header can ask for.
constexpr uint64_t kHeaderBytes = 65536;
// Notes are a few hundred bytes; a damaged header may claim that all of memory is one.
constexpr uint64_t kNoteBytes = 65536;
constexpr uint64_t kMaxDynamicEntries = 4096;

uint64_t page_down(uint64_t a, uint64_t page) { return a & ~(page - 1); }
uint64_t page_up(uint64_t a, uint64_t page) { return (a + page - 1) & ~(page - 1); }

// Extent and bias. The segment that maps the start of the file says where address 0 would be.
Result<void> place(const std::vector<ProgramHeader>& headers, const Image& image, Address start,
                   Module* module) {
  const uint64_t page = image.page_size;
  uint64_t low = ~uint64_t{0};
  uint64_t high = 0;
  std::optional<uint64_t> bias;
  for (const ProgramHeader& h : headers) {
    if (h.type != kSegmentLoad || h.memory_size > ~uint64_t{0} - page - h.vaddr) continue;
    low = std::min(low, page_down(h.vaddr, page));
    high = std::max(high, page_up(h.vaddr + h.memory_size, page));
    if (page_down(h.offset, page) == 0 && !bias) bias = start.value() - page_down(h.vaddr, page);
  }
  if (!bias || high <= low) return Error{ErrorCode::kCorrupt, "no loadable segments", {}};
  if (high - low > ~uint64_t{0} - (low + *bias)) {
    return Error{ErrorCode::kCorrupt, "segments beyond the end of the address space", {}};
  }
  module->bias = *bias;
  module->range = {Address(low + *bias), ByteCount(high - low)};
  return {};
}

void add_segment(const Image& image, const Header& header, const ProgramHeader& h, Module* module) {
  const AddressRange range{Address(h.vaddr + module->bias), ByteCount(h.memory_size)};
  switch (h.type) {
    case kSegmentDynamic:
      module->dynamic = range;
      break;
    case kSegmentTls:
      module->tls_image = range;
      break;
    case kSegmentGnuEhFrame:
      module->unwind_index = range;
      break;
    case kSegmentArmExidx:
      if (image.architecture == Architecture::kArm) module->exception_index = range;
      break;
    case kSegmentNote:
      if (module->build_id.empty()) {
        const auto size = std::min(h.memory_size, kNoteBytes);
        module->build_id = find_build_id(image.view(range.base, size), header.order);
      }
      break;
    case kSegmentLoad:
      module->segments.push_back(
          {range,
           {(h.flags & kFlagRead) != 0, (h.flags & kFlagWrite) != 0, (h.flags & kFlagExecute) != 0},
           h.offset,
           h.file_size});
      break;
    default:
      break;
  }
}

// Whether a dynamic section can be what lies there: it names its string table before it ends. What
// is not in the dump cannot be judged.
bool may_be_dynamic(const Image& image, AddressRange range) {
  const uint64_t word = image.pointer_width;
  const uint64_t count = std::min(range.size.value() / (2 * word), kMaxDynamicEntries);
  for (uint64_t i = 0; i < count; ++i) {
    const auto tag = image.word(range.base + ByteCount(i * 2 * word));
    if (!tag) return true;
    if (*tag == kDynNull) return false;
    if (*tag == kDynStrtab) return true;
  }
  return false;
}

}  // namespace

Result<Module> guess_module(const Image& image, Address start) {
  RESIDUE_ASSIGN(Module module, parse_module(image, start));
  const auto header = read_header(image.view(start, kHeaderBytes));
  const bool moved = header && header->type == kTypeExecutable && module.bias != 0;
  if (moved || (module.dynamic && !may_be_dynamic(image, *module.dynamic))) {
    return Error{ErrorCode::kCorrupt, "a copy of a module's header", {}};
  }
  return module;
}

Result<Module> parse_module(const Image& image, Address start) {
  const auto bytes = image.view(start, kHeaderBytes);
  RESIDUE_ASSIGN(const Header header, read_header(bytes));
  if (header.type != kTypeExecutable && header.type != kTypeShared) {
    return Error{ErrorCode::kUnsupported, "ELF type " + std::to_string(header.type), {}};
  }
  if (header.order != image.order || header.word() != image.pointer_width) {
    return Error{ErrorCode::kUnsupported, "another width or byte order than the process", {}};
  }
  RESIDUE_ASSIGN(const ProgramHeaders headers, read_program_headers(bytes, header));
  Module module;
  RESIDUE_TRY(place(headers.items, image, start, &module));
  for (const ProgramHeader& h : headers.items) add_segment(image, header, h, &module);
  return module;
}

}  // namespace residue::elf
