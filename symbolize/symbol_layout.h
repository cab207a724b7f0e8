// Constants of ELF symbol tables and dynamic sections, written down here so that the analysis
// machine's headers decide nothing. Sources: the System V gABI, chapters 4 and 5; the processor
// supplements of ARM (IHI 0044, 5.5.5 mapping symbols), AArch64 (IHI 0056), RISC-V (psABI 1.0),
// 64-bit PowerPC (ELFv1 1.9: function descriptors), MIPS and s390x (whose hash tables have 64-bit
// words); the GNU hash table as binutils and glibc have it since 2006.
#pragma once

#include <cstddef>
#include <cstdint>

namespace residue::elf {

inline constexpr size_t kSymbolBytes32 = 16, kSymbolBytes64 = 24;

// Low four bits of st_info.
inline constexpr uint8_t kSymbolNoType = 0, kSymbolFunction = 2, kSymbolSection = 3,
                         kSymbolFile = 4, kSymbolTls = 6, kSymbolIndirect = 10;
// High four bits of st_info.
inline constexpr uint8_t kBindLocal = 0;

// st_shndx: above this, an index says something else than a section.
inline constexpr uint16_t kSectionReserved = 0xff00, kSectionAbsolute = 0xfff1,
                          kSectionExtended = 0xffff;

inline constexpr uint64_t kSectionFlagExecute = 4;

inline constexpr uint16_t kSymMachineMips = 8, kSymMachinePpc64 = 21, kSymMachineS390 = 22,
                          kSymMachineArm = 40, kSymMachineAArch64 = 183, kSymMachineRiscv = 243,
                          kSymMachineAlpha = 0x9026;

// How many dynamic symbols there are, on MIPS, whose GNU hash table is laid out in another way.
inline constexpr uint64_t kDynMipsSymbolCount = 0x70000011;

// One function descriptor of 64-bit PowerPC's first ABI: code address, table of contents,
// environment.
inline constexpr uint64_t kDescriptorBytes = 24;

}  // namespace residue::elf
