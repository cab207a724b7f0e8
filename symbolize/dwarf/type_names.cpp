// The part of Names that writes types and template arguments.
#include <optional>

#include "formats/base/text.h"
#include "symbolize/dwarf/canonical_names.h"
#include "symbolize/dwarf/entry_cursor.h"
#include "symbolize/dwarf/names.h"

namespace residue::dwarf {
namespace {

// Types made of types made of types: damaged ones may lead back to themselves.
constexpr int kMaxDepth = 32;
// Parameters, dimensions or template arguments written; and characters of a name.
constexpr size_t kMaxParts = 256;
constexpr size_t kMaxName = size_t{1} << 16;

std::string join(const std::vector<std::string>& parts) {
  std::string text;
  for (const std::string& part : parts) {
    if (text.size() > kMaxName) break;
    if (!text.empty()) text += ", ";
    text += part;
  }
  return text;
}

// "name inner", without a space that nothing follows.
std::string before(std::string name, const std::string& inner) {
  if (inner.empty()) return name;
  name += ' ';
  name += inner;
  return name;
}

// A type that does not stand alone but says something of another one; null for names.
const char* mark_of(uint16_t tag) {
  switch (tag) {
    case kTagPointerType:
      return "*";
    case kTagReferenceType:
      return "&";
    case kTagRvalueReferenceType:
      return "&&";
    default:
      return nullptr;
  }
}

// Qualifiers of one type, in the order in which they are written.
struct Qualifiers {
  bool is_const = false;
  bool is_volatile = false;
  bool is_restrict = false;
  bool is_atomic = false;

