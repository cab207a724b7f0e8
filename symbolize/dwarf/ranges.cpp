#include "symbolize/dwarf/ranges.h"

#include <optional>

namespace residue::dwarf {
namespace {

// Of one list. The bytes bound it too; many entries could share one list of a damaged file.
constexpr size_t kMaxRanges = 1 << 16;

struct RangeSink {
  const Unit& unit;
  std::vector<PcRange>& ranges;
  size_t limit;

  void add(uint64_t low, uint64_t high) const {
    if (high > low && !unit.is_dead(low)) ranges.push_back({low, high});
  }
  bool full() const { return ranges.size() >= limit; }
};

uint64_t max_address(const Unit& unit) {
  const unsigned bits = unit.format().address_size * 8U;
  return bits >= 64 ? ~uint64_t{0} : (uint64_t{1} << bits) - 1;
}

// DWARF 2-4: pairs of addresses relative to a base, which the unit's low pc or an entry beginning
// with the largest address sets.
bool read_old_list(Cursor cursor, const RangeSink& sink) {
  const Unit& unit = sink.unit;
  const unsigned size = unit.format().address_size;
  const uint64_t selects_base = max_address(unit);
  uint64_t base = unit.root().low_pc.value_or(0);
  bool dead = false;
  while (!sink.full()) {
    const uint64_t low = cursor.number_of(size);
    const uint64_t high = cursor.number_of(size);
    if (!cursor.ok()) return false;
    if (low == 0 && high == 0) return true;
    if (low == selects_base) {
      base = high;
      dead = unit.is_dead(high);
    } else if (!dead && low != selects_base - 1) {
      sink.add(base + low, base + high);
    }
  }
  return true;
}

// One entry of DWARF 5's list; false at the end of the list or where it is damaged.
struct NewList {
  Cursor cursor;
  const RangeSink& sink;
  uint64_t base = 0;
  bool dead = false;  // offsets are relative to the address of dropped code

