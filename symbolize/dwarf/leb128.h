// LEB128: the variable-length integers of DWARF and of exception tables.
//
// Padding (trailing zero or sign groups) is valid and occurs: linkers write it so that a value can
// be changed in place. A number that does not fit in 64 bits is corrupt. A read that fails does not
// move the cursor.
#pragma once

#include <cstdint>

#include "formats/base/byte_cursor.h"
#include "formats/base/result.h"

namespace residue {

inline Result<uint64_t> read_uleb128(ByteCursor& cursor) {
  ByteCursor ahead = cursor;
  uint64_t value = 0;
  for (unsigned shift = 0;; shift += 7) {
    RESIDUE_ASSIGN(const uint8_t byte, ahead.read<uint8_t>());
    const uint64_t group = byte & 0x7f;
    if (group != 0 && (shift >= 64 || (group << shift) >> shift != group)) {
      return Error{ErrorCode::kCorrupt, "a LEB128 number does not fit in 64 bits", cursor.offset()};
    }
    if (shift < 64) value |= group << shift;
    if ((byte & 0x80) == 0) break;
  }
  cursor = ahead;
  return value;
}

inline Result<int64_t> read_sleb128(ByteCursor& cursor) {
  ByteCursor ahead = cursor;
  uint64_t value = 0;
  bool overflow = false;
  for (unsigned shift = 0;; shift += 7) {
    RESIDUE_ASSIGN(const uint8_t byte, ahead.read<uint8_t>());
    const uint64_t group = byte & 0x7f;
    if (shift < 63) {
      value |= group << shift;
    } else {
      // Bit 63 and all above it are the sign.
      if (group != 0 && group != 0x7f) overflow = true;
      if (shift == 63) value |= group << 63;
      if (shift > 63 && (group != 0) != (value >> 63 != 0)) overflow = true;
    }
    if ((byte & 0x80) != 0) continue;
    if (shift + 7 < 64 && (byte & 0x40) != 0) value |= ~uint64_t{0} << (shift + 7);
    break;
  }
  if (overflow) {
    return Error{ErrorCode::kCorrupt, "a LEB128 number does not fit in 64 bits", cursor.offset()};
  }
  cursor = ahead;
  return static_cast<int64_t>(value);
}

}  // namespace residue
