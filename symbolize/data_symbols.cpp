#include "symbolize/data_symbols.h"

#include <algorithm>

#include "formats/elf/elf_file.h"
#include "formats/elf/elf_layout.h"

namespace residue {
namespace {

using namespace elf;

// Bounds what a damaged dynamic section can ask for.
constexpr uint64_t kMaxDynamicEntries = 4096;
constexpr uint64_t kMaxSymbols = 1 << 24;

struct RawTable {
  std::span<const std::byte> symbols;
  std::span<const std::byte> strings;
};

std::string_view string_at(std::span<const std::byte> strings, uint64_t offset) {
  if (offset >= strings.size()) return {};
  const auto rest = strings.subspan(offset);
  const auto nul = std::find(rest.begin(), rest.end(), std::byte{0});
  if (nul == rest.end()) return {};
  return {static_cast<const char*>(static_cast<const void*>(rest.data())),
          static_cast<size_t>(nul - rest.begin())};
}

std::span<const std::byte> section_bytes(std::span<const std::byte> file,
                                         const SectionHeader& section) {
  if (section.type == kSectionNobits || section.offset > file.size()) return {};
  return file.subspan(section.offset,
                      std::min<uint64_t>(section.size, file.size() - section.offset));
}

// The table of the wanted section type with its string table, empty if the file has none.
RawTable table_of_file(std::span<const std::byte> file, uint32_t type) {
  const auto header = read_header(file);
  if (!header || !header->is_64) return {};
  const auto sections = read_section_headers(file, *header);
  for (const SectionHeader& section : sections) {
    if (section.type != type || section.link >= sections.size()) continue;
    const RawTable table{section_bytes(file, section), section_bytes(file, sections[section.link])};
    if (!table.symbols.empty() && !table.strings.empty()) return table;
  }
  return {};
}

// The number of dynamic symbols stands nowhere but in the hash tables. DT_HASH has it as nchain;
// for DT_GNU_HASH the end of the last chain must be found (glibc's _dl_setup_hash reads the same
// words).
uint64_t dynamic_symbol_count(const Image& image, uint64_t hash, uint64_t gnu_hash) {
  if (hash != 0) return image.value<uint32_t>(Address(hash + 4)).value_or(0);
  if (gnu_hash == 0) return 0;
  const uint64_t buckets = image.value<uint32_t>(Address(gnu_hash)).value_or(0);
  const uint64_t first = image.value<uint32_t>(Address(gnu_hash + 4)).value_or(0);
  const uint64_t bloom = image.value<uint32_t>(Address(gnu_hash + 8)).value_or(0);
  const uint64_t bucket_at = gnu_hash + 16 + bloom * 8;
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

// glibc stores relocated addresses in the dynamic section of most modules, but not in the vdso's
// and in read-only ones: a value below the module's base is still relative.
uint64_t absolute(const Module& module, uint64_t value) {
  return module.range.contains(Address(value)) ? value : value + module.bias;
}

RawTable table_in_dump(const Image& image, const Module& module) {
  if (!module.dynamic) return {};
  uint64_t symtab = 0;
  uint64_t strtab = 0;
  uint64_t strings = 0;
  uint64_t hash = 0;
  uint64_t gnu_hash = 0;
  for (uint64_t i = 0; i < kMaxDynamicEntries; ++i) {
    const Address at = module.dynamic->base + ByteCount(i * 16);
    const uint64_t tag = image.word(at).value_or(kDynNull);
    const uint64_t value = image.word(at + ByteCount(8)).value_or(0);
    if (tag == kDynNull) break;
    if (tag == kDynSymtab) symtab = absolute(module, value);
    if (tag == kDynStrtab) strtab = absolute(module, value);
    if (tag == kDynStrsz) strings = value;
    if (tag == kDynHash) hash = absolute(module, value);
    if (tag == kDynGnuHash) gnu_hash = absolute(module, value);
  }
  const uint64_t count = std::min(dynamic_symbol_count(image, hash, gnu_hash), kMaxSymbols);
  return {image.view(Address(symtab), count * kSymbolSize64), image.view(Address(strtab), strings)};
}

std::vector<DataSymbol> data_symbols(const RawTable& table, uint64_t bias) {
  std::vector<DataSymbol> found;
  for (size_t at = 0; at + kSymbolSize64 <= table.symbols.size(); at += kSymbolSize64) {
    const auto raw = table.symbols.subspan(at, kSymbolSize64);
    const auto type = static_cast<uint8_t>(std::to_integer<uint8_t>(raw[4]) & 0xf);
    if (type != kSymbolObject && type != kSymbolCommon) continue;
    if (load<uint16_t>(raw.subspan(6)) == kSectionUndefined) continue;
    const uint64_t size = load<uint64_t>(raw.subspan(16));
    if (size == 0) continue;
    const std::string_view name = string_at(table.strings, load<uint32_t>(raw));
    if (name.empty()) continue;
    found.push_back({load<uint64_t>(raw.subspan(8)) + bias, size, name});
  }
  // Of several names for one place, the shortest mangled one is least likely to be an alias with a
  // version or a suffix.
  std::sort(found.begin(), found.end(), [](const DataSymbol& a, const DataSymbol& b) {
    if (a.address != b.address) return a.address < b.address;
    if (a.name.size() != b.name.size()) return a.name.size() < b.name.size();
    return a.name < b.name;
  });
  return found;
}

bool has_debug_info(std::span<const std::byte> file) {
  // .debug_info is known by its name only; the section name table is the last string table.
  static constexpr std::string_view kName(".debug_info\0", 12);
  const auto header = read_header(file);
  if (!header) return false;
  for (const SectionHeader& section : read_section_headers(file, *header)) {
    if (section.type != 3) continue;  // SHT_STRTAB
    const auto bytes = section_bytes(file, section);
    const std::string_view text(static_cast<const char*>(static_cast<const void*>(bytes.data())),
                                bytes.size());
    if (text.find(kName) != std::string_view::npos) return true;
  }
  return false;
}

}  // namespace

const char* to_string(SymbolLevel level) {
  switch (level) {
    case SymbolLevel::kFull:
      return "full";
    case SymbolLevel::kPartial:
      return "partial";
    case SymbolLevel::kNone:
      break;
  }
  return "none";
}

DataSymbols::DataSymbols(const Image& image) : image_(image), tables_(image.modules.size()) {}

void DataSymbols::load(size_t m) {
  Table& table = tables_[m];
  table.loaded = true;
  const Module& module = image_.modules[m];
  RawTable raw = table_of_file(module.file, kSectionSymtab);
  if (raw.symbols.empty()) raw = table_of_file(module.file, kSectionSymtab);
  if (raw.symbols.empty()) raw = table_of_file(module.file, kSectionDynsym);
  if (raw.symbols.empty()) raw = table_in_dump(image_, module);
  table.symbols = data_symbols(raw, module.bias);
}

std::optional<DataSymbol> DataSymbols::find(Address a) {
  const Region* region = image_.find_region(a);
  if (region == nullptr || region->module == kNone<ModuleId>) return std::nullopt;
  const size_t m = region->module.value();
  if (!tables_[m].loaded) load(m);
  const auto& symbols = tables_[m].symbols;
  const auto after =
      std::upper_bound(symbols.begin(), symbols.end(), a.value(),
                       [](uint64_t value, const DataSymbol& s) { return value < s.address; });
  // A few symbols may lie inside one another; the nearest that holds the address wins, and of
  // those with one address the first.
  for (auto it = after; it != symbols.begin() && after - it < 8;) {
    --it;
    if (a.value() - it->address >= it->size) continue;
    while (it != symbols.begin() && (it - 1)->address == it->address &&
           a.value() - (it - 1)->address < (it - 1)->size) {
      --it;
    }
    return *it;
  }
  return std::nullopt;
}

SymbolLevel DataSymbols::level(ModuleId id) const {
  const Module& module = image_.modules[id.value()];
  if (has_debug_info(module.file)) return SymbolLevel::kFull;
  const bool any = !table_of_file(module.file, kSectionSymtab).symbols.empty() ||
                   !table_of_file(module.file, kSectionSymtab).symbols.empty() ||
                   !table_of_file(module.file, kSectionDynsym).symbols.empty() ||
                   !table_in_dump(image_, module).symbols.empty();
  return any ? SymbolLevel::kPartial : SymbolLevel::kNone;
}

}  // namespace residue
