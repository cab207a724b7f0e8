// Constants of ELF files and the types of Linux' core notes. Sources: the System V ABI, gABI
// chapters 4 and 5; the kernel's include/uapi/linux/elf.h and fs/binfmt_elf.c (3.7 to 6.18).
// Written down here rather than taken from <elf.h>, so that the analysis machine's headers decide
// nothing.
#pragma once

#include <cstddef>
#include <cstdint>

namespace residue::elf {

inline constexpr uint8_t kMagic[4] = {0x7f, 'E', 'L', 'F'};
inline constexpr size_t kIdentSize = 16;
inline constexpr uint8_t kClass32 = 1, kClass64 = 2;
inline constexpr uint8_t kDataLittle = 1, kDataBig = 2;

inline constexpr uint16_t kTypeRelocatable = 1, kTypeExecutable = 2, kTypeShared = 3, kTypeCore = 4;

// e_phnum when the real count stands in section header 0's sh_info (gABI, "PN_XNUM").
inline constexpr uint16_t kPhnumExtended = 0xffff;

inline constexpr size_t kProgramHeaderSize32 = 32, kProgramHeaderSize64 = 56;
inline constexpr size_t kSectionHeaderSize32 = 40, kSectionHeaderSize64 = 64;

inline constexpr uint32_t kSegmentLoad = 1, kSegmentDynamic = 2, kSegmentNote = 4, kSegmentPhdr = 6,
                          kSegmentTls = 7;
inline constexpr uint32_t kSegmentGnuEhFrame = 0x6474e550;  // .eh_frame_hdr
inline constexpr uint32_t kSegmentArmExidx = 0x70000001;    // AAELF32, on ARM only
inline constexpr uint32_t kFlagExecute = 1, kFlagWrite = 2, kFlagRead = 4;

inline constexpr uint32_t kSectionSymtab = 2, kSectionStrtab = 3, kSectionNote = 7,
                          kSectionNobits = 8, kSectionDynsym = 11;
inline constexpr uint64_t kSectionFlagAlloc = 2, kSectionFlagCompressed = 0x800;
// e_shstrndx when the real index stands in section header 0's sh_link (gABI, "SHN_XINDEX").
inline constexpr uint32_t kSectionIndexExtended = 0xffff;
// ch_type of a compressed section's header (gABI, "Compressed Sections").
inline constexpr uint32_t kCompressZlib = 1, kCompressZstd = 2;

// Notes with the name "CORE" or "LINUX" in a core; "GNU" in a module.
inline constexpr uint32_t kNotePrstatus = 1, kNoteFpregset = 2, kNotePrpsinfo = 3, kNoteAuxv = 6;
inline constexpr uint32_t kNoteSiginfo = 0x53494749, kNoteFile = 0x46494c45;
inline constexpr uint32_t kNote386Tls = 0x200, kNoteX86Xstate = 0x202, kNotePrxfpreg = 0x46e62b7f;
inline constexpr uint32_t kNoteArmTls = 0x401, kNoteArmPacMask = 0x406;
inline constexpr uint32_t kNoteGnuBuildId = 3;

inline constexpr uint64_t kAuxPhdr = 3, kAuxPhnum = 5, kAuxPagesize = 6, kAuxBase = 7,
                          kAuxEntry = 9;
inline constexpr uint64_t kAuxRandom = 25, kAuxExecfn = 31, kAuxSysinfoEhdr = 33;

// Dynamic section tags.
inline constexpr uint64_t kDynNull = 0, kDynHash = 4, kDynStrtab = 5, kDynSymtab = 6,
                          kDynStrsz = 10, kDynDebug = 21, kDynGnuHash = 0x6ffffef5;
// MIPS keeps the address of a word that ld.so sets to r_debug: absolute, or from the entry on.
inline constexpr uint64_t kDynMipsRldMap = 0x70000016, kDynMipsRldMapRel = 0x70000035;

// Symbol types (low 4 bits of st_info) and special section indexes.
inline constexpr uint8_t kSymbolObject = 1, kSymbolCommon = 5;
inline constexpr uint16_t kSectionUndefined = 0;
inline constexpr size_t kSymbolSize64 = 24;

}  // namespace residue::elf
