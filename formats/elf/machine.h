// Machine: what the header of an ELF core says about the processor and its ABI.
#pragma once

#include <optional>
#include <string>

#include "formats/elf/elf_file.h"
#include "formats/image.h"

namespace residue::elf {

struct Machine {
  Architecture architecture = Architecture::kUnknown;
  ByteOrder order = ByteOrder::kLittle;
  unsigned word = 8;            // bytes of a long and of a pointer
  unsigned register_width = 8;  // wider than `word` in x32 and MIPS n32

  bool is_mips() const {
    return architecture == Architecture::kMips || architecture == Architecture::kMips64;
  }
};

// Nothing for machines whose cores are not read.
std::optional<Machine> machine_of(const Header& header);

// "SPARC, 32-bit, big-endian": for messages about the machines that are not read.
std::string describe_machine(const Header& header);

}  // namespace residue::elf