  uint64_t indexed() {
    const auto address = sink.unit.indexed_address(cursor.uleb());
    if (!address) cursor.fail();
    return address.value_or(0);
  }
  void set_base(uint64_t address) {
    base = address;
    dead = sink.unit.is_dead(address);
  }
  bool step() {
    const unsigned size = sink.unit.format().address_size;
    uint64_t low = 0;
    switch (cursor.u8()) {
      case kRangeEnd:
        return false;
      case kRangeBaseAddressx:
        set_base(indexed());
        break;
      case kRangeStartxEndx:
        low = indexed();
        sink.add(low, indexed());
        break;
      case kRangeStartxLength:
        low = indexed();
        sink.add(low, low + cursor.uleb());
        break;
      case kRangeOffsetPair: {
        low = cursor.uleb();
        const uint64_t high = cursor.uleb();
        if (!dead) sink.add(base + low, base + high);
        break;
      }
      case kRangeBaseAddress:
        set_base(cursor.number_of(size));
        break;
      case kRangeStartEnd:
        low = cursor.number_of(size);
        sink.add(low, cursor.number_of(size));
        break;
      case kRangeStartLength:
        low = cursor.number_of(size);
        sink.add(low, low + cursor.uleb());
        break;
      default:
        cursor.fail();
        break;
    }
    return cursor.ok() && !sink.full();
  }
};

bool read_new_list(const Cursor& cursor, const RangeSink& sink) {
  NewList list{cursor, sink};
  list.base = sink.unit.root().low_pc.value_or(0);
  while (list.step()) {
  }
  return list.cursor.ok();
}

bool read_list(const Unit& unit, const Value& value, std::vector<PcRange>& ranges) {
  const RangeSink sink{unit, ranges, ranges.size() + kMaxRanges};
  const ByteOrder order = unit.format().order;
  // Lists of a version 4 split unit stand in the main file.
  const bool old_split = unit.format().version < 5 && unit.skeleton() != nullptr;
  const DwarfFile& holder = old_split ? unit.skeleton()->file() : unit.file();
  if (unit.format().version < 5) {
    const uint64_t base = old_split ? unit.root().ranges_base : 0;
    return read_old_list(Cursor(holder.section(Section::kRanges), base + value.number, order),
                         sink);
  }
  const auto section = holder.section(Section::kRnglists);
  uint64_t offset = value.number;
  if (value.form == kFormRnglistx) {
    const unsigned size = unit.format().offset_size;
    const uint64_t base = unit.root().rnglists_base;
    if (value.number > section.size() / size) return false;
    Cursor table(section, base + value.number * size, order);
    offset = base + table.number_of(size);
    if (!table.ok()) return false;
  } else if (unit.file().kind() == DwarfFile::Kind::kSplit) {
    offset += unit.contributions().rnglists.offset;
  }
  return read_new_list(Cursor(section, offset, order), sink);
}

}  // namespace

bool read_ranges(const Unit& unit, const Entry& entry, std::vector<PcRange>& ranges) {
  const bool listed = entry.abbreviation->has_ranges;
  if (!listed && !entry.abbreviation->has_low_pc) return true;
  std::optional<uint64_t> low;
  std::optional<uint64_t> high;
  std::optional<uint64_t> length;
  std::optional<Value> list;
  const bool whole = unit.for_each_attribute(entry, [&](uint16_t attribute, const Value& value) {
    if (attribute == kAtLowPc) low = unit.address(value);
    if (attribute == kAtHighPc) {
      high = unit.address(value);
      if (value.is_constant()) length = value.number;
    }
    if (attribute == kAtRanges) list = value;
    return listed || !low || !(high || length);
  });
  // A unit may have both a low pc (the base of its lists) and ranges.
  if (list) return read_list(unit, *list, ranges) && whole;
  if (!low) return whole;
  if (length) high = *low + *length;
  if (high && *high > *low && !unit.is_dead(*low)) ranges.push_back({*low, *high});
  return whole;
}

namespace {

// One set of .debug_aranges; leaves `cursor` behind it.
bool read_arange_set(Cursor& cursor, std::span<const std::byte> section, ByteOrder order,
                     const std::function<void(uint64_t, PcRange)>& visit) {
  const uint64_t start = cursor.position();
  uint64_t length = cursor.u32();
  const bool wide = length == 0xffffffff;
  if (wide) length = cursor.u64();
  if (!cursor.ok() || length > cursor.remaining()) {
    cursor.fail();
    return false;
  }
  Cursor set(section.first(cursor.position() + length), cursor.position(), order);
  cursor.skip(length);
  const uint16_t version = set.u16();
  const uint64_t unit = set.number_of(wide ? 8 : 4);
  const unsigned address_size = set.u8();
  const unsigned segment_size = set.u8();
  const bool sane = set.ok() && version == 2 && segment_size == 0 &&
                    (address_size == 2 || address_size == 4 || address_size == 8);
  if (!sane) return false;
  // Pairs are aligned to their own size, counted from the start of the set.
  const uint64_t pair = address_size * uint64_t{2};
  set.skip((pair - (set.position() - start) % pair) % pair);
  while (set.remaining() >= pair) {
    const uint64_t low = set.number_of(address_size);
    const uint64_t size = set.number_of(address_size);
    if (low == 0 && size == 0) break;
    if (size != 0 && low + size > low) visit(unit, {low, low + size});
  }
  return set.ok();
}

}  // namespace

bool for_each_arange(const DwarfFile& file,
                     const std::function<void(uint64_t unit, PcRange range)>& visit) {
  const auto section = file.section(Section::kAranges);
  Cursor cursor(section, 0, file.order());
  bool whole = true;
  while (!cursor.at_end()) {
    if (!read_arange_set(cursor, section, file.order(), visit)) whole = false;
  }
  return whole;
}

}  // namespace residue::dwarf
