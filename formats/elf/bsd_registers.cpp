// struct reg of the BSDs: FreeBSD 6 to 15 (sys/{amd64,i386,arm64}/include/reg.h), NetBSD 5 to 10
// (sys/arch/{amd64,i386,aarch64}/include/reg.h, frame_regs.h), OpenBSD 7
// (sys/arch/{amd64,arm64}/include/reg.h). DWARF numbers as in linux_registers.cpp.
#include "formats/elf/register_tables.h"

namespace residue::elf {
namespace {

// The segment registers and the trap's numbers are narrower than the rest.
constexpr std::array<RegisterField, 24> kFreeBsdAmd64 = {{
    {"r15", 0, 8, 15},  {"r14", 8, 8, 14},      {"r13", 16, 8, 13}, {"r12", 24, 8, 12},
    {"r11", 32, 8, 11}, {"r10", 40, 8, 10},     {"r9", 48, 8, 9},   {"r8", 56, 8, 8},
    {"rdi", 64, 8, 5},  {"rsi", 72, 8, 4},      {"rbp", 80, 8, 6},  {"rbx", 88, 8, 3},
    {"rdx", 96, 8, 1},  {"rcx", 104, 8, 2},     {"rax", 112, 8, 0}, {"fs", 124, 2, 54},
    {"gs", 126, 2, 55}, {"es", 132, 2, 50},     {"ds", 134, 2, 53}, {"rip", 136, 8, 16},
    {"cs", 144, 8, 51}, {"eflags", 152, 8, 49}, {"rsp", 160, 8, 7}, {"ss", 168, 8, 52},
}};
constexpr RegisterLayout kFreeBsdAmd64Layout = layout_of(kFreeBsdAmd64, 176, "rip", "rsp", "");

constexpr auto kFreeBsdI386 = consecutive({{"fs", 44},
                                           {"es", 40},
                                           {"ds", 43},
                                           {"edi", 7},
                                           {"esi", 6},
                                           {"ebp", 5},
                                           {"isp", -1},
                                           {"ebx", 3},
                                           {"edx", 2},
                                           {"ecx", 1},
                                           {"eax", 0},
                                           {"trapno", -1},
                                           {"err", -1},
                                           {"eip", 8},
                                           {"cs", 41},
                                           {"eflags", 9},
                                           {"esp", 4},
                                           {"ss", 42},
                                           {"gs", 45}},
                                          4);
constexpr RegisterLayout kFreeBsdI386Layout = layout_of(kFreeBsdI386, 76, "eip", "esp", "");

// spsr has 4 bytes and 4 of padding up to FreeBSD 13.
constexpr auto kFreeBsdArm64 = consecutive(
    {{"x0", 0},   {"x1", 1},   {"x2", 2},   {"x3", 3},   {"x4", 4},   {"x5", 5},   {"x6", 6},
     {"x7", 7},   {"x8", 8},   {"x9", 9},   {"x10", 10}, {"x11", 11}, {"x12", 12}, {"x13", 13},
     {"x14", 14}, {"x15", 15}, {"x16", 16}, {"x17", 17}, {"x18", 18}, {"x19", 19}, {"x20", 20},
     {"x21", 21}, {"x22", 22}, {"x23", 23}, {"x24", 24}, {"x25", 25}, {"x26", 26}, {"x27", 27},
     {"x28", 28}, {"x29", 29}, {"x30", 30}, {"sp", 31},  {"pc", 32},  {"cpsr", -1}},
    8);
constexpr RegisterLayout kFreeBsdArm64Layout = layout_of(kFreeBsdArm64, 272, "pc", "sp", "");

constexpr auto kNetBsdAmd64 =
    consecutive({{"rdi", 5},  {"rsi", 4},     {"rdx", 1},  {"rcx", 2},  {"r8", 8},   {"r9", 9},
                 {"r10", 10}, {"r11", 11},    {"r12", 12}, {"r13", 13}, {"r14", 14}, {"r15", 15},
                 {"rbp", 6},  {"rbx", 3},     {"rax", 0},  {"gs", 55},  {"fs", 54},  {"es", 50},
                 {"ds", 53},  {"trapno", -1}, {"err", -1}, {"rip", 16}, {"cs", 51},  {"eflags", 49},
                 {"rsp", 7},  {"ss", 52}},
                8);
constexpr RegisterLayout kNetBsdAmd64Layout = layout_of(kNetBsdAmd64, 208, "rip", "rsp", "");

constexpr auto kNetBsdI386 = consecutive({{"eax", 0},
                                          {"ecx", 1},
                                          {"edx", 2},
                                          {"ebx", 3},
                                          {"esp", 4},
                                          {"ebp", 5},
                                          {"esi", 6},
                                          {"edi", 7},
                                          {"eip", 8},
                                          {"eflags", 9},
                                          {"cs", 41},
                                          {"ss", 42},
                                          {"ds", 43},
                                          {"es", 40},
                                          {"fs", 44},
                                          {"gs", 45}},
                                         4);
constexpr RegisterLayout kNetBsdI386Layout = layout_of(kNetBsdI386, 64, "eip", "esp", "");

constexpr auto kNetBsdAarch64 = consecutive(
    {{"x0", 0},   {"x1", 1},   {"x2", 2},   {"x3", 3},   {"x4", 4},   {"x5", 5},    {"x6", 6},
     {"x7", 7},   {"x8", 8},   {"x9", 9},   {"x10", 10}, {"x11", 11}, {"x12", 12},  {"x13", 13},
     {"x14", 14}, {"x15", 15}, {"x16", 16}, {"x17", 17}, {"x18", 18}, {"x19", 19},  {"x20", 20},
     {"x21", 21}, {"x22", 22}, {"x23", 23}, {"x24", 24}, {"x25", 25}, {"x26", 26},  {"x27", 27},
     {"x28", 28}, {"x29", 29}, {"x30", 30}, {"sp", 31},  {"pc", 32},  {"cpsr", -1}, {"tpidr", -1}},
    8);
constexpr RegisterLayout kNetBsdAarch64Layout = layout_of(kNetBsdAarch64, 280, "pc", "sp", "tpidr");

constexpr auto kOpenBsdAmd64 =
    consecutive({{"rdi", 5},  {"rsi", 4},  {"rdx", 1},  {"rcx", 2},  {"r8", 8},   {"r9", 9},
                 {"r10", 10}, {"r11", 11}, {"r12", 12}, {"r13", 13}, {"r14", 14}, {"r15", 15},
                 {"rbp", 6},  {"rbx", 3},  {"rax", 0},  {"rsp", 7},  {"rip", 16}, {"eflags", 49},
                 {"cs", 51},  {"ss", 52},  {"ds", 53},  {"es", 50},  {"fs", 54},  {"gs", 55}},
                8);
constexpr RegisterLayout kOpenBsdAmd64Layout = layout_of(kOpenBsdAmd64, 192, "rip", "rsp", "");

}  // namespace

const RegisterLayout* freebsd_registers(const Machine& machine) {
  if (machine.architecture == Architecture::kX86_64 && machine.word == 8) {
    return &kFreeBsdAmd64Layout;
  }
  if (machine.architecture == Architecture::kX86) return &kFreeBsdI386Layout;
  if (machine.architecture == Architecture::kAArch64) return &kFreeBsdArm64Layout;
  return nullptr;
}

const RegisterLayout* netbsd_registers(const Machine& machine) {
  if (machine.architecture == Architecture::kX86_64 && machine.word == 8) {
    return &kNetBsdAmd64Layout;
  }
  if (machine.architecture == Architecture::kX86) return &kNetBsdI386Layout;
  if (machine.architecture == Architecture::kAArch64) return &kNetBsdAarch64Layout;
  return nullptr;
}

const RegisterLayout* openbsd_registers(const Machine& machine) {
  if (machine.architecture == Architecture::kX86_64 && machine.word == 8) {
    return &kOpenBsdAmd64Layout;
  }
  return nullptr;
}

}  // namespace residue::elf
