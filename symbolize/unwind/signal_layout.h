// What each architecture's kernel puts on the stack for a signal, and how the code that ends a
// handler looks. Constants only; see signal_frame.h.
//
// Sources: Linux's arch/*/kernel/signal*.c (struct rt_sigframe) and
// uapi/asm/{sigcontext,ucontext}.h, which are the ABI and do not change; glibc's and musl's
// restorers. Offsets count from the stack pointer at the trampoline's first instruction, after the
// handler has returned.
#pragma once

#include <cstdint>
#include <span>

#include "formats/image.h"

namespace residue {

inline constexpr int kNoPointer = -1;

struct SignalLayout {
  Architecture architecture;
  std::span<const uint8_t> code;  // of the trampoline
  int context_pointer;  // offset of a pointer to the ucontext, from which the others then count
  unsigned pc;          // offset of the saved program counter
  unsigned width;       // of a saved register
  unsigned registers;   // offset of the saved registers
  std::span<const uint8_t> order;  // their DWARF numbers; kSkipped for what is none
};

inline constexpr uint8_t kSkipped = 0xff;

namespace signal_layout {

// struct rt_sigframe { pretcode; struct ucontext uc; ... }: uc_mcontext at 40, gregs r8 r9 ... rip.
inline constexpr uint8_t kX86_64Order[] = {8, 9, 10, 11, 12, 13, 14, 15, 5,
                                           4, 6, 3,  1,  0,  2,  7,  16};
inline constexpr uint8_t kX86_64Rax[] = {0x48, 0xc7, 0xc0, 15, 0, 0, 0, 0x0f, 0x05};
inline constexpr uint8_t kX86_64Eax[] = {0xb8, 15, 0, 0, 0, 0x0f, 0x05};

// struct sigcontext_32: gs fs es ds, edi esi ebp esp ebx edx ecx eax, trapno err, eip.
inline constexpr uint8_t kX86Order[] = {kSkipped, kSkipped, kSkipped, kSkipped, 7, 6,
                                        5,        4,        3,        2,        1, 0};
inline constexpr uint8_t kX86Sigreturn[] = {0x58, 0xb8, 119, 0, 0, 0, 0xcd, 0x80};
inline constexpr uint8_t kX86RtSigreturn[] = {0xb8, 173, 0, 0, 0, 0xcd, 0x80};

// struct rt_sigframe { siginfo (128); ucontext }: uc_mcontext at 176 (aligned to 16):
// fault_address, x0-x30, sp, pc.
inline constexpr uint8_t kAArch64Order[] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10,
                                            11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21,
                                            22, 23, 24, 25, 26, 27, 28, 29, 30, 31};
// mov x8, #139; svc #0
inline constexpr uint8_t kAArch64Code[] = {0x68, 0x11, 0x80, 0xd2, 0x01, 0x00, 0x00, 0xd4};

// struct sigframe { ucontext }, rt_sigframe { siginfo (128); sigframe }: uc_mcontext at 20:
// trap_no, error_code, oldmask, r0-r15.
inline constexpr uint8_t kArmOrder[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14};
inline constexpr uint8_t kArmCode[] = {0x77, 0x70, 0xa0, 0xe3, 0x00, 0x00, 0x00, 0xef};
inline constexpr uint8_t kArmRtCode[] = {0xad, 0x70, 0xa0, 0xe3, 0x00, 0x00, 0x00, 0xef};
inline constexpr uint8_t kThumbCode[] = {0x77, 0x27, 0x00, 0xdf};
inline constexpr uint8_t kThumbRtCode[] = {0xad, 0x27, 0x00, 0xdf};

// struct rt_sigframe { siginfo (128); ucontext }: uc_mcontext at 176: pc, x1-x31.
inline constexpr uint8_t kRiscvOrder[] = {1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11,
                                          12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22,
                                          23, 24, 25, 26, 27, 28, 29, 30, 31};
// li a7, 139; ecall
inline constexpr uint8_t kRiscvCode[] = {0x93, 0x08, 0xb0, 0x08, 0x73, 0x00, 0x00, 0x00};

// As RISC-V: sc_pc, then r0-r31. ori a7, zero, 139; syscall 0
inline constexpr uint8_t kLoongArchCode[] = {0x0b, 0x2c, 0x82, 0x03, 0x00, 0x00, 0x2b, 0x00};

// Both begin with 160 bytes for the callee. rt: the svc (8), siginfo (128), ucontext (40), then
// PSW mask and address, r0-r15. The other: oldmask, a pointer, then the same.
inline constexpr uint8_t kS390Order[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
inline constexpr uint8_t kS390Code[] = {0x0a, 119};
inline constexpr uint8_t kS390RtCode[] = {0x0a, 173};

// li v0, N; syscall, in either byte order. Frames begin with 24 bytes of arguments; rt: siginfo
// (128), ucontext with sc_regs (n64, n32) or regmask, status, pc, regs (o32, 64-bit fields).
inline constexpr uint8_t kMipsOrder[] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10,
                                         11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21,
                                         22, 23, 24, 25, 26, 27, 28, 29, 30, 31};
inline constexpr uint8_t kMipsN64Big[] = {0x24, 0x02, 0x14, 0x5b, 0, 0, 0, 0x0c};
inline constexpr uint8_t kMipsN64Little[] = {0x5b, 0x14, 0x02, 0x24, 0x0c, 0, 0, 0};
inline constexpr uint8_t kMipsN32Big[] = {0x24, 0x02, 0x18, 0x43, 0, 0, 0, 0x0c};
inline constexpr uint8_t kMipsN32Little[] = {0x43, 0x18, 0x02, 0x24, 0x0c, 0, 0, 0};
inline constexpr uint8_t kMipsRtBig[] = {0x24, 0x02, 0x10, 0x61, 0, 0, 0, 0x0c};
inline constexpr uint8_t kMipsRtLittle[] = {0x61, 0x10, 0x02, 0x24, 0x0c, 0, 0, 0};
inline constexpr uint8_t kMipsBig[] = {0x24, 0x02, 0x10, 0x17, 0, 0, 0, 0x0c};
inline constexpr uint8_t kMipsLittle[] = {0x17, 0x10, 0x02, 0x24, 0x0c, 0, 0, 0};

// addi r1, r1, 128; li r0, 172; sc. Behind those 128 bytes the ucontext: gp_regs at 232, r0-r31,
// nip, msr, orig_r3, ctr, link.
inline constexpr uint8_t kPpc64Order[] = {
    0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13,       14,       15,       16, 17, 18,
    19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, kSkipped, kSkipped, kSkipped, 66, 65};
inline constexpr uint8_t kPpc64Big[] = {0x38, 0x21, 0x00, 0x80, 0x38, 0x00,
                                        0x00, 0xac, 0x44, 0x00, 0x00, 0x02};
inline constexpr uint8_t kPpc64Little[] = {0x80, 0x00, 0x21, 0x38, 0xac, 0x00,
                                           0x00, 0x38, 0x02, 0x00, 0x00, 0x44};

inline constexpr unsigned kSiginfo = 128;

inline constexpr SignalLayout kLayouts[] = {
    {Architecture::kX86_64, kX86_64Rax, kNoPointer, 40 + 16 * 8, 8, 40, kX86_64Order},
    {Architecture::kX86_64, kX86_64Eax, kNoPointer, 40 + 16 * 8, 8, 40, kX86_64Order},
    // sig, then the context.
    {Architecture::kX86, kX86Sigreturn, kNoPointer, 4 + 14 * 4, 4, 4, kX86Order},
    // sig, siginfo *, ucontext *.
    {Architecture::kX86, kX86RtSigreturn, 8, 20 + 14 * 4, 4, 20, kX86Order},
    {Architecture::kAArch64, kAArch64Code, kNoPointer, kSiginfo + 184 + 32 * 8, 8, kSiginfo + 184,
     kAArch64Order},
    {Architecture::kArm, kArmCode, kNoPointer, 32 + 15 * 4, 4, 32, kArmOrder},
    {Architecture::kArm, kThumbCode, kNoPointer, 32 + 15 * 4, 4, 32, kArmOrder},
    {Architecture::kArm, kArmRtCode, kNoPointer, kSiginfo + 32 + 15 * 4, 4, kSiginfo + 32,
     kArmOrder},
    {Architecture::kArm, kThumbRtCode, kNoPointer, kSiginfo + 32 + 15 * 4, 4, kSiginfo + 32,
     kArmOrder},
    {Architecture::kRiscv64, kRiscvCode, kNoPointer, kSiginfo + 176, 8, kSiginfo + 184,
     kRiscvOrder},
    {Architecture::kLoongArch64, kLoongArchCode, kNoPointer, kSiginfo + 176, 8, kSiginfo + 192,
     kRiscvOrder},
    {Architecture::kS390x, kS390Code, kNoPointer, 184, 8, 192, kS390Order},
    {Architecture::kS390x, kS390RtCode, kNoPointer, 344, 8, 352, kS390Order},
    {Architecture::kMips64, kMipsN64Big, kNoPointer, 768, 8, 192, kMipsOrder},
    {Architecture::kMips64, kMipsN64Little, kNoPointer, 768, 8, 192, kMipsOrder},
    {Architecture::kMips64, kMipsN32Big, kNoPointer, 752, 8, 176, kMipsOrder},
    {Architecture::kMips64, kMipsN32Little, kNoPointer, 752, 8, 176, kMipsOrder},
    {Architecture::kMips, kMipsRtBig, kNoPointer, 184, 8, 192, kMipsOrder},
    {Architecture::kMips, kMipsRtLittle, kNoPointer, 184, 8, 192, kMipsOrder},
    {Architecture::kMips, kMipsBig, kNoPointer, 32, 8, 40, kMipsOrder},
    {Architecture::kMips, kMipsLittle, kNoPointer, 32, 8, 40, kMipsOrder},
    {Architecture::kPpc64, kPpc64Big, kNoPointer, 616, 8, 360, kPpc64Order},
    {Architecture::kPpc64Le, kPpc64Little, kNoPointer, 616, 8, 360, kPpc64Order},
};

}  // namespace signal_layout
}  // namespace residue
