#include "symbolize/unwind/cfi_entry.h"

#include <algorithm>

#include "symbolize/dwarf/leb128.h"

namespace residue {
namespace {

// DWARF 5, 7.4: a first length of 0xffffffff is followed by one of 64 bits.
constexpr uint32_t kExtendedLength = 0xffffffff;

Error corrupt(const char* what, uint64_t address) {
  return {ErrorCode::kCorrupt, what, FileOffset(address)};
}

// What the letters of a CIE's augmentation bring, as the LSB and GCC define them. With 'z' first
// the size of the data is known, so that letters nobody knows can be skipped.
Result<void> read_augmentation(std::string_view letters, const CfiSection& section,
                               ByteCursor& cursor, Cie* cie) {
  std::optional<ByteCursor> after;
  if (letters.starts_with('z')) {
    cie->has_augmentation_size = true;
    letters.remove_prefix(1);
    RESIDUE_ASSIGN(const uint64_t size, read_uleb128(cursor));
    ByteCursor behind = cursor;
    RESIDUE_TRY(behind.skip(size));
    after = behind;
  }
  // ARM's compiler writes "armcc+" and no data.
  if (letters.starts_with("armcc")) letters = {};
  bool known = true;
  for (const char letter : letters) {
    switch (letter) {
      case 'R': {
        RESIDUE_ASSIGN(cie->pointer_encoding, cursor.read<uint8_t>());
        break;
      }
      case 'L':
        RESIDUE_TRY(cursor.skip(1));
        break;
      case 'P': {
        RESIDUE_ASSIGN(const uint8_t encoding, cursor.read<uint8_t>());
        PointerBases bases = section.bases;
        bases.width = cie->address_size;
        // The personality itself is not needed, and may lie where the dump has nothing.
        if (encoding != kPointerOmitted) {
          RESIDUE_TRY(
              read_encoded(cursor, static_cast<uint8_t>(encoding & ~kPointerIndirect), bases));
        }
        break;
      }
      case 'S':
        cie->is_signal_frame = true;
        break;
      case 'B':  // AArch64: return addresses are signed with the B key
      case 'G':  // AArch64: the stack is tagged
        break;
      default:
        known = false;
        break;
    }
    if (!known) break;
  }
  if (!known && !after) {
    return Error{ErrorCode::kUnsupported, "a CIE has an unknown augmentation", cursor.offset()};
  }
  if (after) cursor = *after;
  return {};
}

}  // namespace

Result<CfiEntry> read_cfi_entry(const CfiSection& section, uint64_t address) {
  if (address < section.start || address >= section.end) {
    return corrupt("an entry lies outside the section", address);
  }
  const uint64_t left = section.end - address;
  ByteCursor head(section.bytes->view(address, std::min<uint64_t>(left, 20)), section.order,
                  FileOffset(address));
  CfiEntry entry;
  entry.address = address;
  RESIDUE_ASSIGN(const uint32_t short_length, head.read<uint32_t>());
  uint64_t length = short_length;
  if (short_length == kExtendedLength) {
    RESIDUE_ASSIGN(length, head.read<uint64_t>());
    entry.offset_size = 8;
  }
  const uint64_t body = address + head.position();
  if (length > section.end - body) return corrupt("an entry is longer than its section", address);
  entry.next = body + length;
  if (length == 0) {
    entry.is_terminator = true;
    return entry;
  }
  ByteCursor cursor(section.bytes->view(body, length), section.order, FileOffset(body));
  // .eh_frame's id stays 4 bytes wide behind a 64-bit length (LSB 5.0, 10.6.1).
  const unsigned id_size = section.is_debug_frame ? entry.offset_size : 4;
  RESIDUE_ASSIGN(const uint64_t id, cursor.read_word(id_size));
  if (section.is_debug_frame) {
    entry.is_cie = id == (id_size == 8 ? ~uint64_t{0} : uint64_t{kExtendedLength});
    entry.cie = section.start + id;
  } else {
    entry.is_cie = id == 0;
    entry.cie = body - id;
  }
  entry.body_address = body + id_size;
  RESIDUE_ASSIGN(entry.body, cursor.take(length - id_size));
  return entry;
}

Result<Cie> read_cie(const CfiSection& section, const CfiEntry& entry) {
  ByteCursor cursor(entry.body, section.order, FileOffset(entry.body_address));
  Cie cie;
  cie.address = entry.address;
  cie.offset_size = entry.offset_size;
  cie.address_size = section.bases.width;
  RESIDUE_ASSIGN(cie.version, cursor.read<uint8_t>());
  if (cie.version != 1 && cie.version != 3 && cie.version != 4) {
    return Error{ErrorCode::kUnsupported, "a CIE has version " + std::to_string(cie.version),
                 FileOffset(entry.address)};
  }
  RESIDUE_ASSIGN(std::string_view letters, cursor.c_string());
  if (letters.starts_with("eh")) {  // GCC 2: a pointer to the exception table
    RESIDUE_TRY(cursor.skip(cie.address_size));
    letters.remove_prefix(2);
  }
  if (cie.version >= 4) {
    RESIDUE_ASSIGN(const uint8_t address_size, cursor.read<uint8_t>());
    RESIDUE_ASSIGN(const uint8_t segment_size, cursor.read<uint8_t>());
    if (address_size != 4 && address_size != 8) return corrupt("address size", entry.address);
    cie.address_size = address_size;
    cie.segment_size = segment_size;
  }
  RESIDUE_ASSIGN(cie.code_alignment, read_uleb128(cursor));
  RESIDUE_ASSIGN(cie.data_alignment, read_sleb128(cursor));
  uint64_t return_register = 0;
  if (cie.version == 1) {
    RESIDUE_ASSIGN(return_register, cursor.read<uint8_t>());
  } else {
    RESIDUE_ASSIGN(return_register, read_uleb128(cursor));
  }
  if (return_register > 0xffff) return corrupt("return address column", entry.address);
  cie.return_register = static_cast<unsigned>(return_register);
  RESIDUE_TRY(read_augmentation(letters, section, cursor, &cie));
  cie.instructions_address = cursor.offset().value();
  RESIDUE_ASSIGN(cie.instructions, cursor.take(cursor.remaining()));
  return cie;
}

Result<Fde> read_fde(const CfiSection& section, const CfiEntry& entry, const Cie& cie) {
  ByteCursor cursor(entry.body, section.order, FileOffset(entry.body_address));
  Fde fde;
  fde.address = entry.address;
  fde.cie = cie;
  RESIDUE_TRY(cursor.skip(cie.segment_size));
  PointerBases bases = section.bases;
  bases.width = cie.address_size;
  RESIDUE_ASSIGN(fde.begin, read_encoded(cursor, cie.pointer_encoding, bases));
  // The range is a plain number of the same format.
  PointerBases none;
  none.width = cie.address_size;
  RESIDUE_ASSIGN(uint64_t size,
                 read_encoded(cursor, cie.pointer_encoding & kPointerFormatMask, none));
  fde.end = size > ~uint64_t{0} - fde.begin ? ~uint64_t{0} : fde.begin + size;
  if (cie.has_augmentation_size) {
    RESIDUE_ASSIGN(const uint64_t skipped, read_uleb128(cursor));
    RESIDUE_TRY(cursor.skip(skipped));
  }
  fde.instructions_address = cursor.offset().value();
  RESIDUE_ASSIGN(fde.instructions, cursor.take(cursor.remaining()));
  return fde;
}

Result<Fde> read_fde(const CfiSection& section, uint64_t address) {
  RESIDUE_ASSIGN(const CfiEntry entry, read_cfi_entry(section, address));
  if (entry.is_cie || entry.is_terminator) return corrupt("an FDE was expected", address);
  RESIDUE_ASSIGN(const CfiEntry cie_entry, read_cfi_entry(section, entry.cie));
  if (!cie_entry.is_cie) return corrupt("an FDE names something that is no CIE", address);
  RESIDUE_ASSIGN(const Cie cie, read_cie(section, cie_entry));
  return read_fde(section, entry, cie);
}

}  // namespace residue
