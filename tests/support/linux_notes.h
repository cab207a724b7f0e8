// Linux' core notes for any machine, for AbiCore. Sizes and offsets are those that the structs of
// <linux/elfcore.h> have when compiled for each machine, written down one by one.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tests/support/abi_core.h"

namespace residue::testing {

struct LinuxAbi {
  const char* name;
  Abi abi;
  // elf_prstatus
  size_t prstatus_size, pid_at, registers_at, register_count;
  unsigned register_size;
  // elf_prpsinfo
  size_t prpsinfo_size, prpsinfo_pid_at, prpsinfo_name_at;
  // siginfo_t
  size_t si_code_at, si_addr_at;
  // Slots of the register block (in words of register_size).
  size_t pc_slot, sp_slot;
};

// One row for every machine and ABI that is read.
const std::vector<LinuxAbi>& linux_abis();

// Slot i of the registers holds `first + i`, cut to its size.
std::vector<std::byte> linux_prstatus(const LinuxAbi& abi, uint32_t tid, uint16_t signal,
                                      uint64_t first);
std::vector<std::byte> linux_prpsinfo(const LinuxAbi& abi, uint32_t pid, const std::string& name,
                                      const std::string& arguments);
std::vector<std::byte> linux_siginfo(const LinuxAbi& abi, int32_t signal, int32_t code,
                                     uint64_t address);

}  // namespace residue::testing
