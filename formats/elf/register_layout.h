// Where the registers of a thread lie in a core's notes: one table for every system and machine.
//
// The tables are constants; a reader takes a block of bytes and a layout and gets registers with
// their names and DWARF numbers. Names are those that gdb shows.
#pragma once

#include <cstdint>
#include <span>

#include "formats/elf/machine.h"

namespace residue::elf {

struct RegisterField {
  const char* name;
  uint16_t offset;  // bytes from the start of the block
  uint8_t size;     // 2, 4 or 8 bytes
  int16_t dwarf;    // number in the architecture's DWARF numbering, -1 if it has none
};

struct RegisterLayout {
  std::span<const RegisterField> fields;
  uint16_t size;  // bytes of the block
  // Indexes into `fields`, -1 where the block does not hold it. On s390x the thread pointer is two
  // access registers, `tp` the upper half and the one behind it the lower.
  int16_t pc, sp, tp;
  bool tp_is_split;
};

// elf_gregset_t of Linux; null for a machine without one here.
const RegisterLayout* linux_registers(const Machine& machine);
// struct reg of FreeBSD, NetBSD and OpenBSD; null for a machine that is not known.
const RegisterLayout* freebsd_registers(const Machine& machine);
const RegisterLayout* netbsd_registers(const Machine& machine);
const RegisterLayout* openbsd_registers(const Machine& machine);

}  // namespace residue::elf
