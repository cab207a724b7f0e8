// Names of signals and of the codes that say why they were raised, system by system.
#pragma once

#include <cstdint>
#include <string>

namespace residue::elf {

enum class SignalSystem : uint8_t {
  kLinux,
  kLinuxMips,  // numbers and some codes of its own
  kFreeBsd,
  kNetBsd,
  kOpenBsd,
};

// "SIGSEGV"; "signal 45" for a number without a name.
std::string signal_name(SignalSystem system, uint32_t number);

// "SIGSEGV / SEGV_MAPERR"; without the code where the system keeps none (NetBSD's SI_NOINFO).
std::string signal_reason(SignalSystem system, uint32_t number, int32_t code);

// Whether the signal ends a process by default: a debugger's stop, for one, does not.
bool is_crash(SignalSystem system, uint32_t number);

// Whether si_addr means something: a fault, raised by the kernel for an instruction.
bool has_fault_address(SignalSystem system, uint32_t number, int32_t code);

}  // namespace residue::elf
