#include "symbolize/dwarf/names.h"

#include <algorithm>
#include <optional>

#include "symbolize/demangle.h"
#include "symbolize/dwarf/canonical_names.h"
#include "symbolize/dwarf/scopes.h"

namespace residue::dwarf {
namespace {

// Of prefixes that lead to other prefixes (a class defined outside of its scope).
constexpr int kMaxDepth = 16;
// Prefixes kept; beyond that the memory is worth more than the walks.
constexpr size_t kMaxPrefixes = size_t{1} << 16;
// Of one name; template-heavy code has names of some ten thousand characters.
constexpr size_t kMaxName = size_t{1} << 16;

// How a language joins scopes; empty if its names stand alone (C) or whole (Go, Ada).
std::string_view separator_of(const Unit& unit) {
  if (unit.is_cpp()) return "::";
  switch (unit.root().language) {
    case kLangD:
      return ".";
    case kLangRust:
    case kLangFortran90:
    case kLangFortran95:
    case kLangFortran03:
    case kLangFortran08:
      return "::";
    default:
      return "";
  }
}

bool is_ada(const Unit& unit) {
  const uint16_t language = unit.root().language;
  return language == kLangAda83 || language == kLangAda95 || language == kLangAda2005 ||
         language == kLangAda2012;
}

bool is_fortran(const Unit& unit) {
  const uint16_t language = unit.root().language;
  return language == kLangFortran77 || language == kLangFortran90 || language == kLangFortran95 ||
         language == kLangFortran03 || language == kLangFortran08;
}

// GNAT writes "pck__inner__run" for Pck.Inner.Run, "_ada_main" for a library-level procedure, and
// appends "___" or "__2" where a name stands for several things.
std::string ada_name(std::string_view encoded) {
  if (encoded.starts_with("_ada_")) encoded.remove_prefix(5);
  std::string name;
  for (size_t i = 0; i < encoded.size(); ++i) {
    if (encoded.substr(i, 3) == "___") break;
    if (encoded.substr(i, 2) == "__" && i + 2 < encoded.size() && i != 0) {
      const char after = encoded[i + 2];
      if (after >= '0' && after <= '9') break;
      name += '.';
      ++i;
    } else {
      name += encoded[i];
    }
  }
  return name;
}

}  // namespace

Names::Identity Names::identity_of(const EntryRef& entry) const {
  Identity identity;
  EntryRef at = entry;
  for (int i = 0; i < Unit::kMaxChain; ++i) {
    std::optional<Value> next;
    bool has_name = false;
    at.unit->for_each_attribute(at.entry, [&](uint16_t attribute, const Value& value) {
      const bool linkage = attribute == kAtLinkageName || attribute == kAtMipsLinkageName;
      if (linkage && identity.linkage_name.empty()) identity.linkage_name = at.unit->string(value);
      if (attribute == kAtName) has_name = true;
      if (attribute == kAtSpecification || attribute == kAtAbstractOrigin) next = value;
      return true;
    });
    if (has_name && identity.named.unit == nullptr) identity.named = at;
    // Partial units of dwz may lack the language.
    if (identity.language == nullptr && at.unit->root().language != 0) identity.language = at.unit;
    identity.declaration = at;
    const auto step = next ? at.unit->follow(*next) : std::nullopt;
    if (!step) break;
    at = *step;
  }
  if (identity.language == nullptr) identity.language = entry.unit;
  return identity;
}

std::string Names::own_name(const Unit& unit, const Entry& entry, int depth) {
  std::string name(unit.string(entry, kAtName));
  if (name.size() > kMaxName) name.resize(kMaxName);
  // clang's -gsimple-template-names leaves the arguments to be put together from the entries.
  const bool may_lack = unit.is_cpp() && entry.has_children() && !name.empty() &&
                        name.find('<') == std::string::npos && entry.tag() != kTagNamespace;
  if (may_lack) name += template_arguments(unit, entry, depth + 1);
  return unit.is_cpp() ? canonical_template_name(name) : name;
}

// The names of scopes from the outside in, joined; ends with a separator unless it is empty.
std::string Names::prefix_of_path(const Unit& unit, std::span<const Entry> scopes, int depth) {
  const std::string_view separator = separator_of(unit);
  std::string prefix;
  for (const Entry& scope : scopes) {
    std::string name;
    switch (scope.tag()) {
      case kTagNamespace:
        name = unit.string(scope, kAtName);
        if (name.empty() && unit.is_cpp()) name = "(anonymous namespace)";
        break;
      case kTagModule:
        name = unit.string(scope, kAtName);
        break;
      case kTagClassType:
      case kTagStructureType:
      case kTagUnionType:
      case kTagInterfaceType:
        // A class defined outside of its scope stands where its declaration does.
        if (const auto outer = unit.follow(scope, kAtSpecification)) {
          prefix = prefix_of(*outer, depth + 1);
          name = unit.string(outer->entry, kAtName);
        }
        if (name.empty()) name = own_name(unit, scope, depth);
        if (name.empty()) prefix.clear();
        break;
      case kTagEnumerationType:
        if (unit.flag(scope, kAtEnumClass)) name = unit.string(scope, kAtName);
        break;
      case kTagSubprogram:
      case kTagInlinedSubroutine:
        prefix.clear();
        break;
      default:
        break;
    }
    if (name.empty() || prefix.size() > kMaxName) continue;
    prefix += name;
    prefix += separator;
  }
  return prefix;
}

const std::string& Names::prefix_of(const EntryRef& declaration, int depth) {
  const EntryKey key = declaration.unit->key(declaration.entry);
  if (const auto known = prefixes_.find(key); known != prefixes_.end()) return known->second;
  std::string prefix;
  if (depth < kMaxDepth && !separator_of(*declaration.unit).empty()) {
    const uint64_t offset = declaration.entry.offset;
    const auto paths = find_scopes(*declaration.unit, {&offset, 1});
    prefix = prefix_of_path(*declaration.unit, paths[0], depth);
  }
  if (prefixes_.size() >= kMaxPrefixes) prefixes_.clear();
  return prefixes_.insert_or_assign(key, std::move(prefix)).first->second;
}

void Names::prepare(std::span<const EntryRef> entries) {
  std::vector<EntryRef> wanted;
  for (const EntryRef& entry : entries) {
    const Identity identity = identity_of(entry);
    const EntryRef& declaration = identity.declaration;
    const bool function =
        entry.entry.tag() == kTagSubprogram || entry.entry.tag() == kTagInlinedSubroutine;
    const bool composed = identity.language->root().language == kLangRust;
    if (function && !identity.linkage_name.empty() && !composed) continue;
    const bool known = prefixes_.contains(declaration.unit->key(declaration.entry));
    if (!known && !separator_of(*declaration.unit).empty()) wanted.push_back(declaration);
  }
  const auto before = [](const EntryRef& a, const EntryRef& b) {
    return a.unit != b.unit ? a.unit < b.unit : a.entry.offset < b.entry.offset;
  };
  std::sort(wanted.begin(), wanted.end(), before);
  if (prefixes_.size() + wanted.size() > kMaxPrefixes) prefixes_.clear();
  for (size_t first = 0; first < wanted.size();) {
    const Unit& unit = *wanted[first].unit;
    std::vector<uint64_t> offsets;
    size_t last = first;
    for (; last < wanted.size() && wanted[last].unit == &unit; ++last) {
      offsets.push_back(wanted[last].entry.offset);
    }
    const auto paths = find_scopes(unit, offsets);
    for (size_t i = first; i < last; ++i) {
      budget_ = kMaxTypes;
      prefixes_[unit.key(wanted[i].entry)] = prefix_of_path(unit, paths[i - first], 0);
    }
    first = last;
  }
}

std::string Names::compose(const Identity& identity, int depth) {
  if (identity.named.unit == nullptr) return {};
  const std::string own = own_name(*identity.named.unit, identity.named.entry, depth);
  if (separator_of(*identity.language).empty() || own.empty()) return own;
  std::string name = prefix_of(identity.declaration, depth);
  name += own;
  return name;
}

std::string Names::function(const EntryRef& function) {
  budget_ = kMaxTypes;
  const Identity identity = identity_of(function);
  const Unit& unit = *identity.language;
  const std::string linkage(identity.linkage_name.substr(0, kMaxName));
  if (is_ada(unit)) {
    return ada_name(linkage.empty() ? own_name(*identity.language, function.entry, 0) : linkage);
  }
  // gdb 13 composes the names of Rust, Fortran and Go.
  const uint16_t language = unit.root().language;
  const bool usable = !linkage.empty() && !is_fortran(unit) && language != kLangGo;
  if (usable && language == kLangRust) {
    std::string composed = compose(identity, 0);
    return composed.empty() ? function_name(linkage) : composed;
  }
  if (!usable) return compose(identity, 0);
  std::string name = function_name(linkage);
  // What no demangler understands is better read as the entries have it.
  if (name == linkage && name.starts_with("_Z")) {
    if (std::string composed = compose(identity, 0); !composed.empty()) return composed;
  }
  return name;
}

std::string Names::qualified(const EntryRef& entry) {
  budget_ = kMaxTypes;
  return compose(identity_of(entry), 0);
}

}  // namespace residue::dwarf
