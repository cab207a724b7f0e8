#include "symbolize/dwarf/package_index.h"

#include <algorithm>

namespace residue::dwarf {
namespace {

// Numbers of sections end at 8 in both versions.
constexpr uint64_t kMaxColumns = 16;

// Where a column's offset and size go; null for sections that nothing here reads.
Contribution* part_of(PackageRow& row, uint32_t section, uint16_t version) {
  switch (section) {
    case kPackageInfo:
      return &row.unit;
    case kPackageTypes:
      if (version >= 5) return nullptr;
      row.in_types = true;
      return &row.unit;
    case kPackageAbbrev:
      return &row.parts.abbrev;
    case kPackageLine:
      return &row.parts.line;
    case kPackageLoc:
      return version >= 5 ? &row.parts.loclists : &row.parts.loc;
    case kPackageStrOffsets:
      return &row.parts.str_offsets;
    case kPackageRnglists:
      return version >= 5 ? &row.parts.rnglists : nullptr;
    default:
      return nullptr;
  }
}

}  // namespace

PackageIndex::PackageIndex(std::span<const std::byte> section, ByteOrder order) {
  if (section.empty()) return;
  Cursor cursor(section, 0, order);
  // Version 5 keeps its number in two bytes and two of padding; version 2 in four.
  version_ = cursor.u16();
  const uint16_t high = cursor.u16();
  if (version_ == 0) version_ = high;
  const uint64_t column_count = cursor.u32();
  const uint64_t units = cursor.u32();
  const uint64_t slots = cursor.u32();
  damaged_ = !cursor.ok() || (version_ != 2 && version_ != 5) || column_count > kMaxColumns ||
             slots > cursor.remaining() / 12;
  if (damaged_) return;
  Cursor ids = cursor;
  cursor.skip(slots * 8);
  std::vector<std::pair<uint32_t, uint64_t>> used;  // row, id
  for (uint64_t i = 0; i < slots; ++i) {
    const uint64_t id = ids.u64();
    const uint32_t row = cursor.u32();
    if (row != 0 && row <= units) used.emplace_back(row - 1, id);
  }
  std::vector<uint32_t> columns(column_count);
  for (uint32_t& column : columns) column = cursor.u32();
  damaged_ = !cursor.ok() || !read_columns(cursor, columns, units, used);
}

bool PackageIndex::read_columns(Cursor cursor, const std::vector<uint32_t>& columns, uint64_t units,
                                const std::vector<std::pair<uint32_t, uint64_t>>& used) {
  const uint64_t width = columns.size() * 4;
  if (width == 0) return used.empty();
  if (units > cursor.remaining() / (width * 2)) return false;
  for (const auto& [index, id] : used) {
    PackageRow row;
    row.id = id;
    Cursor offsets = cursor;
    offsets.skip(index * width);
    Cursor sizes = cursor;
    sizes.skip((units + index) * width);
    for (const uint32_t column : columns) {
      const Contribution part{offsets.u32(), sizes.u32(), true};
      // A unit has its bytes in one of info and types; the other column is empty.
      const bool holds_unit = column == kPackageInfo || column == kPackageTypes;
      if (holds_unit && part.size == 0) continue;
      if (Contribution* place = part_of(row, column, version_)) *place = part;
    }
    if (row.unit.packaged) rows_.push_back(row);
  }
  std::sort(rows_.begin(), rows_.end(),
            [](const PackageRow& a, const PackageRow& b) { return a.id < b.id; });
  for (uint32_t i = 0; i < rows_.size(); ++i) {
    if (!rows_[i].in_types) by_offset_.push_back(i);
  }
  std::sort(by_offset_.begin(), by_offset_.end(),
            [this](uint32_t a, uint32_t b) { return rows_[a].unit.offset < rows_[b].unit.offset; });
  return true;
}

const PackageRow* PackageIndex::find(uint64_t id) const {
  const auto found =
      std::lower_bound(rows_.begin(), rows_.end(), id,
                       [](const PackageRow& row, uint64_t wanted) { return row.id < wanted; });
  return found != rows_.end() && found->id == id ? &*found : nullptr;
}

const PackageRow* PackageIndex::holding(uint64_t offset) const {
  const auto after = std::upper_bound(
      by_offset_.begin(), by_offset_.end(), offset,
      [this](uint64_t wanted, uint32_t row) { return wanted < rows_[row].unit.offset; });
  if (after == by_offset_.begin()) return nullptr;
  const PackageRow& row = rows_[*(after - 1)];
  return offset - row.unit.offset < row.unit.size ? &row : nullptr;
}

}  // namespace residue::dwarf
