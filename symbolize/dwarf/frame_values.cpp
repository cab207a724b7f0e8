#include "symbolize/dwarf/frame_values.h"

#include "symbolize/dwarf/entry_cursor.h"
#include "symbolize/dwarf/leb128.h"
#include "symbolize/dwarf/location_lists.h"
#include "symbolize/dwarf/module_dwarf.h"
#include "symbolize/dwarf/operations.h"

namespace residue::dwarf {
namespace {

// Callers that one value may be asked through: what was passed may be what the caller was passed.
constexpr unsigned kMaxCallers = 4;

bool is_call_site(uint16_t tag) { return tag == kTagCallSite || tag == kTagGnuCallSite; }

bool is_call_parameter(uint16_t tag) {
  return tag == kTagCallSiteParameter || tag == kTagGnuCallSiteParameter;
}

// The call that returns to `pc` in a function. GNU's sites of DWARF 4 have the return address as
// their low pc.
std::optional<Entry> find_call_site(const Unit& unit, const Entry& function, uint64_t pc) {
  EntryCursor walk(unit, function);
  Entry entry;
  while (walk.next(entry)) {
    if (!is_call_site(entry.tag())) continue;
    const uint16_t attribute = entry.tag() == kTagCallSite ? kAtCallReturnPc : kAtLowPc;
    const auto value = unit.find(entry, attribute);
    if (value && unit.address(*value) == pc) return entry;
    walk.skip_children();
  }
  return std::nullopt;
}

// The function that a call site names; nullopt for calls through pointers.
std::optional<EntryRef> callee_of(const Unit& unit, const Entry& site) {
  const auto origin = unit.follow(site, kAtCallOrigin);
  return origin ? origin : unit.follow(site, kAtAbstractOrigin);
}

// What all entries of one function have in common: the entry that the others complete and
// instantiate, and the name by which linkers know it.
struct FunctionIdentity {
  EntryKey root;
  std::string_view linkage_name;
  std::string_view name;
};

FunctionIdentity identity_of(EntryRef function) {
  FunctionIdentity identity;
  for (int i = 0; i <= Unit::kMaxChain; ++i) {
    const Unit& unit = *function.unit;
    identity.root = unit.key(function.entry);
    if (identity.linkage_name.empty()) {
      identity.linkage_name = unit.string(function.entry, kAtLinkageName);
    }
    if (identity.name.empty()) identity.name = unit.string(function.entry, kAtName);
    auto next = unit.follow(function.entry, kAtSpecification);
    if (!next) next = unit.follow(function.entry, kAtAbstractOrigin);
    if (!next) break;
    function = *next;
  }
  return identity;
}

// A call names a declaration where the definition is in another unit: those have only names in
// common.
bool same_function(const EntryRef& a, const EntryRef& b) {
  const FunctionIdentity x = identity_of(a);
  const FunctionIdentity y = identity_of(b);
  if (x.root == y.root) return true;
  if (!x.linkage_name.empty() || !y.linkage_name.empty()) return x.linkage_name == y.linkage_name;
  return !x.name.empty() && x.name == y.name;
}

// The register that an expression names as a whole: DW_OP_reg5, DW_OP_regx 5, or, for a value with
// a type, DW_OP_regval_type 5 and its type.
std::optional<uint64_t> register_of(std::span<const std::byte> expression) {
  ByteCursor cursor(expression, ByteOrder::kLittle);
  const uint8_t first = cursor.read<uint8_t>().value_or(0);
  uint64_t number = 0;
  if (first >= kOpReg0 && first <= kOpReg31) {
    number = first - kOpReg0;
  } else if (first == kOpRegx || first == kOpRegvalType || first == kOpGnuRegvalType) {
    const auto read = read_uleb128(cursor);
    if (!read) return std::nullopt;
    number = *read;
    if (first != kOpRegx && !read_uleb128(cursor)) return std::nullopt;
  } else {
    return std::nullopt;
  }
  if (cursor.remaining() != 0) return std::nullopt;
  return number;
}

LocationPiece constant_piece(const Value& constant) {
  LocationPiece piece;
  if (constant.is_constant()) {
    piece.kind = LocationPiece::Kind::kValue;
    piece.value = constant.number;
  } else if (!constant.bytes.empty()) {
    piece.kind = LocationPiece::Kind::kImplicit;
    piece.bytes = constant.bytes;
  }
  return piece;
}

}  // namespace

ExpressionFormat FrameValues::format() const {
  const Format& format = place_.unit->format();
  return {format.order, format.address_size, format.offset_size, format.version};
}

std::vector<LocationPiece> FrameValues::pieces_of(const ScopedVariable& variable) const {
  if (variable.location.empty()) {
    return {variable.constant ? constant_piece(*variable.constant) : LocationPiece{}};
  }
  auto pieces = evaluate_location(variable.location, format(), *this);
  // Registers that are not known any more are the common case, not damage.
  if (!pieces || pieces->empty()) return {LocationPiece{}};
  return std::move(pieces).value();
}

Result<uint64_t> FrameValues::value_of(std::span<const std::byte> expression) const {
  return evaluate_value(expression, format(), *this);
}

std::optional<uint64_t> FrameValues::frame_base() const {
  const auto expression = place_.scopes->frame_base;
  // A frame base that is an offset from the frame base is damage.
  if (expression.empty() || in_frame_base_) return std::nullopt;
  in_frame_base_ = true;
  const auto pieces = evaluate_location(expression, format(), *this);
  in_frame_base_ = false;
  if (!pieces || pieces->size() != 1) return std::nullopt;
  const LocationPiece& place = pieces->front();
  switch (place.kind) {
    case LocationPiece::Kind::kRegister:  // the base is what the register holds
      return frame_.reg(static_cast<unsigned>(place.value));
    case LocationPiece::Kind::kMemory:
    case LocationPiece::Kind::kValue:
      return place.value;
    default:
      return std::nullopt;
  }
}

std::optional<BaseType> FrameValues::base_type(uint64_t die) const {
  const Unit& unit = *place_.unit;
  const auto entry = unit.entry_at(unit.header().offset + die);
  if (!entry || entry->tag() != kTagBaseType) return std::nullopt;
  BaseType type;
  type.size = static_cast<unsigned>(unit.constant(*entry, kAtByteSize).value_or(0));
  type.encoding = static_cast<uint8_t>(unit.constant(*entry, kAtEncoding).value_or(0));
  return type;
}

std::optional<std::span<const std::byte>> FrameValues::called(uint64_t die, bool in_section) const {
  const Unit& unit = *place_.unit;
  Value reference;
  reference.form = in_section ? kFormRefAddr : kFormRef4;
  reference.number = die;
  const auto entry = unit.follow(reference);
  if (!entry) return std::nullopt;
  const auto location = entry->unit->find(entry->entry, kAtLocation);
  if (!location) return std::span<const std::byte>();
  return location_at(*entry->unit, *location, pc_);
}

// A call through a pointer may say what it called, by an expression in the caller's frame.
bool FrameValues::calls_this(const Unit& unit, const Entry& site, const FrameValues& caller) const {
  if (const auto callee = callee_of(unit, site)) {
    const auto own = place_.unit->entry_at(place_.scopes->function.offset);
    return own && same_function(*callee, {place_.unit, *own});
  }
  const uint16_t attribute = site.tag() == kTagCallSite ? kAtCallTarget : kAtGnuCallSiteTarget;
  const auto target = unit.find(site, attribute);
  if (!target || !target->is_expression_or_block()) return false;
  const auto address = caller.value_of(target->bytes);
  return address && *address == frame_.relocate(place_.scopes->entry_pc);
}

// What the caller passed for the parameter that `is_it` knows, by the caller's own description of
// the call. It counts only if that call was to this function: after a tail call the function that
// was called is not the one that runs.
std::optional<uint64_t> FrameValues::passed(
    const std::function<bool(const Unit&, const Entry&)>& is_it) const {
  const FrameContext* caller = frame_.caller();
  if (caller == nullptr || depth_ >= kMaxCallers) return std::nullopt;
  const uint64_t return_address = frame_.return_address();
  const Place place = find_(return_address - 1);
  if (place.unit == nullptr || place.scopes == nullptr) return std::nullopt;
  const Unit& unit = *place.unit;
  const auto function = unit.entry_at(place.scopes->function.offset);
  if (!function) return std::nullopt;
  const auto site = find_call_site(unit, *function, return_address);
  const FrameValues outer(place, return_address - 1, *caller, find_, depth_ + 1);
  if (!site || !calls_this(unit, *site, outer)) return std::nullopt;
  EntryCursor walk(unit, *site);
  Entry entry;
  while (walk.next(entry)) {
    walk.skip_children();
    if (!is_call_parameter(entry.tag()) || !is_it(unit, entry)) continue;
    const uint16_t attribute =
        entry.tag() == kTagCallSiteParameter ? kAtCallValue : kAtGnuCallSiteValue;
    const auto value = unit.find(entry, attribute);
    if (!value || !value->is_expression_or_block()) return std::nullopt;
    const auto number = outer.value_of(value->bytes);
    if (!number) return std::nullopt;
    return *number;
  }
  return std::nullopt;
}

std::optional<uint64_t> FrameValues::entry_value(std::span<const std::byte> expression) const {
  const auto wanted = register_of(expression);
  if (!wanted) return std::nullopt;
  return passed([&](const Unit& unit, const Entry& parameter) {
    const auto location = unit.find(parameter, kAtLocation);
    return location && location->is_expression_or_block() && register_of(location->bytes) == wanted;
  });
}

std::optional<uint64_t> FrameValues::parameter(uint64_t die) const {
  const Unit& own = *place_.unit;
  const EntryKey wanted{&own.file(), own.header().in_types, own.header().offset + die};
  return passed([&](const Unit& unit, const Entry& parameter) {
    auto named = unit.follow(parameter, kAtCallParameter);
    if (!named) named = unit.follow(parameter, kAtAbstractOrigin);
    return named && named->unit->key(named->entry) == wanted;
  });
}

}  // namespace residue::dwarf
