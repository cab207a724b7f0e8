// CIEs and FDEs: the entries of .eh_frame and .debug_frame, read one at a time by address.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "formats/base/result.h"
#include "symbolize/unwind/cfi_bytes.h"
#include "symbolize/unwind/pointer_encoding.h"

namespace residue {

// Where entries are read from, and how. The section begins at `start`; .debug_frame's CIE offsets
// count from there.
struct CfiSection {
  const CfiBytes* bytes = nullptr;
  uint64_t start = 0;
  uint64_t end = 0;  // one past the last byte that may belong to it
  bool is_debug_frame = false;
  ByteOrder order = ByteOrder::kLittle;
  PointerBases bases;
};

struct Cie {
  uint64_t address = 0;
  uint8_t version = 1;
  uint8_t pointer_encoding = kPointerAbsolute;  // of the FDEs' addresses
  unsigned address_size = 8;
  unsigned offset_size = 4;  // 8 in 64-bit DWARF
  unsigned segment_size = 0;
  uint64_t code_alignment = 1;
  int64_t data_alignment = 1;
  unsigned return_register = 0;
  bool has_augmentation_size = false;  // 'z'
  bool is_signal_frame = false;        // 'S'
  std::span<const std::byte> instructions;
  uint64_t instructions_address = 0;
};

struct Fde {
  uint64_t address = 0;  // of the entry
  uint64_t begin = 0;    // the code it describes, in the process
  uint64_t end = 0;
  Cie cie;
  std::span<const std::byte> instructions;
  uint64_t instructions_address = 0;

  bool covers(uint64_t pc) const { return pc >= begin && pc < end; }
};

// An entry's outer shape: enough to go to the next one.
struct CfiEntry {
  uint64_t address = 0;
  uint64_t next = 0;  // address behind it
  bool is_terminator = false;
  bool is_cie = false;
  unsigned offset_size = 4;
  uint64_t cie = 0;                 // an FDE's CIE
  std::span<const std::byte> body;  // behind the CIE id or pointer
  uint64_t body_address = 0;
};

Result<CfiEntry> read_cfi_entry(const CfiSection& section, uint64_t address);
Result<Cie> read_cie(const CfiSection& section, const CfiEntry& entry);
// `cie`: that of the entry, if the caller has it.
Result<Fde> read_fde(const CfiSection& section, const CfiEntry& entry, const Cie& cie);
// The entry at `address`, which must be an FDE, with its CIE.
Result<Fde> read_fde(const CfiSection& section, uint64_t address);

}  // namespace residue
