// Of a module's symbols two sorted arrays are kept, of code and of data, 24 bytes a symbol; names
// stay in the file until they are asked for. Addresses in them are those of the file (link time).
//
// Which of several names is shown follows gdb 13, so that stacks compare (observed with `info
// symbol` on libc, libstdc++ and clang; see tests/symbolize/symbol_table_gdb_test.cpp):
//  - a symbol without a size (a label in assembly) gives way to an earlier one whose size reaches
//    the address, and otherwise holds until the next;
//  - an address behind the end of the last symbol with a size belongs to nothing;
//  - of aliases the last in byte order is taken ("puts", not "_IO_puts"), but a local one or an
//    indirect one (IFUNC) gives way to the global one just before it in that order.
#include "symbolize/symbol_table.h"

#include <algorithm>
#include <mutex>
#include <utility>

#include "formats/elf/elf_layout.h"
#include "symbolize/raw_symbols.h"

namespace residue {
namespace {

using namespace elf;

// How far behind an address another symbol is looked for that reaches it, and how many aliases are
// compared: bounds the time that a hostile table can take for one look-up.
constexpr size_t kMaxBack = 64;
constexpr size_t kMaxAliases = 256;
constexpr size_t kMaxDataBack = 8;

struct Entry {
  uint64_t address = 0;
  uint64_t size = 0;
  uint32_t name = 0;
  bool is_global = false;
};

struct CodeRange {
  uint64_t begin = 0, end = 0;
  bool contains(uint64_t a) const { return a >= begin && a < end; }
};

bool by_address(const Entry& a, const Entry& b) { return a.address < b.address; }

// "$a", "$t.1", "$d", "$x": where the assembler switches between instruction sets and data.
bool is_mapping_symbol(std::string_view name, uint16_t machine) {
  if (machine != kSymMachineArm && machine != kSymMachineAArch64 && machine != kSymMachineRiscv) {
    return false;
  }
  return name.starts_with('$');
}

bool is_local_label(std::string_view name) {
  return name.starts_with(".L") || name.starts_with("$L");
}

// ARM marks Thumb functions, and MIPS its compressed ones, by an odd address.
uint64_t code_address(const RawSymbols& raw, const RawSymbol& s) {
  const bool marked = raw.machine == kSymMachineArm || raw.machine == kSymMachineMips;
  const bool code = s.type == kSymbolFunction || s.type == kSymbolIndirect;
  return marked && code ? s.value & ~uint64_t{1} : s.value;
}

// Of aliases, last name first: one with a size if there is any.
const Entry* pick(const std::vector<std::pair<std::string_view, const Entry*>>& names) {
  for (size_t i = 0; i < names.size(); ++i) {
    const Entry* e = names[i].second;
    if (e->size == 0) continue;
    const Entry* next = i + 1 < names.size() ? names[i + 1].second : nullptr;
    if (!e->is_global && next != nullptr && next->is_global && next->size == e->size) continue;
    return e;
  }
  return names.empty() ? nullptr : names.front().second;
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

namespace {

// The symbols of one ELF table.
struct Source {
  RawSymbols raw;
  std::vector<Entry> functions;
  std::vector<Entry> objects;
  std::vector<CodeRange> code;  // executable sections, or segments

  std::string_view name(const Entry& e) const { return raw.name_at(e.name); }
  const CodeRange* code_at(uint64_t a) const;
  std::optional<FunctionSymbol> find_function(uint64_t a) const;
  std::optional<DataSymbol> find_data(uint64_t a) const;
  const Entry* best_alias(const Entry* first, const Entry* last) const;
};

const CodeRange* Source::code_at(uint64_t a) const {
  for (const CodeRange& range : code) {
    if (range.contains(a)) return &range;
  }
  return nullptr;
}

const Entry* Source::best_alias(const Entry* first, const Entry* last) const {
  std::vector<std::pair<std::string_view, const Entry*>> names;
  for (const Entry* e = first; e != last && names.size() < kMaxAliases; ++e) {
    const auto text = name(*e);
    if (!text.empty() && !is_local_label(text)) names.emplace_back(text, e);
  }
  std::sort(names.begin(), names.end(), [](const auto& a, const auto& b) {
    return a.first != b.first ? a.first > b.first : a.second->size > b.second->size;
  });
  return pick(names);
}

std::optional<FunctionSymbol> Source::find_function(uint64_t a) const {
  const CodeRange* range = code_at(a);
  if (range == nullptr) return std::nullopt;
  Entry wanted;
  wanted.address = a;
  const auto after = std::upper_bound(functions.begin(), functions.end(), wanted, by_address);
  const Entry* unsized = nullptr;
  const Entry* found = nullptr;
  size_t seen = 0;
  bool behind_end = false;
  for (auto last = after; last != functions.begin() && seen < kMaxBack; ++seen) {
    auto first = last - 1;
    while (first != functions.begin() && (first - 1)->address == first->address) --first;
    if (!range->contains(first->address)) break;
    const Entry* e = best_alias(&*first, &*first + (last - first));
    last = first;
    if (e == nullptr) continue;
    if (e->size != 0 && a - e->address < e->size) {
      found = e;
      break;
    }
    // One look further than the first that ends before `a`: a function may hold a smaller one.
    if (behind_end) break;
    if (e->size != 0) {
      behind_end = true;
    } else if (unsized == nullptr) {
      unsized = e;
    }
  }
  if (found != nullptr) return FunctionSymbol{found->address, found->size, name(*found), true};
  if (unsized == nullptr) return std::nullopt;
  const uint64_t next = after == functions.end() ? range->end : after->address;
  return FunctionSymbol{unsized->address, std::min(next, range->end) - unsized->address,
                        name(*unsized), false};
}

std::optional<DataSymbol> Source::find_data(uint64_t a) const {
  Entry wanted;
  wanted.address = a;
  const auto after = std::upper_bound(objects.begin(), objects.end(), wanted, by_address);
  // A few symbols may lie inside one another; the nearest that holds the address wins.
  const Entry* best = nullptr;
  std::string_view best_name;
  size_t seen = 0;
  for (auto it = after; it != objects.begin(); ++seen) {
    --it;
    if (best != nullptr ? it->address != best->address || seen > kMaxAliases
                        : seen >= kMaxDataBack) {
      break;
    }
    if (a - it->address >= it->size) continue;
    const auto text = name(*it);
    if (text.empty()) continue;
    // The shortest mangled name is least likely to be an alias with a suffix.
    const bool better = best == nullptr || text.size() < best_name.size() ||
                        (text.size() == best_name.size() && text < best_name);
    if (!better) continue;
    best = &*it;
    best_name = text;
  }
  if (best == nullptr) return std::nullopt;
  return DataSymbol{best->address, best->size, best_name};
}

// Fills one module's arrays from one raw table.
class Collector {
 public:
  Collector(const Image& image, const Module& module, const ModuleFiles& files)
      : image_(image), module_(module), files_(files) {}

  // `file`: where the sections stand that the symbols name; null for pages of the dump.
  void use_file(const SymbolFile* file) {
    sections_.clear();
    if (file == nullptr) return;
    for (const auto& section : file->sections()) sections_.push_back(section.header);
    if (file->header().machine == kSymMachinePpc64) {
      for (const auto& section : file->sections()) {
        if (section.name == ".opd") {
          descriptors_ = {section.header.address, section.header.address + section.header.size};
        }
      }
    }
  }

  std::vector<CodeRange> code_ranges() const {
    std::vector<CodeRange> code;
    for (const SectionHeader& s : sections_) {
      if ((s.flags & kSectionFlagAlloc) == 0 || (s.flags & kSectionFlagExecute) == 0) continue;
      if (s.address + s.size > s.address) code.push_back({s.address, s.address + s.size});
    }
    if (!code.empty()) return code;
    for (const Segment& segment : module_.segments) {
      if (!segment.permissions.execute) continue;
      const uint64_t begin = segment.range.base.value() - module_.bias;
      const uint64_t end = begin + segment.range.size.value();
      if (end > begin) code.push_back({begin, end});
    }
    return code;
  }

  void collect(Source* source) const {
    const RawSymbols& raw = source->raw;
    const auto in_code = [source](uint64_t a) { return source->code_at(a) != nullptr; };
    for (size_t i = 0; i < raw.count(); ++i) {
      const RawSymbol s = raw.at(i);
      if (s.name == 0 || s.section == kSectionUndefined || s.section == kSectionAbsolute ||
          s.type == kSymbolSection || s.type == kSymbolFile || s.type == kSymbolTls) {
        continue;
      }
      Entry e{s.value, s.size, s.name, s.bind != kBindLocal && s.type != kSymbolIndirect};
      const bool is_object = s.type == kSymbolObject || s.type == kSymbolCommon;
      if (descriptors_.contains(s.value)) {
        const auto entry = code_of_descriptor(s.value);
        if (!entry || !in_code(*entry)) continue;
        e.address = *entry;
        source->functions.push_back(e);
      } else if (is_code(s, in_code)) {
        e.address = code_address(raw, s);
        if (s.type == kSymbolNoType && is_mapping_symbol(raw.name_at(s.name), raw.machine)) {
          continue;
        }
        source->functions.push_back(e);
      } else if (is_object && s.size > 0) {
        source->objects.push_back(e);
      }
    }
    std::sort(source->functions.begin(), source->functions.end(), by_address);
    std::sort(source->objects.begin(), source->objects.end(), by_address);
    source->functions.shrink_to_fit();
    source->objects.shrink_to_fit();
  }

 private:
  // By the flags of its section, as gdb has it; by its address where there are no sections.
  template <typename InCode>
  bool is_code(const RawSymbol& s, const InCode& in_code) const {
    if (s.section < kSectionReserved && s.section < sections_.size()) {
      return (sections_[s.section].flags & kSectionFlagExecute) != 0;
    }
    const bool is_object = s.type == kSymbolObject || s.type == kSymbolCommon;
    return !is_object && in_code(s.value);
  }

  // A symbol of 64-bit PowerPC's first ABI names a descriptor, whose first word is the code's
  // address: relocated in memory, and in the file as it was linked.
  std::optional<uint64_t> code_of_descriptor(uint64_t at) const {
    if (const auto word = image_.word(Address(at + module_.bias))) return *word - module_.bias;
    for (const SymbolFile* file : {files_.binary, files_.debug}) {
      if (file == nullptr) continue;
      const auto bytes = file->section(".opd");
      const uint64_t offset = at - descriptors_.begin;
      if (offset + sizeof(uint64_t) <= bytes.size()) {
        return load<uint64_t>(bytes.subspan(offset), file->order());
      }
    }
    return std::nullopt;
  }

  const Image& image_;
  const Module& module_;
  const ModuleFiles& files_;
  std::vector<SectionHeader> sections_;
  CodeRange descriptors_;
};

}  // namespace

struct SymbolTable::Table {
  std::once_flag once;
  std::vector<Source> sources;  // the program's own first
};

SymbolTable::SymbolTable(const DebugFiles& files)
    : files_(files), tables_(std::make_unique<Table[]>(files.image().modules.size())) {}
SymbolTable::~SymbolTable() = default;

void SymbolTable::load(size_t m, Table* table) const {
  const Module& module = files_.image().modules[m];
  const ModuleFiles& files = files_.of(ModuleId(static_cast<uint32_t>(m)));
  Collector collector(files_.image(), module, files);
  const auto take = [&](const RawSymbols& raw, const SymbolFile* file) {
    if (raw.count() == 0) return;
    collector.use_file(file);
    Source& source = table->sources.emplace_back();
    source.raw = raw;
    source.code = collector.code_ranges();
    collector.collect(&source);
  };
  const SymbolFile* own = files.binary != nullptr ? files.binary : files.dump_pages;
  if (own != nullptr) {
    const RawSymbols full = symbols_of_file(*own, kSectionSymtab);
    take(full.count() > 0 ? full : symbols_of_file(*own, kSectionDynsym), own);
  }
  for (const SymbolFile* file : {files.symtab, files.mini}) {
    if (file != nullptr && file != own) take(symbols_of_file(*file, kSectionSymtab), file);
  }
  if (table->sources.empty()) take(symbols_in_dump(files_.image(), module), nullptr);
}

const SymbolTable::Table* SymbolTable::table_at(Address a, uint64_t* bias) const {
  const Region* region = files_.image().find_region(a);
  if (region == nullptr || region->module == kNone<ModuleId>) return nullptr;
  const size_t m = region->module.value();
  *bias = files_.image().modules[m].bias;
  return &table_of(m);
}

const SymbolTable::Table& SymbolTable::table_of(size_t m) const {
  Table& table = tables_[m];
  std::call_once(table.once, [&] { load(m, &table); });
  return table;
}

std::optional<FunctionSymbol> SymbolTable::find_named(ModuleId module,
                                                      std::string_view name) const {
  const uint64_t bias = files_.image().modules[module.value()].bias;
  for (const Source& source : table_of(module.value()).sources) {
    for (const Entry& e : source.functions) {
      if (source.name(e) == name) return FunctionSymbol{e.address + bias, e.size, name, e.size > 0};
    }
  }
  return std::nullopt;
}

std::optional<FunctionSymbol> SymbolTable::find_function(Address a) const {
  uint64_t bias = 0;
  const Table* table = table_at(a, &bias);
  if (table == nullptr) return std::nullopt;
  std::optional<FunctionSymbol> best;
  for (const Source& source : table->sources) {
    const auto found = source.find_function(a.value() - bias);
    if (found && (!best || found->address > best->address)) best = found;
  }
  if (best) best->address += bias;
  return best;
}

std::optional<DataSymbol> SymbolTable::find_data(Address a) const {
  uint64_t bias = 0;
  const Table* table = table_at(a, &bias);
  if (table == nullptr) return std::nullopt;
  std::optional<DataSymbol> best;
  for (const Source& source : table->sources) {
    const auto found = source.find_data(a.value() - bias);
    if (!found) continue;
    const bool better = !best || found->address > best->address ||
                        (found->address == best->address && found->name.size() < best->name.size());
    if (better) best = found;
  }
  if (best) best->address += bias;
  return best;
}

SymbolLevel SymbolTable::level(ModuleId id) const {
  const ModuleFiles& files = files_.of(id);
  if (files.debug != nullptr) return SymbolLevel::kFull;
  if (files.symtab != nullptr || files.mini != nullptr) return SymbolLevel::kPartial;
  for (const SymbolFile* file : {files.binary, files.dump_pages}) {
    if (file != nullptr && symbols_of_file(*file, kSectionDynsym).count() > 0) {
      return SymbolLevel::kPartial;
    }
  }
  const RawSymbols raw = symbols_in_dump(files_.image(), files_.image().modules[id.value()]);
  return raw.count() > 0 ? SymbolLevel::kPartial : SymbolLevel::kNone;
}

}  // namespace residue
