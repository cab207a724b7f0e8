// An object with virtual functions begins with a pointer to its class's vtable (Itanium C++
// ABI 2.5: the address point; before it lie the offset to top and the type_info). The type_info's
// second word points to the mangled class name (2.9.4). All of it is in the module's own memory or
// file, so this needs no symbols and works in stripped programs; where RTTI is off, the vtable's
// symbol helps.
//
// A module's pages may be missing (the kernel leaves out read-only file mappings, and the file may
// not be at hand). Then a pointer to what is laid out like a vtable still groups its objects, under
// the module's name and offset, and says so with confidence 'derived'.
#include "analyzer/types.h"

#include <algorithm>

#include "formats/base/text.h"
#include "symbolize/demangle.h"

namespace residue {
namespace {

constexpr uint64_t kMaxName = 4096;
constexpr uint64_t kMaxBaseOffset = 1 << 20;
constexpr size_t kMinText = 8;  // shorter printable runs are too often numbers
constexpr size_t kTextProbe = 256;

bool is_text_byte(std::byte b) {
  const auto c = std::to_integer<unsigned>(b);
  return (c >= 0x20 && c < 0x7f) || c == '\t' || c == '\n' || c == '\r';
}

// Printable ASCII, at least kMinText bytes, ended by a NUL or filling the probe.
bool is_text(std::span<const std::byte> chunk) {
  const auto probe = chunk.first(std::min(chunk.size(), kTextProbe));
  size_t n = 0;
  while (n < probe.size() && is_text_byte(probe[n])) ++n;
  if (n < kMinText) return false;
  return n == probe.size() || probe[n] == std::byte{0};
}

}  // namespace

TypeFinder::TypeFinder(const Image& image, const SymbolTable* symbols)
    : image_(image), words_(image), symbols_(symbols) {
  uint64_t low = ~uint64_t{0};
  uint64_t high = 0;
  for (const Region& region : image.regions) {
    if (region.module == kNone<ModuleId>) continue;
    low = std::min(low, region.range.base.value());
    high = std::max(high, region.range.end().value());
  }
  if (high > low) {
    low_ = low;
    span_ = high - low;
  }
}

TypeId TypeFinder::type_of(std::span<const std::byte> chunk) {
  if (chunk.size() < words_.size) return kNone<TypeId>;
  const uint64_t word = words_.at(chunk, 0);
  if (const TypeId type = vtable_type(word, 0); type != kNone<TypeId>) return type;
  if (!is_text(chunk)) return kNone<TypeId>;
  if (text_ == ~uint32_t{0}) text_ = intern({"(text)", "", "string", "text"}).value();
  return TypeId(text_);
}

TypeId TypeFinder::vtable_type(uint64_t word, uint64_t offset) {
  if (!may_be_vtable(word) || word % words_.size != 0) return kNone<TypeId>;
  if (word != last_word_) {
    const auto [it, is_new] = vtables_.try_emplace(word);
    if (is_new) {
      const Region* region = image_.find_region(Address(word));
      const bool data = region != nullptr && (region->kind == RegionKind::kModuleData ||
                                              region->kind == RegionKind::kModuleRodata);
      // Remembering every word that points into a module would cost memory for nothing.
      if (!data) {
        vtables_.erase(it);
        return kNone<TypeId>;
      }
      it->second = read_vtable(word);
    }
    last_word_ = word;
    last_ = it->second;
  }
  const bool fits = last_.base_offset == 0 || last_.base_offset == offset;
  return fits ? last_.type : kNone<TypeId>;
}

bool TypeFinder::is_function(uint64_t pointer) const {
  const Region* region = image_.find_region(Address(pointer));
  // Big-endian 64-bit PowerPC (ELF V1): a pointer to a function is one to its descriptor, in data.
  if (image_.architecture == Architecture::kPpc64 && region != nullptr &&
      region->kind == RegionKind::kModuleData) {
    region = image_.find_region(Address(image_.word(Address(pointer)).value_or(0)));
  }
  return region != nullptr && region->kind == RegionKind::kModuleText;
}

TypeFinder::Vtable TypeFinder::read_vtable(uint64_t address_point) {
  const auto offset_to_top = image_.word(Address(address_point - 2 * words_.size));
  const auto type_info = image_.word(Address(address_point - words_.size));
  const auto first_function = image_.word(Address(address_point));
  if (!offset_to_top || !type_info || !first_function) return {};
  // 0, or how far the complete object begins before the base class: a small negative number.
  const uint64_t base_offset = words_.cut(~*offset_to_top + 1);
  if (base_offset > kMaxBaseOffset || base_offset % words_.size != 0) return {};
  if (!is_function(*first_function)) return {};
  const Module* module = image_.module_of(Address(address_point));
  const std::string module_name(base_name(module->path));
  if (*type_info != 0) {
    const Region* info = image_.find_region(Address(*type_info));
    const bool data = info != nullptr && (info->kind == RegionKind::kModuleData ||
                                          info->kind == RegionKind::kModuleRodata);
    if (!data) return {};
    bool readable = true;
    if (auto name = rtti_name(*type_info, &readable)) {
      return {intern({std::move(*name), module_name, "vtable", "exact"}), base_offset};
    }
    if (!readable) return {nameless_class(address_point, *module), base_offset};
  }
  if (auto name = symbol_name(address_point - 2 * words_.size)) {
    return {intern({std::move(*name), module_name, "vtable", "exact"}), base_offset};
  }
  return {};
}

// Laid out like a vtable, but the pages with its name are neither in the dump nor on disk.
TypeId TypeFinder::nameless_class(uint64_t address_point, const Module& module) {
  const std::string name(base_name(module.path));
  return intern({"class with vtable " + name + "+" + hex(address_point - module.range.base.value()),
                 name, "vtable", "derived"});
}

std::optional<std::string> TypeFinder::rtti_name(uint64_t type_info, bool* readable) const {
  const auto name_at = image_.word(Address(type_info + words_.size));
  *readable = name_at && !image_.view(Address(*name_at), 1).empty();
  if (!*readable) return std::nullopt;
  auto name = image_.c_string(Address(*name_at), kMaxName);
  if (!name) return std::nullopt;
  // A leading '*' marks types that are compared by address (GCC, internal linkage).
  if (name->starts_with('*')) name->remove_prefix(1);
  return demangle_type(std::string(*name));
}

std::optional<std::string> TypeFinder::symbol_name(uint64_t vtable) {
  const auto symbol = symbols_->find_data(Address(vtable));
  if (!symbol || symbol->address != vtable || !symbol->name.starts_with("_ZTV")) {
    return std::nullopt;
  }
  return demangle_type(std::string(symbol->name.substr(4)));
}

TypeId TypeFinder::intern(TypeRow row) {
  const auto [it, is_new] =
      ids_.try_emplace(row.module + '\0' + row.name, static_cast<uint32_t>(rows_.size()));
  if (is_new) rows_.push_back(std::move(row));
  return TypeId(it->second);
}

}  // namespace residue
