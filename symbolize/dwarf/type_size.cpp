#include "symbolize/dwarf/type_size.h"

#include "symbolize/dwarf/entry_cursor.h"

namespace residue::dwarf {
namespace {

// Types that lead to types: longer chains than this are damage (or a circle).
constexpr int kMaxDepth = 64;
// No type of a process is larger.
constexpr uint64_t kMaxSize = uint64_t{1} << 56;

bool is_alias(uint16_t tag) {
  switch (tag) {
    case kTagTypedef:
    case kTagTemplateAlias:
    case kTagConstType:
    case kTagVolatileType:
    case kTagRestrictType:
    case kTagAtomicType:
    case kTagImmutableType:
    case kTagSharedType:
    case kTagEnumerationType:  // without a size of its own: that of its underlying type
    case kTagSubrangeType:
      return true;
    default:
      return false;
  }
}

// Where arrays begin if the file does not say (DWARF 5, table 7.17).
int64_t default_lower_bound(const Unit& unit) {
  switch (unit.root().language) {
    case kLangAda83:
    case kLangAda95:
    case kLangAda2005:
    case kLangAda2012:
    case kLangFortran77:
    case kLangFortran90:
    case kLangFortran95:
    case kLangFortran03:
    case kLangFortran08:
      return 1;
    default:
      return 0;
  }
}

// The elements of one dimension. Bounds that are expressions or other variables are not constant;
// a dimension without any bound ("int x[]") has none.
uint64_t dimension(const Unit& unit, const Entry& subrange) {
  std::optional<uint64_t> count;
  std::optional<int64_t> upper;
  int64_t lower = default_lower_bound(unit);
  unit.for_each_attribute(subrange, [&](uint16_t attribute, const Value& value) {
    if (!value.is_constant()) return true;
    if (attribute == kAtCount) count = value.number;
    if (attribute == kAtUpperBound) upper = static_cast<int64_t>(value.number);
    // GCC before version 9 writes "no elements" so, as the last one's index.
    if (attribute == kAtUpperBound && value.form == kFormData4 && value.number == UINT32_MAX) {
      upper = -1;
    }
    if (attribute == kAtLowerBound) lower = static_cast<int64_t>(value.number);
    return true;
  });
  if (count) return *count;
  if (!upper || *upper < lower) return 0;
  return static_cast<uint64_t>(*upper) - static_cast<uint64_t>(lower) + 1;
}

}  // namespace

uint64_t array_elements(const EntryRef& type) {
  uint64_t elements = 1;
  EntryCursor walk(*type.unit, type.entry);
  Entry entry;
  while (walk.next(entry)) {
    uint64_t extent = 0;
    if (entry.tag() == kTagSubrangeType) {
      extent = dimension(*type.unit, entry);
    } else if (entry.tag() != kTagEnumerationType) {
      continue;
    }
    walk.skip_children();
    if (extent == 0 || extent > kMaxSize / elements) return 0;
    elements *= extent;
  }
  return elements;
}

uint64_t TypeSizes::array(const EntryRef& type, int depth) {
  const auto element = type.unit->follow(type.entry, kAtType);
  if (!element) return 0;
  const uint64_t size = compute(*element, depth + 1);
  const uint64_t elements = array_elements(type);
  return elements != 0 && size <= kMaxSize / elements ? size * elements : 0;
}

uint64_t TypeSizes::compute(const EntryRef& type, int depth) {
  if (depth > kMaxDepth) return 0;
  const Unit& unit = *type.unit;
  if (const auto size = unit.constant(type.entry, kAtByteSize)) {
    return *size <= kMaxSize ? *size : 0;
  }
  const uint16_t tag = type.entry.tag();
  const unsigned pointer = unit.format().address_size;
  switch (tag) {
    case kTagPointerType:
    case kTagReferenceType:
    case kTagRvalueReferenceType:
      return pointer;
    case kTagPointerToMemberType: {
      // Itanium C++ ABI, 2.3: an offset, or a function and an adjustment of `this`.
      const auto target = unit.follow(type.entry, kAtType);
      return target && target->entry.tag() == kTagSubroutineType ? 2 * pointer : pointer;
    }
    case kTagArrayType:
      return array(type, depth);
    default:
      break;
  }
  // Declarations of types whose definition stands in a type unit name it.
  const auto next = unit.follow(type.entry, is_alias(tag) ? kAtType : kAtSignature);
  return next ? compute(*next, depth + 1) : 0;
}

uint64_t TypeSizes::of(const EntryRef& type) {
  if (type.unit == nullptr) return 0;
  const auto [slot, is_new] = known_.try_emplace(type.unit->key(type.entry), 0);
  if (is_new) slot->second = compute(type, 0);
  return slot->second;
}

uint64_t TypeSizes::of_typed(const EntryRef& entry) {
  const auto found = entry.unit->find_inherited(entry.entry, kAtType);
  if (!found) return 0;
  const auto type = found->where.unit->follow(found->value);
  return type ? of(*type) : 0;
}

}  // namespace residue::dwarf
