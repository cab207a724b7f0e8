#include "symbolize/dwarf/unit_header.h"

#include <string>

namespace residue::dwarf {
namespace {

// Lengths from here on are escapes (DWARF 5, 7.4); the last one announces 64-bit DWARF.
constexpr uint32_t kReservedLengths = 0xfffffff0;
constexpr uint32_t kDwarf64 = 0xffffffff;

Error damage(ErrorCode code, std::string what, uint64_t offset) {
  return Error{code, std::move(what), FileOffset(offset)};
}

}  // namespace

Result<void> read_unit_header(std::span<const std::byte> section, uint64_t offset, ByteOrder order,
                              bool in_types, UnitHeader& header) {
  header = UnitHeader{};
  header.offset = offset;
  header.in_types = in_types;
  header.end = section.size();
  Cursor cursor(section, offset, order);
  uint64_t length = cursor.u32();
  if (length == kDwarf64) {
    header.format.offset_size = 8;
    length = cursor.u64();
  } else if (length >= kReservedLengths) {
    return damage(ErrorCode::kUnsupported, "a unit's length is a reserved value", offset);
  }
  if (!cursor.ok()) return damage(ErrorCode::kTruncated, "a unit's header is cut off", offset);
  if (length > cursor.remaining()) {
    return damage(ErrorCode::kTruncated, "a unit reaches behind the end of its section", offset);
  }
  header.end = cursor.position() + length;
  header.format.order = order;
  const uint16_t version = cursor.u16();
  if (version < 2 || version > 5) {
    return damage(ErrorCode::kUnsupported, "DWARF version " + std::to_string(version), offset);
  }
  header.format.version = static_cast<uint8_t>(version);
  header.type = in_types ? kUnitType : kUnitCompile;
  if (version >= 5) {
    header.type = cursor.u8();
    header.format.address_size = cursor.u8();
    header.abbrev_offset = cursor.number_of(header.format.offset_size);
  } else {
    header.abbrev_offset = cursor.number_of(header.format.offset_size);
    header.format.address_size = cursor.u8();
  }
  const bool split = header.type == kUnitSkeleton || header.type == kUnitSplitCompile;
  if (header.is_type_unit() || (version >= 5 && split)) header.id = cursor.u64();
  if (header.is_type_unit()) {
    header.type_entry = offset + cursor.number_of(header.format.offset_size);
  }
  header.first_entry = cursor.position();
  if (!cursor.ok() || header.first_entry > header.end) {
    return damage(ErrorCode::kTruncated, "a unit's header is cut off", offset);
  }
  if (header.type < kUnitCompile || header.type > kUnitSplitType) {
    return damage(ErrorCode::kUnsupported, "unit type " + std::to_string(header.type), offset);
  }
  const unsigned size = header.format.address_size;
  if (size != 1 && size != 2 && size != 4 && size != 8) {
    return damage(ErrorCode::kUnsupported, "addresses of " + std::to_string(size) + " bytes",
                  offset);
  }
  return {};
}

}  // namespace residue::dwarf
