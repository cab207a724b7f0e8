#include "tests/analyzer/image_builder.h"

#include <algorithm>
#include <cstring>
#include <set>
#include <stdexcept>

namespace residue::test {
namespace {

// x86-64's general purpose registers, in the order of the psABI's DWARF numbers.
constexpr const char* kRegisterNames[] = {"rax", "rdx", "rcx", "rbx", "rsi", "rdi", "rbp", "rsp",
                                          "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};

void append(std::vector<std::byte>* out, uint64_t value, unsigned width) {
  for (unsigned i = 0; i < width; ++i) out->push_back(static_cast<std::byte>(value >> (8 * i)));
}

// A section header of ELF-64 (gABI, "Sections"): 64 bytes.
struct Section {
  uint64_t type = 0, flags = 0, address = 0, offset = 0, size = 0;
  uint64_t link = 0, info = 0, align = 0, entry_size = 0;
};

void append_section(std::vector<std::byte>* out, uint64_t name, const Section& s) {
  append(out, name, 4);
  append(out, s.type, 4);
  append(out, s.flags, 8);
  append(out, s.address, 8);
  append(out, s.offset, 8);
  append(out, s.size, 8);
  append(out, s.link, 4);
  append(out, s.info, 4);
  append(out, s.align, 8);
  append(out, s.entry_size, 8);
}

void append_elf_header(std::vector<std::byte>* out, uint64_t section_offset, unsigned sections) {
  for (const unsigned c : {0x7fU, 0x45U, 0x4cU, 0x46U, 2U, 1U, 1U, 0U}) append(out, c, 1);
  append(out, 0, 8);
  append(out, 3, 2);   // ET_DYN
  append(out, 62, 2);  // EM_X86_64
  append(out, 1, 4);   // version
  append(out, 0, 8);   // entry
  append(out, 0, 8);   // program headers: none
  append(out, section_offset, 8);
  append(out, 0, 4);   // flags
  append(out, 64, 2);  // size of this header
  append(out, 56, 2);
  append(out, 0, 2);
  append(out, 64, 2);
  append(out, sections, 2);
  append(out, 2, 2);  // names of sections: in section 2
}

}  // namespace

std::vector<std::byte> elf_symbol_file(const std::vector<SymbolSpec>& symbols) {
  constexpr uint64_t kHeader = 64, kSymbol = 24;
  std::string names("\0.symtab\0.strtab\0", 17);
  std::vector<std::byte> table(kSymbol);
  for (const SymbolSpec& symbol : symbols) {
    append(&table, names.size(), 4);
    append(&table, 1U << 4 | 1U, 1);  // STB_GLOBAL, STT_OBJECT
    append(&table, 0, 1);
    append(&table, 3, 2);  // defined in some section
    append(&table, symbol.value, 8);
    append(&table, symbol.size, 8);
    names += symbol.name + '\0';
  }
  names.resize((names.size() + 7) & ~size_t{7});
  const uint64_t strings = kHeader + table.size();
  std::vector<std::byte> file;
  append_elf_header(&file, strings + names.size(), 4);
  file.insert(file.end(), table.begin(), table.end());
  for (const char c : names) file.push_back(static_cast<std::byte>(c));
  append_section(&file, 0, {});
  append_section(&file, 1, {2, 0, 0, kHeader, table.size(), 2, 1, 8, kSymbol});
  append_section(&file, 9, {3, 0, 0, strings, names.size(), 0, 0, 1, 0});
  append_section(&file, 0, {8, 3, 0, strings, 0, 0, 0, 8, 0});  // SHT_NOBITS, the symbols' home
  return file;
}

ImageBuilder::ImageBuilder() {
  image_.source = "synthetic";
  image_.taken_at = "2024-01-01T00:00:00Z";
  image_.format = "elf-core";
  image_.os = "linux";
  image_.architecture = Architecture::kX86_64;
  image_.pid = 1000;
}

void ImageBuilder::map(uint64_t base, uint64_t size, Permissions permissions, RegionKind kind,
                       std::string name, ModuleId module) {
  const auto next = mappings_.lower_bound(base);
  const bool hits_next = next != mappings_.end() && next->first < base + size;
  if (hits_next || is_mapped(base)) throw std::logic_error("mapped twice");
  mappings_.emplace(base, Mapping{size, std::vector<std::byte>(size), permissions, kind,
                                  std::move(name), module});
}

void ImageBuilder::reserve(uint64_t base, uint64_t size) {
  map(base, 0, kNoAccess, RegionKind::kAnonymous);
  mappings_.at(base).size = size;
}

void ImageBuilder::grow(uint64_t base, uint64_t bytes) {
  Mapping& mapping = mappings_.at(base);
  const auto next = mappings_.upper_bound(base);
  mapping.size += bytes;
  if (next != mappings_.end() && next->first < base + mapping.size) {
    throw std::logic_error("no room to grow");
  }
  mapping.bytes.resize(mapping.size);
}

bool ImageBuilder::is_mapped(uint64_t address) const {
  const auto after = mappings_.upper_bound(address);
  return after != mappings_.begin() &&
         address - std::prev(after)->first < std::prev(after)->second.size;
}

uint64_t ImageBuilder::end_of_mapping(uint64_t base) const {
  return base + mappings_.at(base).size;
}

const std::byte* ImageBuilder::at(uint64_t address, uint64_t size) const {
  auto it = mappings_.upper_bound(address);
  if (it == mappings_.begin()) return nullptr;
  --it;
  const std::vector<std::byte>& bytes = it->second.bytes;
  const uint64_t offset = address - it->first;
  if (offset >= bytes.size() || bytes.size() - offset < size) return nullptr;
  return bytes.data() + offset;
}

std::byte* ImageBuilder::at(uint64_t address, uint64_t size) {
  const std::byte* place = std::as_const(*this).at(address, size);
  if (place == nullptr) throw std::logic_error("written outside of all mappings");
  return const_cast<std::byte*>(place);
}

void ImageBuilder::put(uint64_t address, uint64_t value, unsigned width) {
  std::byte* place = at(address, width);
  for (unsigned i = 0; i < width; ++i) place[i] = static_cast<std::byte>(value >> shift(i, width));
}

void ImageBuilder::put_text(uint64_t address, std::string_view text, bool terminate) {
  for (size_t i = 0; i < text.size(); ++i) put8(address + i, static_cast<uint8_t>(text[i]));
  if (terminate) put8(address + text.size(), 0);
}

void ImageBuilder::fill(uint64_t address, uint64_t size, uint8_t value) {
  std::byte* place = at(address, size);
  std::fill(place, place + size, std::byte{value});
}

uint64_t ImageBuilder::get(uint64_t address, unsigned width) const {
  const std::byte* place = at(address, width);
  if (place == nullptr) throw std::logic_error("read outside of all mappings");
  uint64_t value = 0;
  for (unsigned i = 0; i < width; ++i) {
    value |= std::to_integer<uint64_t>(place[i]) << shift(i, width);
  }
  return value;
}

ModuleId ImageBuilder::add_module(Module module) {
  image_.modules.push_back(std::move(module));
  return ModuleId(static_cast<uint32_t>(image_.modules.size() - 1));
}

size_t ImageBuilder::add_thread(uint32_t tid, uint64_t sp, uint64_t thread_pointer) {
  Thread thread;
  thread.tid = tid;
  thread.name = "t" + std::to_string(tid);
  for (const char* name : kRegisterNames) thread.registers.push_back({name, 0});
  thread.sp = sp;
  thread.thread_pointer = thread_pointer;
  image_.threads.push_back(std::move(thread));
  const size_t index = image_.threads.size() - 1;
  set_register(index, "rsp", sp);
  return index;
}

void ImageBuilder::set_register(size_t thread, std::string_view name, uint64_t value) {
  for (Register& r : image_.threads[thread].registers) {
    if (name == r.name) {
      r.value = value;
      return;
    }
  }
  throw std::logic_error("no such register");
}

std::span<const std::byte> ImageBuilder::keep(std::vector<std::byte> bytes) {
  kept_.push_back(std::move(bytes));
  return kept_.back();
}

void ImageBuilder::add_regions(uint64_t base, const Mapping& mapping, Image* image) const {
  const uint64_t end = base + mapping.size;
  std::set<uint64_t> cuts = {base, end};
  for (const auto& [from, size] : dropped_) {
    for (const uint64_t cut : {from, from + size}) {
      if (cut > base && cut < end) cuts.insert(cut);
    }
  }
  for (auto cut = cuts.begin(); *cut != end; ++cut) {
    const uint64_t size = *std::next(cut) - *cut;
    const bool dropped = std::any_of(dropped_.begin(), dropped_.end(), [&](const auto& d) {
      return *cut >= d.first && *cut - d.first < d.second;
    });
    const bool absent = dropped || mapping.bytes.empty();
    Region region;
    region.range = {Address(*cut), ByteCount(size)};
    region.permissions = mapping.permissions;
    region.kind = mapping.kind;
    region.backing = absent ? Backing::kAbsent : Backing::kDump;
    region.module = mapping.module;
    region.name = mapping.name;
    if (!absent) region.bytes = std::span(mapping.bytes).subspan(*cut - base, size);
    image->regions.push_back(std::move(region));
  }
}

Image ImageBuilder::build() const {
  Image image;
  image.source = image_.source;
  image.taken_at = image_.taken_at;
  image.format = image_.format;
  image.os = image_.os;
  image.architecture = image_.architecture;
  image.order = image_.order;
  image.pointer_width = image_.pointer_width;
  image.address_tag_mask = image_.address_tag_mask;
  image.pid = image_.pid;
  image.executable = image_.executable;
  image.complete = dropped_.empty() && image_.complete;
  image.modules = image_.modules;
  image.threads = image_.threads;
  image.link_maps = image_.link_maps;
  for (const auto& [base, mapping] : mappings_) add_regions(base, mapping, &image);
  for (const Region& region : image.regions) image.source_bytes += region.bytes.size();
  return image;
}

}  // namespace residue::test
