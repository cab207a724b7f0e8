// Encoded pointers of .eh_frame and .eh_frame_hdr (LSB 5.0, "DWARF Extensions"; DW_EH_PE_*).
#pragma once

#include <cstdint>
#include <optional>

#include "formats/base/byte_cursor.h"
#include "symbolize/unwind/cfi_bytes.h"

namespace residue {

inline constexpr uint8_t kPointerAbsolute = 0x00;
inline constexpr uint8_t kPointerUleb128 = 0x01, kPointerUdata2 = 0x02, kPointerUdata4 = 0x03,
                         kPointerUdata8 = 0x04;
inline constexpr uint8_t kPointerSigned = 0x08, kPointerSleb128 = 0x09, kPointerSdata2 = 0x0a,
                         kPointerSdata4 = 0x0b, kPointerSdata8 = 0x0c;
inline constexpr uint8_t kPointerPcRelative = 0x10, kPointerTextRelative = 0x20,
                         kPointerDataRelative = 0x30, kPointerFunctionRelative = 0x40,
                         kPointerAligned = 0x50;
inline constexpr uint8_t kPointerIndirect = 0x80, kPointerOmitted = 0xff;
inline constexpr uint8_t kPointerFormatMask = 0x0f, kPointerBaseMask = 0x70;

// What encoded pointers may be relative to. All are addresses in the process.
struct PointerBases {
  unsigned width = 8;  // of a pointer
  uint64_t text = 0;
  uint64_t data = 0;
  uint64_t function = 0;
  // Added to absolute pointers that the dynamic linker has not relocated: those of a file.
  uint64_t bias = 0;
  // Absolute pointers may be relocated or not (pages that come from the file are not): the bias is
  // added to those that lie outside this range and inside it with the bias.
  std::optional<AddressRange> module;
  const CfiBytes* memory = nullptr;  // for the indirect ones
};

// Bytes that a pointer of this encoding takes; 0 if that differs from value to value.
unsigned encoded_size(uint8_t encoding, unsigned width);

// Reads one. The cursor's offset() must be the address of its bytes in the process. Fails for
// omitted and unknown encodings.
Result<uint64_t> read_encoded(ByteCursor& cursor, uint8_t encoding, const PointerBases& bases);

}  // namespace residue
