#include "symbolize/dwarf/globals.h"

#include <algorithm>

#include "symbolize/dwarf/entry_cursor.h"
#include "symbolize/dwarf/expression.h"
#include "symbolize/dwarf/operations.h"

namespace residue::dwarf {
namespace {

// What the linker puts in place of an address in a dropped section is 0 plus the offset that the
// variable had there; nothing but ELF's own headers lies as low as this in a linked file.
constexpr uint64_t kLowestAddress = 0x200;
// Pages of .debug_info that were read are given back after so many bytes.
constexpr uint64_t kReportEvery = uint64_t{1} << 20;

// A static location needs nothing but the file. Thread-local variables are places in the module's
// block, so that "the address" is the offset itself.
class StaticContext : public ExpressionContext {
 public:
  explicit StaticContext(const Unit& unit) : unit_(unit) {}

  std::optional<uint64_t> indexed_address(uint64_t index) const override {
    return unit_.indexed_address(index);
  }
  std::optional<uint64_t> tls(uint64_t offset) const override {
    is_thread_local = true;
    return offset;
  }

  mutable bool is_thread_local = false;

 private:
  const Unit& unit_;
};

bool has_location(const Unit& unit, const Entry& entry) {
  for (const AttributeSpec& spec : unit.abbreviations().specs(*entry.abbreviation)) {
    if (spec.attribute == kAtLocation) return true;
  }
  return false;
}

bool is_class(uint16_t tag) {
  return tag == kTagClassType || tag == kTagStructureType || tag == kTagUnionType ||
         tag == kTagInterfaceType;
}

bool holds_no_variables(uint16_t tag) {
  switch (tag) {
    case kTagEnumerationType:
    case kTagArrayType:
    case kTagSubroutineType:
    case kTagCallSite:
    case kTagGnuCallSite:
      return true;
    default:
      return false;
  }
}

// Of the expressions that a compiler writes for a variable in memory, those that need no look.
bool may_be_static(std::span<const std::byte> expression) {
  if (expression.empty()) return false;
  const auto first = std::to_integer<uint8_t>(expression[0]);
  return first == kOpAddr || first == kOpAddrx || first == kOpGnuAddrIndex || first == kOpConstx ||
         first == kOpGnuConstIndex || (first >= kOpConst1u && first <= kOpConsts) ||
         (first >= kOpLit0 && first <= kOpLit31) || first == kOpPiece;
}

}  // namespace

void Globals::add(std::vector<Record>& records, uint64_t address, uint64_t size, Record rest) {
  rest.low = static_cast<uint32_t>(address);
  rest.high = static_cast<uint32_t>(address >> 32);
  rest.size = static_cast<uint32_t>(std::min<uint64_t>(size, kHuge));
  records.push_back(rest);
}

void Globals::read_variable(const Unit& unit, const Entry& entry, uint32_t index) {
  const auto value = unit.find(entry, kAtLocation);
  if (!value || !value->is_expression_or_block() || !may_be_static(value->bytes)) return;
  const Format& format = unit.format();
  const StaticContext context(unit);
  const auto pieces = evaluate_location(
      value->bytes, {format.order, format.address_size, format.offset_size, format.version},
      context);
  // What depends on the process is no place in the file; what is damaged names no variable.
  if (!pieces) return;
  Record record;
  record.unit = index;
  record.entry = static_cast<uint32_t>(entry.offset - unit.header().offset);
  auto& records = context.is_thread_local ? thread_local_ : static_;
  for (const LocationPiece& piece : *pieces) {
    if (piece.kind != LocationPiece::Kind::kMemory) continue;
    const bool dropped =
        !context.is_thread_local && (unit.is_dead(piece.value) || piece.value < kLowestAddress);
    if (dropped) continue;
    const uint64_t size =
        piece.bit_size != 0 ? piece.bit_size / 8 : sizes_.of_typed({&unit, entry});
    add(records, piece.value, size, record);
  }
}

void Globals::read_unit(const Unit& unit, uint32_t index) {
  EntryCursor walk(unit, unit.root_entry());
  Entry entry;
  uint64_t reported = unit.header().offset;
  // C++ classes only declare their functions and static members, and they are most of .debug_info.
  // GCC defines the functions of local classes (lambdas) in them, though, and Rust all methods.
  const bool classes_only_declare = unit.is_cpp();
  unsigned function_depth = 0;  // of the outermost function around; 0: none
  while (walk.next(entry)) {
    const uint16_t tag = entry.tag();
    if (walk.depth() <= function_depth) function_depth = 0;
    if (tag == kTagSubprogram && function_depth == 0) function_depth = walk.depth();
    if (tag == kTagVariable && has_location(unit, entry)) read_variable(unit, entry, index);
    const bool passes = is_class(tag) && classes_only_declare && function_depth == 0;
    if (passes || holds_no_variables(tag)) walk.skip_children();
    if (entry.offset - reported > kReportEvery) {
      dwarf_.touched(entry.offset - reported);
      reported = entry.offset;
    }
  }
  dwarf_.touched(unit.header().end - reported);
  if (walk.damaged()) {
    dwarf_.report(Severity::kDamage, hex(unit.header().offset),
                  "the unit's entries are damaged; variables behind the damage are not known");
  }
}

void Globals::load() {
  loaded_ = true;
  const size_t units = dwarf_.main().units().size();
  for (size_t i = 0; i < units; ++i) {
    const UnitHeader& header = dwarf_.main().units()[i];
    if (header.is_type_unit() || header.end - header.offset > UINT32_MAX) continue;
    const Unit* unit = dwarf_.main().unit(header);
    if (unit != nullptr) unit = dwarf_.full(*unit);
    if (unit != nullptr) read_unit(*unit, static_cast<uint32_t>(i));
    sizes_.forget();
    dwarf_.trim();
  }
  for (auto* records : {&static_, &thread_local_}) {
    // Inline variables and statics of inline functions have an entry in each unit that uses them.
    // Of several at one address the largest counts: the members of an anonymous union lie in it.
    std::sort(records->begin(), records->end(), [](const Record& a, const Record& b) {
      if (a.address() != b.address()) return a.address() < b.address();
      if (a.size != b.size) return a.size > b.size;
      return a.unit != b.unit ? a.unit < b.unit : a.entry < b.entry;
    });
    const auto last =
        std::unique(records->begin(), records->end(),
                    [](const Record& a, const Record& b) { return a.address() == b.address(); });
    records->erase(last, records->end());
    records->shrink_to_fit();
  }
}

std::optional<EntryRef> Globals::entry_of(const Record& record) {
  const Unit* unit = dwarf_.main().unit(dwarf_.main().units()[record.unit]);
  if (unit != nullptr) unit = dwarf_.full(*unit);
  if (unit == nullptr) return std::nullopt;
  const auto entry = unit->entry_at(unit->header().offset + record.entry);
  if (!entry) return std::nullopt;
  return EntryRef{unit, *entry};
}

std::optional<Globals::Hit> Globals::find_in(const std::vector<Record>& records, uint64_t address) {
  auto after = std::upper_bound(
      records.begin(), records.end(), address,
      [](uint64_t wanted, const Record& record) { return wanted < record.address(); });
  // Marks without a size may stand inside of a variable.
  constexpr int kMaxSteps = 8;
  for (int i = 0; i < kMaxSteps && after != records.begin(); ++i) {
    const Record& record = *--after;
    const uint64_t distance = address - record.address();
    if (record.size == 0 && distance != 0) continue;
    if (record.size != 0 && record.size != kHuge && distance >= record.size) return std::nullopt;
    const auto entry = entry_of(record);
    if (!entry) return std::nullopt;
    const uint64_t size = record.size == kHuge ? sizes_.of_typed(*entry) : record.size;
    if (record.size == kHuge && distance >= size) return std::nullopt;
    return Hit{record.address(), size, entry->unit->key(entry->entry), &records == &thread_local_};
  }
  return std::nullopt;
}

std::optional<Globals::Hit> Globals::find(uint64_t address) {
  if (!loaded_) load();
  return find_in(static_, address);
}

std::optional<Globals::Hit> Globals::find_thread_local(uint64_t offset) {
  if (!loaded_) load();
  return find_in(thread_local_, offset);
}

size_t Globals::count() {
  if (!loaded_) load();
  return static_.size() + thread_local_.size();
}

}  // namespace residue::dwarf
