#include "formats/elf/link_map.h"

#include <algorithm>
#include <unordered_set>

#include "formats/elf/elf_file.h"
#include "formats/elf/elf_layout.h"

namespace residue::elf {
namespace {

constexpr uint64_t kMaxProgramHeaders = 1024, kMaxDynamicEntries = 4096;
constexpr size_t kMaxObjects = 65536;
// Names that damage has made overlap must not add up to more than the file.
constexpr uint64_t kMaxPath = 4096, kMaxPathBytes = 16 << 20;

struct DynamicSection {
  Address address;
  uint64_t size = 0;
};

uint64_t aux(const std::map<uint64_t, uint64_t>& auxv, uint64_t type) {
  const auto entry = auxv.find(type);
  return entry == auxv.end() ? 0 : entry->second;
}

// The program's own dynamic section, from its program headers in memory: PT_PHDR says by how much
// the program was moved (a program without one, which is not position-independent, not at all).
std::optional<DynamicSection> program_dynamic(const Image& image,
                                              const std::map<uint64_t, uint64_t>& auxv) {
  const uint64_t at = aux(auxv, kAuxPhdr);
  const uint64_t count = std::min(aux(auxv, kAuxPhnum), kMaxProgramHeaders);
  if (at == 0 || count == 0) return std::nullopt;
  Header header;
  header.is_64 = image.pointer_width == 8;
  header.order = image.order;
  header.program_header_size =
      static_cast<uint16_t>(header.is_64 ? kProgramHeaderSize64 : kProgramHeaderSize32);
  header.program_header_count = static_cast<uint32_t>(count);
  const auto bytes = image.view(Address(at), count * header.program_header_size);
  const auto headers = read_program_headers(bytes, header);
  if (!headers) return std::nullopt;
  uint64_t bias = 0;
  std::optional<DynamicSection> dynamic;
  for (const ProgramHeader& h : headers->items) {
    if (h.type == kSegmentPhdr) bias = at - h.vaddr;
    if (h.type == kSegmentDynamic) dynamic = DynamicSection{Address(h.vaddr), h.memory_size};
  }
  if (dynamic) dynamic->address = dynamic->address + ByteCount(bias);
  return dynamic;
}

// The address of r_debug, 0 if it is not known.
uint64_t find_r_debug(const Image& image, const DynamicSection& dynamic) {
  const uint64_t word = image.pointer_width;
  const bool is_mips =
      image.architecture == Architecture::kMips || image.architecture == Architecture::kMips64;
  const uint64_t count = std::min(dynamic.size / (2 * word), kMaxDynamicEntries);
  for (uint64_t i = 0; i < count; ++i) {
    const Address entry = dynamic.address + ByteCount(i * 2 * word);
    const auto tag = image.word(entry);
    const auto value = image.word(entry + ByteCount(word));
    if (!tag || !value || *tag == kDynNull) break;
    if (*tag == kDynDebug && *value != 0) return *value;
    if (!is_mips) continue;
    if (*tag == kDynMipsRldMap) return image.word(Address(*value)).value_or(0);
    if (*tag == kDynMipsRldMapRel) {
      const uint64_t place = entry.value() + *value;
      return image.word(Address(word == 4 ? place & 0xffffffff : place)).value_or(0);
    }
  }
  return 0;
}

}  // namespace

std::vector<LoadedObject> read_link_map(const Image& image,
                                        const std::map<uint64_t, uint64_t>& auxv) {
  std::vector<LoadedObject> objects;
  const auto dynamic = program_dynamic(image, auxv);
  if (!dynamic) return objects;
  const uint64_t word = image.pointer_width;
  const uint64_t r_debug = find_r_debug(image, *dynamic);
  if (r_debug == 0) return objects;
  // r_debug: r_version (int), r_map; link_map: l_addr, l_name, l_ld, l_next.
  uint64_t at = image.word(Address(r_debug + word)).value_or(0);
  uint64_t path_bytes = 0;
  std::unordered_set<uint64_t> seen;
  while (at != 0 && objects.size() < kMaxObjects && seen.insert(at).second) {
    const auto field = [&](uint64_t i) { return image.word(Address(at + i * word)); };
    const auto bias = field(0), name = field(1), section = field(2), next = field(3);
    if (!bias || !name || !section || !next) break;
    LoadedObject object{Address(at), *bias, Address(*section), {}};
    if (const auto path = image.c_string(Address(*name), kMaxPath)) object.path = *path;
    path_bytes += object.path.size();
    if (path_bytes > kMaxPathBytes) break;
    objects.push_back(std::move(object));
    at = *next;
  }
  return objects;
}

}  // namespace residue::elf
