// elf_gregset_t of Linux, machine by machine: struct user_regs_struct or pt_regs in the order of
// arch/*/include/uapi/asm/{ptrace,elf}.h (2.6.32 to 6.18; none has changed since it appeared).
// DWARF numbers from the psABIs named above each table.
#include "formats/elf/register_tables.h"

namespace residue::elf {
namespace {

// arch/x86/include/asm/user_32.h; i386 psABI 1.1, table 2.14.
constexpr auto kX86 = consecutive({{"ebx", 3},
                                   {"ecx", 1},
                                   {"edx", 2},
                                   {"esi", 6},
                                   {"edi", 7},
                                   {"ebp", 5},
                                   {"eax", 0},
                                   {"ds", 43},
                                   {"es", 40},
                                   {"fs", 44},
                                   {"gs", 45},
                                   {"orig_eax", -1},
                                   {"eip", 8},
                                   {"cs", 41},
                                   {"eflags", 9},
                                   {"esp", 4},
                                   {"ss", 42}},
                                  4);
constexpr RegisterLayout kX86Layout = layout_of(kX86, 68, "eip", "esp", "");

// arch/x86/include/asm/user_64.h; x86-64 psABI 1.0, figure 3.36. x32 has the same block.
constexpr auto kX86_64 = consecutive(
    {{"r15", 15},    {"r14", 14}, {"r13", 13}, {"r12", 12},      {"rbp", 6},      {"rbx", 3},
     {"r11", 11},    {"r10", 10}, {"r9", 9},   {"r8", 8},        {"rax", 0},      {"rcx", 2},
     {"rdx", 1},     {"rsi", 4},  {"rdi", 5},  {"orig_rax", -1}, {"rip", 16},     {"cs", 51},
     {"eflags", 49}, {"rsp", 7},  {"ss", 52},  {"fs_base", 58},  {"gs_base", 59}, {"ds", 53},
     {"es", 50},     {"fs", 54},  {"gs", 55}},
    8);
constexpr RegisterLayout kX86_64Layout = layout_of(kX86_64, 216, "rip", "rsp", "fs_base");

// arch/arm/include/uapi/asm/ptrace.h; AADWARF32 2023Q3.
constexpr auto kArm = consecutive({{"r0", 0},
                                   {"r1", 1},
                                   {"r2", 2},
                                   {"r3", 3},
                                   {"r4", 4},
                                   {"r5", 5},
                                   {"r6", 6},
                                   {"r7", 7},
                                   {"r8", 8},
                                   {"r9", 9},
                                   {"r10", 10},
                                   {"r11", 11},
                                   {"r12", 12},
                                   {"sp", 13},
                                   {"lr", 14},
                                   {"pc", 15},
                                   {"cpsr", -1},
                                   {"orig_r0", -1}},
                                  4);
constexpr RegisterLayout kArmLayout = layout_of(kArm, 72, "pc", "sp", "");

// arch/arm64/include/uapi/asm/ptrace.h (struct user_pt_regs); AADWARF64 2023Q3.
constexpr auto kAArch64 = consecutive(
    {{"x0", 0},   {"x1", 1},   {"x2", 2},   {"x3", 3},   {"x4", 4},   {"x5", 5},   {"x6", 6},
     {"x7", 7},   {"x8", 8},   {"x9", 9},   {"x10", 10}, {"x11", 11}, {"x12", 12}, {"x13", 13},
     {"x14", 14}, {"x15", 15}, {"x16", 16}, {"x17", 17}, {"x18", 18}, {"x19", 19}, {"x20", 20},
     {"x21", 21}, {"x22", 22}, {"x23", 23}, {"x24", 24}, {"x25", 25}, {"x26", 26}, {"x27", 27},
     {"x28", 28}, {"x29", 29}, {"x30", 30}, {"sp", 31},  {"pc", 32},  {"cpsr", -1}},
    8);
constexpr RegisterLayout kAArch64Layout = layout_of(kAArch64, 272, "pc", "sp", "");

// arch/riscv/include/uapi/asm/ptrace.h (struct user_regs_struct: pc, then x1 to x31); RISC-V ELF
// psABI 1.0, "DWARF register numbers".
constexpr NamedRegister kRiscv[] = {
    {"pc", -1}, {"ra", 1},  {"sp", 2},  {"gp", 3},  {"tp", 4},  {"t0", 5},   {"t1", 6},
    {"t2", 7},  {"fp", 8},  {"s1", 9},  {"a0", 10}, {"a1", 11}, {"a2", 12},  {"a3", 13},
    {"a4", 14}, {"a5", 15}, {"a6", 16}, {"a7", 17}, {"s2", 18}, {"s3", 19},  {"s4", 20},
    {"s5", 21}, {"s6", 22}, {"s7", 23}, {"s8", 24}, {"s9", 25}, {"s10", 26}, {"s11", 27},
    {"t3", 28}, {"t4", 29}, {"t5", 30}, {"t6", 31}};
constexpr auto kRiscv32 = consecutive(kRiscv, 4);
constexpr auto kRiscv64 = consecutive(kRiscv, 8);
constexpr RegisterLayout kRiscv32Layout = layout_of(kRiscv32, 128, "pc", "sp", "tp");
constexpr RegisterLayout kRiscv64Layout = layout_of(kRiscv64, 256, "pc", "sp", "tp");

// arch/powerpc/include/uapi/asm/ptrace.h, 44 words of ELF_NGREG = 48; Power 64-bit ELF V2 ABI 1.5,
// 2.4, and GCC's numbers in .eh_frame for LR and CTR, which 32-bit code shares. `mq`, unused on
// everything but the 601, is `softe` on 64-bit.
constexpr NamedRegister kPpcNames[] = {
    {"r0", 0},   {"r1", 1},   {"r2", 2},   {"r3", 3},   {"r4", 4},   {"r5", 5},   {"r6", 6},
    {"r7", 7},   {"r8", 8},   {"r9", 9},   {"r10", 10}, {"r11", 11}, {"r12", 12}, {"r13", 13},
    {"r14", 14}, {"r15", 15}, {"r16", 16}, {"r17", 17}, {"r18", 18}, {"r19", 19}, {"r20", 20},
    {"r21", 21}, {"r22", 22}, {"r23", 23}, {"r24", 24}, {"r25", 25}, {"r26", 26}, {"r27", 27},
    {"r28", 28}, {"r29", 29}, {"r30", 30}, {"r31", 31}, {"pc", -1},  {"msr", -1}, {"orig_r3", -1},
    {"ctr", 66}, {"lr", 65},  {"xer", 76}, {"cr", 64},  {"mq", -1},  {"trap", -1}};
constexpr auto kPpc = consecutive(kPpcNames, 4);
constexpr auto kPpc64 = consecutive(kPpcNames, 8);
// The ABIs keep the thread pointer in r2 (32-bit) and in r13 (64-bit).
constexpr RegisterLayout kPpcLayout = layout_of(kPpc, 192, "pc", "r1", "r2");
constexpr RegisterLayout kPpc64Layout = layout_of(kPpc64, 384, "pc", "r1", "r13");

// arch/s390/include/uapi/asm/ptrace.h (s390_regs: psw, 16 gprs, 16 access registers of 4 bytes,
// orig_gpr2); s390x ELF ABI supplement 1.6, table 1.13.
constexpr std::array<RegisterField, 35> s390x_fields() {
  std::array<RegisterField, 35> fields{};
  constexpr const char* kGeneral[] = {"r0", "r1", "r2",  "r3",  "r4",  "r5",  "r6",  "r7",
                                      "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"};
  constexpr const char* kAccess[] = {"acr0",  "acr1",  "acr2",  "acr3", "acr4",  "acr5",
                                     "acr6",  "acr7",  "acr8",  "acr9", "acr10", "acr11",
                                     "acr12", "acr13", "acr14", "acr15"};
  fields[0] = {"pswm", 0, 8, 64};
  fields[1] = {"pswa", 8, 8, 65};
  for (uint16_t i = 0; i < 16; ++i) {
    fields[size_t{2} + i] = {kGeneral[i], static_cast<uint16_t>(16 + 8 * i), 8,
                             static_cast<int16_t>(i)};
    fields[size_t{18} + i] = {kAccess[i], static_cast<uint16_t>(144 + 4 * i), 4,
                              static_cast<int16_t>(48 + i)};
  }
  fields[34] = {"orig_r2", 208, 8, -1};
  return fields;
}
constexpr auto kS390x = s390x_fields();
constexpr RegisterLayout kS390xLayout = layout_of(kS390x, 216, "pswa", "r15", "acr0", true);

// arch/mips/include/uapi/asm/reg.h: EF_R0 is 6 in o32, 0 in n32 and n64; ELF_NGREG is 45. DWARF
// numbers as GCC has them (gcc/config/mips/mips.h: LO 65, HI 64).
constexpr NamedRegister kMipsO32Names[] = {
    {"zero", 0},      {"at", 1},      {"v0", 2},    {"v1", 3},  {"a0", 4},  {"a1", 5},  {"a2", 6},
    {"a3", 7},        {"t0", 8},      {"t1", 9},    {"t2", 10}, {"t3", 11}, {"t4", 12}, {"t5", 13},
    {"t6", 14},       {"t7", 15},     {"s0", 16},   {"s1", 17}, {"s2", 18}, {"s3", 19}, {"s4", 20},
    {"s5", 21},       {"s6", 22},     {"s7", 23},   {"t8", 24}, {"t9", 25}, {"k0", 26}, {"k1", 27},
    {"gp", 28},       {"sp", 29},     {"s8", 30},   {"ra", 31}, {"lo", 65}, {"hi", 64}, {"pc", -1},
    {"badvaddr", -1}, {"status", -1}, {"cause", -1}};
constexpr NamedRegister kMipsNewNames[] = {
    {"zero", 0},      {"at", 1},      {"v0", 2},    {"v1", 3},  {"a0", 4},  {"a1", 5},  {"a2", 6},
    {"a3", 7},        {"a4", 8},      {"a5", 9},    {"a6", 10}, {"a7", 11}, {"t0", 12}, {"t1", 13},
    {"t2", 14},       {"t3", 15},     {"s0", 16},   {"s1", 17}, {"s2", 18}, {"s3", 19}, {"s4", 20},
    {"s5", 21},       {"s6", 22},     {"s7", 23},   {"t8", 24}, {"t9", 25}, {"k0", 26}, {"k1", 27},
    {"gp", 28},       {"sp", 29},     {"s8", 30},   {"ra", 31}, {"lo", 65}, {"hi", 64}, {"pc", -1},
    {"badvaddr", -1}, {"status", -1}, {"cause", -1}};
constexpr auto kMipsO32 = consecutive(kMipsO32Names, 4, 24);
constexpr auto kMipsN64 = consecutive(kMipsNewNames, 8);
constexpr RegisterLayout kMipsO32Layout = layout_of(kMipsO32, 180, "pc", "sp", "");
constexpr RegisterLayout kMipsN64Layout = layout_of(kMipsN64, 360, "pc", "sp", "");

// arch/loongarch/include/uapi/asm/ptrace.h (struct user_pt_regs: 32 registers, orig_a0, csr_era,
// csr_badv, 10 reserved words); LoongArch psABI 2.30. r2 is tp, r3 sp.
constexpr auto kLoongArch =
    consecutive({{"r0", 0},   {"r1", 1},   {"r2", 2},       {"r3", 3},   {"r4", 4},   {"r5", 5},
                 {"r6", 6},   {"r7", 7},   {"r8", 8},       {"r9", 9},   {"r10", 10}, {"r11", 11},
                 {"r12", 12}, {"r13", 13}, {"r14", 14},     {"r15", 15}, {"r16", 16}, {"r17", 17},
                 {"r18", 18}, {"r19", 19}, {"r20", 20},     {"r21", 21}, {"r22", 22}, {"r23", 23},
                 {"r24", 24}, {"r25", 25}, {"r26", 26},     {"r27", 27}, {"r28", 28}, {"r29", 29},
                 {"r30", 30}, {"r31", 31}, {"orig_a0", -1}, {"pc", -1},  {"badv", -1}},
                8);
constexpr RegisterLayout kLoongArchLayout = layout_of(kLoongArch, 360, "pc", "r3", "r2");

}  // namespace

const RegisterLayout* linux_registers(const Machine& machine) {
  switch (machine.architecture) {
    case Architecture::kX86:
      return &kX86Layout;
    case Architecture::kX86_64:
      return &kX86_64Layout;
    case Architecture::kArm:
      return &kArmLayout;
    case Architecture::kAArch64:
      return &kAArch64Layout;
    case Architecture::kRiscv32:
      return &kRiscv32Layout;
    case Architecture::kRiscv64:
      return &kRiscv64Layout;
    case Architecture::kPpc:
      return &kPpcLayout;
    case Architecture::kPpc64:
    case Architecture::kPpc64Le:
      return &kPpc64Layout;
    case Architecture::kS390x:
      return &kS390xLayout;
    case Architecture::kMips:
    case Architecture::kMips64:
      return machine.register_width == 4 ? &kMipsO32Layout : &kMipsN64Layout;
    case Architecture::kLoongArch64:
      return &kLoongArchLayout;
    case Architecture::kUnknown:
      break;
  }
  return nullptr;
}

}  // namespace residue::elf
