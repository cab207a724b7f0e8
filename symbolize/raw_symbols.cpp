#include "symbolize/raw_symbols.h"

#include <algorithm>
#include <optional>

#include "formats/elf/elf_layout.h"

namespace residue {
namespace {

using namespace elf;

// Bounds what a damaged dynamic section can ask for.
constexpr uint64_t kMaxDynamicEntries = 4096;
constexpr uint64_t kMaxSymbols = 1 << 24;

// What the dynamic section says of the symbol table.
struct Dynamic {
  uint64_t symbols = 0;
  uint64_t strings = 0;
  uint64_t strings_size = 0;
  uint64_t hash = 0;
  uint64_t gnu_hash = 0;
  uint64_t mips_count = 0;
};

// glibc stores relocated addresses in the dynamic section of most modules, but not in the vdso's
// and in read-only ones: a value below the module's base is still relative.
uint64_t absolute(const Module& module, uint64_t value) {
  return module.range.contains(Address(value)) ? value : value + module.bias;
}

Dynamic read_dynamic(const Image& image, const Module& module) {
  Dynamic d;
  const uint64_t width = image.pointer_width;
  for (uint64_t i = 0; i < kMaxDynamicEntries; ++i) {
    const Address at = module.dynamic->base + ByteCount(i * 2 * width);
    const uint64_t tag = image.word(at).value_or(kDynNull);
    const uint64_t value = image.word(at + ByteCount(width)).value_or(0);
    if (tag == kDynNull) break;
    if (tag == kDynSymtab) d.symbols = absolute(module, value);
    if (tag == kDynStrtab) d.strings = absolute(module, value);
    if (tag == kDynStrsz) d.strings_size = value;
    if (tag == kDynHash) d.hash = absolute(module, value);
    if (tag == kDynGnuHash) d.gnu_hash = absolute(module, value);
    if (tag == kDynMipsSymbolCount) d.mips_count = value;
  }
  return d;
}

// The end of the last chain: glibc's _dl_setup_hash reads the same words.
uint64_t count_by_gnu_hash(const Image& image, uint64_t table) {
  const uint64_t buckets = image.value<uint32_t>(Address(table)).value_or(0);
  const uint64_t first = image.value<uint32_t>(Address(table + 4)).value_or(0);
  const uint64_t bloom = image.value<uint32_t>(Address(table + 8)).value_or(0);
  const uint64_t bucket_at = table + 16 + bloom * image.pointer_width;
  const uint64_t chain_at = bucket_at + buckets * 4;
  uint64_t last = 0;
  for (uint64_t i = 0; i < std::min(buckets, kMaxSymbols); ++i) {
    const auto bucket = image.value<uint32_t>(Address(bucket_at + i * 4));
    if (!bucket) return 0;
    last = std::max<uint64_t>(last, *bucket);
  }
  if (last < first) return first;
  while (last - first < kMaxSymbols) {
    const auto link = image.value<uint32_t>(Address(chain_at + (last - first) * 4));
    if (!link) return 0;
    ++last;
    if ((*link & 1) != 0) return last;
  }
  return 0;
}

// The number of dynamic symbols stands nowhere but in the hash tables. DT_HASH has it as nchain.
uint64_t dynamic_symbol_count(const Image& image, const Dynamic& d) {
  if (d.hash != 0) {
    if (image.architecture == Architecture::kS390x) {
      return image.value<uint64_t>(Address(d.hash + 8)).value_or(0);
    }
    return image.value<uint32_t>(Address(d.hash + 4)).value_or(0);
  }
  if (d.mips_count != 0) return d.mips_count;
  return d.gnu_hash != 0 ? count_by_gnu_hash(image, d.gnu_hash) : 0;
}

uint16_t machine_of(Architecture architecture) {
  switch (architecture) {
    case Architecture::kArm:
      return kSymMachineArm;
    case Architecture::kAArch64:
      return kSymMachineAArch64;
    case Architecture::kRiscv32:
    case Architecture::kRiscv64:
      return kSymMachineRiscv;
    case Architecture::kPpc64:
      return kSymMachinePpc64;
    case Architecture::kMips:
    case Architecture::kMips64:
      return kSymMachineMips;
    default:
      return 0;
  }
}

}  // namespace

RawSymbol RawSymbols::at(size_t index) const {
  const auto raw = symbols.subspan(index * entry_bytes(), entry_bytes());
  RawSymbol s;
  s.name = load<uint32_t>(raw, order);
  // The two classes have the same fields in another order.
  const size_t info = is_64 ? 4 : 12;
  s.type = std::to_integer<uint8_t>(raw[info]) & 0xf;
  s.bind = static_cast<uint8_t>(std::to_integer<unsigned>(raw[info]) >> 4);
  s.section = load<uint16_t>(raw.subspan(info + 2), order);
  if (is_64) {
    s.value = load<uint64_t>(raw.subspan(8), order);
    s.size = load<uint64_t>(raw.subspan(16), order);
  } else {
    s.value = load<uint32_t>(raw.subspan(4), order);
    s.size = load<uint32_t>(raw.subspan(8), order);
  }
  return s;
}

std::string_view RawSymbols::name_at(uint32_t offset) const {
  if (offset == 0 || offset >= strings.size()) return {};
  const auto rest = strings.subspan(offset);
  const auto* nul = std::memchr(rest.data(), 0, rest.size());
  if (nul == nullptr) return {};
  const std::string_view name(
      static_cast<const char*>(static_cast<const void*>(rest.data())),
      static_cast<size_t>(static_cast<const std::byte*>(nul) - rest.data()));
  const size_t at = name.find('@', 1);
  return at == std::string_view::npos ? name : name.substr(0, at);
}

RawSymbols symbols_of_file(const SymbolFile& file, uint32_t type) {
  const auto& sections = file.sections();
  for (size_t i = 0; i < sections.size(); ++i) {
    const SectionHeader& header = sections[i].header;
    if (header.type != type || header.link >= sections.size()) continue;
    RawSymbols raw;
    raw.symbols = file.section_bytes(i);
    raw.strings = file.section_bytes(header.link);
    raw.is_64 = file.header().is_64;
    raw.order = file.order();
    raw.machine = file.header().machine;
    if (raw.count() > 0 && !raw.strings.empty()) return raw;
  }
  return {};
}

RawSymbols symbols_in_dump(const Image& image, const Module& module) {
  if (!module.dynamic) return {};
  const Dynamic d = read_dynamic(image, module);
  RawSymbols raw;
  raw.is_64 = image.pointer_width == 8;
  raw.order = image.order;
  raw.machine = machine_of(image.architecture);
  const uint64_t count = std::min(dynamic_symbol_count(image, d), kMaxSymbols);
  raw.symbols = image.view(Address(d.symbols), count * raw.entry_bytes());
  raw.strings = image.view(Address(d.strings), d.strings_size);
  return raw;
}

}  // namespace residue
