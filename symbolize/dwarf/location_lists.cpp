#include "symbolize/dwarf/location_lists.h"

#include <optional>

namespace residue::dwarf {
namespace {

constexpr size_t kMaxLocations = 1 << 16;

uint64_t max_address(const Unit& unit) {
  const unsigned bits = unit.format().address_size * 8U;
  return bits >= 64 ? ~uint64_t{0} : (uint64_t{1} << bits) - 1;
}

struct ListReader {
  const Unit& unit;
  Cursor cursor;
  std::vector<LocationEntry> entries = {};
  uint64_t base = 0;
  bool dead = false;  // offsets are relative to the address of dropped code

  unsigned address_size() const { return unit.format().address_size; }
  void set_base(uint64_t address) {
    base = address;
    dead = unit.is_dead(address);
  }
  uint64_t indexed(uint64_t index) {
    const auto address = unit.indexed_address(index);
    if (!address) cursor.fail();
    return address.value_or(0);
  }
  void add(uint64_t low, uint64_t high, std::span<const std::byte> expression) {
    if (cursor.ok() && high > low && !dead) entries.push_back({low, high, false, expression});
  }
  bool goes_on() const { return cursor.ok() && entries.size() < kMaxLocations; }
};

// .debug_loc of DWARF 2-4: pairs of addresses relative to a base, each with an expression.
void read_old_list(ListReader& list) {
  const uint64_t selects_base = max_address(list.unit);
  while (list.goes_on()) {
    const uint64_t low = list.cursor.number_of(list.address_size());
    const uint64_t high = list.cursor.number_of(list.address_size());
    if (low == 0 && high == 0) return;
    if (low == selects_base) {
      list.set_base(high);
      continue;
    }
    const auto expression = list.cursor.block(list.cursor.u16());
    list.add(list.base + low, list.base + high, expression);
  }
}

// .debug_loc.dwo of DWARF 4 as GCC and clang write it: kinds as in version 5, but the length of
// startx_length has four bytes, the one of an expression two, and offset pairs are four bytes each.
void read_gnu_split_list(ListReader& list) {
  Cursor& cursor = list.cursor;
  while (list.goes_on()) {
    uint64_t low = 0;
    uint64_t high = 0;
    switch (cursor.u8()) {
      case kLocationEnd:
        return;
      case kLocationBaseAddressx:
        list.set_base(list.indexed(cursor.uleb()));
        continue;
      case kLocationStartxEndx:
        low = list.indexed(cursor.uleb());
        high = list.indexed(cursor.uleb());
        break;
      case kLocationStartxLength:
        low = list.indexed(cursor.uleb());
        high = low + cursor.u32();
        break;
      case kLocationOffsetPair:
        low = list.base + cursor.u32();
        high = list.base + cursor.u32();
        break;
      default:
        cursor.fail();
        continue;
    }
    const auto expression = cursor.block(cursor.u16());
    list.add(low, high, expression);
  }
}

// One entry of .debug_loclists; false at the end of the list.
bool read_new_entry(ListReader& list) {
  Cursor& cursor = list.cursor;
  const unsigned size = list.address_size();
  uint64_t low = 0;
  uint64_t high = 0;
  bool absolute = true;
  switch (cursor.u8()) {
    case kLocationEnd:
      return false;
    case kLocationBaseAddressx:
      list.set_base(list.indexed(cursor.uleb()));
      return true;
    case kLocationBaseAddress:
      list.set_base(cursor.number_of(size));
      return true;
    case kLocationGnuViewPair:
      cursor.skip_leb();
      cursor.skip_leb();
      return true;
    case kLocationDefault: {
      const auto expression = cursor.block(cursor.uleb());
      if (cursor.ok()) list.entries.push_back({0, 0, true, expression});
      return true;
    }
    case kLocationStartxEndx:
      low = list.indexed(cursor.uleb());
      high = list.indexed(cursor.uleb());
      break;
    case kLocationStartxLength:
      low = list.indexed(cursor.uleb());
      high = low + cursor.uleb();
      break;
    case kLocationOffsetPair:
      low = list.base + cursor.uleb();
      high = list.base + cursor.uleb();
      absolute = false;
      break;
    case kLocationStartEnd:
      low = cursor.number_of(size);
      high = cursor.number_of(size);
      break;
    case kLocationStartLength:
      low = cursor.number_of(size);
      high = low + cursor.uleb();
      break;
    default:
      cursor.fail();
      return false;
  }
  const auto expression = cursor.block(cursor.uleb());
  const bool dead = list.dead;
  if (absolute) list.dead = list.unit.is_dead(low);
  list.add(low, high, expression);
  list.dead = dead;
  return true;
}

std::optional<uint64_t> new_list_offset(const Unit& unit, const Value& value) {
  if (value.form != kFormLoclistx) return value.number + unit.contributions().loclists.offset;
  const unsigned size = unit.format().offset_size;
  const auto section = unit.file().section(Section::kLoclists);
  if (value.number > section.size() / size) return std::nullopt;
  const uint64_t base = unit.root().loclists_base;
  Cursor table(section, base + value.number * size, unit.format().order);
  const uint64_t offset = base + table.number_of(size);
  if (!table.ok()) return std::nullopt;
  return offset;
}

}  // namespace

std::vector<LocationEntry> read_locations(const Unit& unit, const Value& value) {
  if (value.is_expression_or_block()) return {{0, 0, true, value.bytes}};
  if (!value.is_list()) return {};
  const ByteOrder order = unit.format().order;
  const uint64_t base = unit.root().low_pc.value_or(0);
  if (unit.format().version >= 5) {
    const auto offset = new_list_offset(unit, value);
    if (!offset) return {};
    ListReader list{
        unit, Cursor(unit.file().section(Section::kLoclists), *offset, order), {}, base};
    while (list.goes_on() && read_new_entry(list)) {
    }
    return list.entries;
  }
  const uint64_t offset = value.number + unit.contributions().loc.offset;
  ListReader list{unit, Cursor(unit.file().section(Section::kLoc), offset, order), {}, base};
  if (unit.file().kind() == DwarfFile::Kind::kSplit) {
    read_gnu_split_list(list);
  } else {
    read_old_list(list);
  }
  return list.entries;
}

std::span<const std::byte> location_at(const Unit& unit, const Value& value, uint64_t pc) {
  std::span<const std::byte> fallback;
  for (const LocationEntry& entry : read_locations(unit, value)) {
    if (entry.is_default) {
      fallback = entry.expression;
    } else if (pc >= entry.low && pc < entry.high) {
      return entry.expression;
    }
  }
  return fallback;
}

}  // namespace residue::dwarf
