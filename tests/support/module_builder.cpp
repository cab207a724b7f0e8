#include "tests/support/module_builder.h"

#include <algorithm>

#include "tests/support/bytes.h"

namespace residue::testing {
namespace {

constexpr uint64_t kPage = 0x1000;
constexpr uint64_t kRelroOffset = 0x3000, kDataOffset = 0x4000, kFileEnd = 0x5000;
constexpr uint64_t kNoteAddress = 0x280;
constexpr size_t kSymbolSize = 24, kSectionHeaderSize = 64;
constexpr size_t kDynamicSize = size_t{16} * 9;  // nine entries, the last ones DT_NULL

// Section indexes in the file.
enum Section : uint16_t {
  kNull,
  kNoteSection,
  kDynsym,
  kDynstr,
  kHashSection,
  kTextSection,
  kDynamicSection,
  kDataSection,
  kBssSection,
  kSymtab,
  kStrtab,
  kShstrtab,
  kSections,
};

uint16_t section_of(const ModuleSymbol& symbol) {
  if (symbol.is_function) return kTextSection;
  return symbol.vaddr >= ModuleBuilder::kBss ? kBssSection : kDataSection;
}

void put_symbol(ByteWriter* table, ByteWriter* strings, const ModuleSymbol& symbol) {
  table->u32(static_cast<uint32_t>(strings->size()));
  table->u8(static_cast<uint8_t>((1 << 4) | (symbol.is_function ? 2 : 1)));  // STB_GLOBAL
  table->u8(0).u16(section_of(symbol)).u64(symbol.vaddr).u64(symbol.size);
  strings->c_string(symbol.name);
}

void put_section(ByteWriter* out, uint32_t type, uint64_t flags, uint64_t address, uint64_t offset,
                 uint64_t size, uint32_t link, uint32_t info, uint64_t entry_size) {
  out->u32(0).u32(type).u64(flags).u64(address).u64(offset).u64(size);
  out->u32(link).u32(info).u64(8).u64(entry_size);
}

uint32_t sysv_hash_of(const std::string& name) {
  uint32_t h = 0;
  for (const char c : name) {
    h = (h << 4) + static_cast<uint8_t>(c);
    h ^= (h >> 24) & 0xf0;
    h &= 0x0fffffff;
  }
  return h;
}

uint32_t gnu_hash_of(const std::string& name) {
  uint32_t h = 5381;
  for (const char c : name) h = h * 33 + static_cast<uint8_t>(c);
  return h;
}

constexpr uint32_t kBuckets = 2;

}  // namespace

ModuleBuilder::ModuleBuilder(uint64_t seed) : seed_(seed), build_id_(pattern(20, seed + 77)) {}

ModuleBuilder& ModuleBuilder::build_id(std::vector<std::byte> id) {
  build_id_ = std::move(id);
  return *this;
}

ModuleBuilder& ModuleBuilder::dynamic_symbol(ModuleSymbol symbol) {
  dynamic_.push_back(std::move(symbol));
  return *this;
}

ModuleBuilder& ModuleBuilder::full_symbol(ModuleSymbol symbol) {
  full_.push_back(std::move(symbol));
  return *this;
}

ModuleBuilder& ModuleBuilder::hash(Hash style) {
  hash_ = style;
  return *this;
}

ModuleBuilder& ModuleBuilder::tls() {
  tls_ = true;
  return *this;
}

ModuleBuilder& ModuleBuilder::blank() {
  blank_ = true;
  return *this;
}

ModuleBuilder& ModuleBuilder::data(uint64_t vaddr, const std::vector<std::byte>& bytes) {
  data_.emplace_back(vaddr, bytes);
  return *this;
}

std::string ModuleBuilder::build_id_text() const {
  std::string text;
  for (const std::byte b : build_id_) {
    text += "0123456789abcdef"[std::to_integer<unsigned>(b) >> 4];
    text += "0123456789abcdef"[std::to_integer<unsigned>(b) & 15];
  }
  return text;
}

// A GNU hash table wants the symbols of one bucket side by side.
std::vector<ModuleSymbol> ModuleBuilder::ordered_dynamic_symbols() const {
  auto symbols = dynamic_;
  if (hash_ == Hash::kGnu) {
    std::stable_sort(symbols.begin(), symbols.end(), [](const auto& a, const auto& b) {
      return gnu_hash_of(a.name) % kBuckets < gnu_hash_of(b.name) % kBuckets;
    });
  }
  return symbols;
}

// Index 0 of the symbol table is the null symbol, index 1 an undefined one; the others follow.
std::vector<std::byte> ModuleBuilder::sysv_hash(const std::vector<ModuleSymbol>& symbols) const {
  const auto count = static_cast<uint32_t>(symbols.size() + 2);
  std::vector<uint32_t> buckets(kBuckets), chains(count);
  for (uint32_t i = 2; i < count; ++i) {
    uint32_t& bucket = buckets[sysv_hash_of(symbols[i - 2].name) % kBuckets];
    chains[i] = bucket;
    bucket = i;
  }
  ByteWriter out;
  out.u32(kBuckets).u32(count);
  for (const uint32_t b : buckets) out.u32(b);
  for (const uint32_t c : chains) out.u32(c);
  return out.take();
}

std::vector<std::byte> ModuleBuilder::gnu_hash(const std::vector<ModuleSymbol>& symbols) const {
  constexpr uint32_t kFirst = 2;
  std::vector<uint32_t> buckets(kBuckets);
  ByteWriter chain;
  for (size_t i = 0; i < symbols.size(); ++i) {
    const uint32_t h = gnu_hash_of(symbols[i].name);
    uint32_t& bucket = buckets[h % kBuckets];
    if (bucket == 0) bucket = kFirst + static_cast<uint32_t>(i);
    const bool last =
        i + 1 == symbols.size() || gnu_hash_of(symbols[i + 1].name) % kBuckets != h % kBuckets;
    chain.u32((h & ~1U) | (last ? 1 : 0));
  }
  ByteWriter out;
  out.u32(kBuckets).u32(kFirst).u32(1).u32(6);
  out.u64(~uint64_t{0});  // a Bloom filter that lets everything through
  for (const uint32_t b : buckets) out.u32(b);
  out.bytes(chain.data());
  return out.take();
}

ModuleBuilder::DynamicTables ModuleBuilder::headers_page(uint64_t section_headers) const {
  DynamicTables tables;
  ByteWriter out;
  const auto program_headers = static_cast<uint16_t>(6 + (tls_ ? 1 : 0));
  out.u8(0x7f).text("ELF").u8(2).u8(1).u8(1).pad_to(16);
  out.u16(3).u16(62).u32(1);  // ET_DYN, EM_X86_64
  out.u64(kText).u64(64).u64(section_headers);
  out.u32(0).u16(64).u16(56).u16(program_headers).u16(kSectionHeaderSize).u16(kSections);
  out.u16(kShstrtab);
  const auto segment = [&](uint32_t type, uint32_t flags, uint64_t offset, uint64_t vaddr,
                           uint64_t filesz, uint64_t memsz, uint64_t alignment) {
    out.u32(type).u32(flags).u64(offset).u64(vaddr).u64(vaddr);
    out.u64(filesz).u64(memsz).u64(alignment);
  };
  const uint64_t note_size = build_id_.empty() ? 0 : 16 + (build_id_.size() + 3) / 4 * 4;
  segment(1, kReadable, 0, 0, kPage, kPage, kPage);
  segment(1, kReadable | kExecutable, kText, kText, kPage, kPage, kPage);
  segment(1, kReadable, kRodata, kRodata, kPage, kPage, kPage);
  segment(1, kReadable | kWritable, kRelroOffset, kRelro, 2 * kPage, 3 * kPage, kPage);
  segment(2, kReadable | kWritable, kRelroOffset, kRelro, kDynamicSize, kDynamicSize,
          8);  // PT_DYNAMIC
  segment(4, kReadable, kNoteAddress, kNoteAddress, note_size, note_size, 4);
  if (tls_) {
    segment(7, kReadable, kDataOffset + (kTls - kData), kTls, kTlsFileSize, kTlsMemorySize, 8);
  }
  out.pad_to(kNoteAddress);
  if (!build_id_.empty()) {
    out.u32(4).u32(static_cast<uint32_t>(build_id_.size())).u32(3).c_string("GNU");
    out.bytes(build_id_).align(4);
  }
  out.align(8);
  const auto symbols = ordered_dynamic_symbols();
  ByteWriter strings;
  strings.u8(0).c_string("malloc");
  tables.symbols = out.size();
  out.zeros(kSymbolSize);                                  // the null symbol
  out.u32(1).u8((1 << 4) | 2).u8(0).u16(0).u64(0).u64(0);  // malloc, undefined
  for (const ModuleSymbol& symbol : symbols) put_symbol(&out, &strings, symbol);
  tables.strings = out.size();
  tables.strings_size = strings.size();
  out.bytes(strings.data()).align(8);
  tables.hash = out.size();
  if (hash_ != Hash::kNone) {
    out.bytes(hash_ == Hash::kGnu ? gnu_hash(symbols) : sysv_hash(symbols));
  }
  tables.bytes = out.pad_to(kPage).take();
  return tables;
}

std::vector<std::byte> ModuleBuilder::dynamic_section(uint64_t base) const {
  const DynamicTables tables = headers_page(0);
  ByteWriter out;
  if (hash_ == Hash::kSysv) out.u64(4).u64(base + tables.hash);
  if (hash_ == Hash::kGnu) out.u64(0x6ffffef5).u64(base + tables.hash);
  out.u64(5).u64(base + tables.strings);   // DT_STRTAB
  out.u64(6).u64(base + tables.symbols);   // DT_SYMTAB
  out.u64(10).u64(tables.strings_size);    // DT_STRSZ
  out.u64(11).u64(kSymbolSize);            // DT_SYMENT
  return out.pad_to(kDynamicSize).take();  // DT_NULL
}

std::vector<std::byte> ModuleBuilder::page(uint64_t seed) const {
  return blank_ ? std::vector<std::byte>(kPage) : pattern(kPage, seed);
}

std::vector<std::byte> ModuleBuilder::data_page() const {
  auto data = page(seed_ + 4);
  for (const auto& [vaddr, bytes] : data_) {
    for (size_t i = 0; i < bytes.size() && vaddr - kData + i < kPage; ++i) {
      data[vaddr - kData + i] = bytes[i];
    }
  }
  return data;
}

std::vector<std::byte> ModuleBuilder::build() const {
  ByteWriter symtab, strtab;
  symtab.zeros(kSymbolSize);
  strtab.u8(0);
  for (const ModuleSymbol& symbol : full_) put_symbol(&symtab, &strtab, symbol);
  strtab.align(8);
  const uint64_t strtab_offset = kFileEnd + symtab.size();
  const uint64_t shstrtab_offset = strtab_offset + strtab.size();
  const uint64_t section_headers = shstrtab_offset + 8;
  const DynamicTables tables = headers_page(section_headers);

  ByteWriter out;
  out.bytes(tables.bytes).bytes(page(seed_ + 1)).bytes(page(seed_ + 2));
  out.bytes(dynamic_section(0)).pad_to(kDataOffset).bytes(data_page());
  out.bytes(symtab.data()).bytes(strtab.data()).zeros(8);
  put_section(&out, 0, 0, 0, 0, 0, 0, 0, 0);
  put_section(&out, 7, 2, kNoteAddress, kNoteAddress,
              build_id_.empty() ? 0 : 16 + (build_id_.size() + 3) / 4 * 4, 0, 0, 0);
  put_section(&out, 11, 2, tables.symbols, tables.symbols, tables.strings - tables.symbols, kDynstr,
              1, kSymbolSize);
  put_section(&out, 3, 2, tables.strings, tables.strings, tables.strings_size, 0, 0, 0);
  put_section(&out, hash_ == Hash::kGnu ? 0x6ffffff6 : 5, 2, tables.hash, tables.hash,
              kPage - tables.hash, kDynsym, 0, 0);
  put_section(&out, 1, 6, kText, kText, kPage, 0, 0, 0);
  put_section(&out, 6, 3, kRelro, kRelroOffset, kDynamicSize, kDynstr, 0, 16);
  put_section(&out, 1, 3, kData, kDataOffset, kPage, 0, 0, 0);
  put_section(&out, 8, 3, kBss, kFileEnd, kEnd - kBss, 0, 0, 0);
  if (full_.empty()) {
    put_section(&out, 0, 0, 0, 0, 0, 0, 0, 0);  // a stripped file
  } else {
    put_section(&out, 2, 0, 0, kFileEnd, symtab.size(), kStrtab, 1, kSymbolSize);
  }
  put_section(&out, 3, 0, 0, strtab_offset, strtab.size(), 0, 0, 0);
  put_section(&out, 3, 0, 0, shstrtab_offset, 8, 0, 0, 0);
  return out.take();
}

void ModuleBuilder::place(CoreBuilder* core, uint64_t base, const std::string& path,
                          Placement placement) const {
  const std::vector<std::byte> file = build();
  const auto part = [&](uint64_t vaddr, uint64_t offset, uint32_t flags, bool in_dump) {
    std::vector<std::byte> bytes;
    if (in_dump) {
      const auto begin = file.begin() + static_cast<ptrdiff_t>(offset);
      bytes.assign(begin, begin + static_cast<ptrdiff_t>(kPage));
    }
    if (in_dump && vaddr == kRelro && placement.relocated) {
      const auto dynamic = dynamic_section(base);
      std::copy(dynamic.begin(), dynamic.end(), bytes.begin());
    }
    core->add_file_mapping(base + vaddr, base + vaddr + kPage, offset, path);
    core->add_load(base + vaddr, flags, std::move(bytes), kPage);
  };
  part(0, 0, kReadable, placement.headers_in_dump);
  part(kText, kText, kReadable | kExecutable, placement.readonly_in_dump);
  part(kRodata, kRodata, kReadable, placement.readonly_in_dump);
  part(kRelro, kRelroOffset, kReadable, placement.data_in_dump);
  part(kData, kDataOffset, kReadable | kWritable, placement.data_in_dump);
  core->add_load(base + kBss, kReadable | kWritable,
                 placement.data_in_dump ? std::vector<std::byte>(kPage) : std::vector<std::byte>(),
                 kPage);
}

}  // namespace residue::testing