  bool take(uint16_t tag) {
    switch (tag) {
      case kTagConstType:
        return is_const = true;
      case kTagVolatileType:
        return is_volatile = true;
      case kTagRestrictType:
        return is_restrict = true;
      case kTagAtomicType:
        return is_atomic = true;
      default:
        return false;
    }
  }
  // Each with a space behind it.
  std::string text(bool is_cpp) const {
    std::string all;
    if (is_const) all += "const ";
    if (is_volatile) all += "volatile ";
    if (is_restrict) all += is_cpp ? "__restrict__ " : "restrict ";
    if (is_atomic) all += "_Atomic ";
    return all;
  }
};

// C needs "struct" before a name; so do the languages that gdb takes for C.
bool is_c_unit(const Unit& unit) {
  switch (unit.root().language) {
    case 0x01:  // DW_LANG_C89
    case 0x02:  // DW_LANG_C
    case 0x0c:  // DW_LANG_C99
    case 0x1d:  // DW_LANG_C11
    case 0x2c:  // DW_LANG_C17
    case 0x3e:  // DW_LANG_C23
      return true;
    default:
      return false;
  }
}

// "struct" and the like, as C writes them before a name.
const char* keyword_of(uint16_t tag) {
  switch (tag) {
    case kTagClassType:
      return "class";
    case kTagStructureType:
      return "struct";
    case kTagUnionType:
      return "union";
    case kTagEnumerationType:
      return "enum";
    default:
      return nullptr;
  }
}

std::string dimension(const Unit& unit, const Entry& subrange) {
  if (const auto count = unit.constant(subrange, kAtCount)) {
    return "[" + std::to_string(*count) + "]";
  }
  const auto last = unit.find(subrange, kAtUpperBound);
  if (!last) return unit.find(subrange, kAtCount) ? "[variable length]" : "[]";
  if (!last->is_constant()) return "[variable length]";
  // GCC writes -1 for arrays without elements, before version 9 as four bytes.
  const bool none = last->form == kFormData4 && last->number == UINT32_MAX;
  return "[" + std::to_string(none ? 0 : last->number + 1) + "]";
}

std::string dimensions(const EntryRef& array) {
  std::string text;
  EntryCursor walk(*array.unit, array.entry);
  Entry child;
  for (size_t i = 0; i < kMaxParts && walk.next(child); ++i) {
    if (child.tag() == kTagSubrangeType) text += dimension(*array.unit, child);
    walk.skip_children();
  }
  return text.empty() ? "[]" : text;
}

// The value of a template parameter in the way of C++.
std::string value_text(const Unit& unit, const Entry& parameter) {
  const auto value = unit.find(parameter, kAtConstValue);
  if (!value || !value->is_constant()) return "?";
  EntryRef type{};
  if (const auto found = unit.follow(parameter, kAtType)) type = *found;
  const auto encoding =
      type.unit == nullptr ? std::nullopt : type.unit->constant(type.entry, kAtEncoding);
  if (encoding == kEncodingBoolean) return value->number != 0 ? "true" : "false";
  if (encoding == kEncodingUnsigned || encoding == kEncodingUnsignedChar) {
    return std::to_string(value->number);
  }
  return std::to_string(static_cast<int64_t>(value->number));
}

}  // namespace

std::string Names::type(const EntryRef& type) {
  budget_ = kMaxTypes;
  return type_name(type, 0);
}

std::string Names::type_name(const EntryRef& type, int depth) { return declare(type, {}, depth); }

// The declaration of `inner` as something of this type, the way C is read: from the inside out.
std::string Names::declare(const EntryRef& type, std::string inner, int depth) {
  if (type.unit == nullptr) return before("void", inner);
  if (depth > kMaxDepth || inner.size() > kMaxName || --budget_ < 0) return before("...", inner);
  const uint16_t tag = type.entry.tag();
  const auto target = [&] { return type.unit->follow(type.entry, kAtType).value_or(EntryRef{}); };
  if (const char* mark = mark_of(tag)) {
    const EntryRef to = target();
    inner = mark + inner;
    const uint16_t pointed = to.unit == nullptr ? uint16_t{0} : to.entry.tag();
    if (pointed == kTagArrayType || pointed == kTagSubroutineType) {
      inner.insert(0, "(");
      inner += ')';
    }
    return declare(to, std::move(inner), depth + 1);
  }
  Qualifiers qualifiers;
  if (qualifiers.take(tag)) return declare_qualified(type, std::move(inner), depth + 1);
  switch (tag) {
    case kTagArrayType:
      return declare(target(), std::move(inner).append(dimensions(type)), depth + 1);
    case kTagSubroutineType:
      return declare(target(), std::move(inner).append(parameters(type, depth + 1)), depth + 1);
    case kTagPointerToMemberType: {
      const auto of = type.unit->follow(type.entry, kAtContainingType).value_or(EntryRef{});
      inner.insert(0, type_name(of, depth + 1).append("::*"));
      const EntryRef to = target();
      if (to.unit != nullptr && to.entry.tag() == kTagSubroutineType) {
        inner.insert(0, "(");
        inner += ')';
      }
      return declare(to, std::move(inner), depth + 1);
    }
    default:
      break;
  }
  std::string name = compose(identity_of(type), depth + 1);
  const char* keyword = keyword_of(tag);
  if (tag == kTagBaseType) name = canonical_base_type(name);
  if (name.empty()) name = keyword == nullptr ? "?" : std::string(keyword).append(" {...}");
  // C needs the keyword; the other languages do not write it.
  const bool is_c = keyword != nullptr && !name.ends_with("{...}") && is_c_unit(*type.unit);
  if (is_c) name.insert(0, std::string(keyword).append(" "));
  return before(std::move(name), inner);
}

std::string Names::declare_qualified(const EntryRef& type, std::string inner, int depth) {
  Qualifiers qualifiers;
  EntryRef to = type;
  // Of an array they are those of its elements.
  std::string extents;
  for (int i = 0; i < kMaxDepth && to.unit != nullptr; ++i) {
    if (to.entry.tag() == kTagArrayType) {
      extents += dimensions(to);
    } else if (!qualifiers.take(to.entry.tag())) {
      break;
    }
    to = to.unit->follow(to.entry, kAtType).value_or(EntryRef{});
  }
  // Of a pointer they are written behind, of all else before.
  std::string text = qualifiers.text(type.unit->is_cpp());
  if (to.unit == nullptr || mark_of(to.entry.tag()) == nullptr) {
    return text.append(declare(to, std::move(inner.append(extents)), depth + 1));
  }
  inner += extents;
  if (inner.empty() || inner[0] == '[') text.pop_back();
  text.insert(0, " ").append(inner);
  return declare(to, std::move(text), depth + 1);
}

std::string Names::parameters(const EntryRef& type, int depth) {
  std::vector<std::string> parts;
  EntryCursor walk(*type.unit, type.entry);
  Entry child;
  while (parts.size() < kMaxParts && walk.next(child)) {
    if (child.tag() == kTagFormalParameter) {
      const auto of = type.unit->follow(child, kAtType).value_or(EntryRef{});
      parts.push_back(type_name(of, depth + 1));
      // GCC leaves out that `this` is const; clang leaves out that there is one at all.
      const bool is_this = parts.size() == 1 && type.unit->is_cpp() &&
                           type.unit->flag(child, kAtArtificial) && parts[0].ends_with('*');
      if (is_this) parts[0] += " const";
    } else if (child.tag() == kTagUnspecifiedParameters) {
      parts.emplace_back("...");
    }
    walk.skip_children();
  }
  const bool prototyped = type.unit->is_cpp() || type.unit->flag(type.entry, kAtPrototyped);
  // "int f();" of C says nothing of the parameters.
  if (!prototyped && parts.size() == 1 && parts[0] == "...") parts.clear();
  const bool none = parts.empty() && prototyped;
  return none ? "(void)" : "(" + join(parts) + ")";
}

void Names::append_template_arguments(const Unit& unit, const Entry& parent, int depth,
                                      std::vector<std::string>& arguments) {
  EntryCursor walk(unit, parent);
  Entry child;
  while (arguments.size() < kMaxParts && walk.next(child)) {
    switch (child.tag()) {
      case kTagTemplateTypeParameter:
        arguments.push_back(type_name(unit.follow(child, kAtType).value_or(EntryRef{}), depth + 1));
        break;
      case kTagTemplateValueParameter:
        arguments.push_back(value_text(unit, child));
        break;
      case kTagGnuTemplateTemplateParam:
        arguments.emplace_back(unit.string(child, kAtName));
        break;
      case kTagGnuTemplateParameterPack:
        if (depth < kMaxDepth) append_template_arguments(unit, child, depth + 1, arguments);
        break;
      default:
        break;
    }
    walk.skip_children();
  }
}

// "<int, 3>"; empty if the entry is no template.
std::string Names::template_arguments(const Unit& unit, const Entry& entry, int depth) {
  if (depth > kMaxDepth) return {};
  std::vector<std::string> arguments;
  append_template_arguments(unit, entry, depth, arguments);
  if (arguments.empty()) return {};
  std::string text = "<";
  text += join(arguments);
  if (text.back() == '>') text += ' ';
  text += '>';
  return text;
}

}  // namespace residue::dwarf
