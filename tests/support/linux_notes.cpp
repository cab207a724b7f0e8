#include "tests/support/linux_notes.h"

namespace residue::testing {

const std::vector<LinuxAbi>& linux_abis() {
  constexpr bool k32 = false, k64 = true, kLe = false, kBe = true;
  static const std::vector<LinuxAbi> kAbis = {
      // clang-format off
      {"x86",         {3, k32, kLe, 0},       144, 24,  72, 17, 4, 124, 12, 28, 8, 12, 12, 15},
      {"x86_64",      {62, k64, kLe, 0},      336, 32, 112, 27, 8, 136, 24, 40, 8, 16, 16, 19},
      {"x32",         {62, k32, kLe, 0},      296, 24,  72, 27, 8, 124, 12, 28, 8, 12, 16, 19},
      {"arm",         {40, k32, kLe, 0},      148, 24,  72, 18, 4, 124, 12, 28, 8, 12, 15, 13},
      {"armeb",       {40, k32, kBe, 0},      148, 24,  72, 18, 4, 124, 12, 28, 8, 12, 15, 13},
      {"aarch64",     {183, k64, kLe, 0},     392, 32, 112, 34, 8, 136, 24, 40, 8, 16, 32, 31},
      {"riscv32",     {243, k32, kLe, 0},     204, 24,  72, 32, 4, 128, 16, 32, 8, 12, 0, 2},
      {"riscv64",     {243, k64, kLe, 0},     376, 32, 112, 32, 8, 136, 24, 40, 8, 16, 0, 2},
      {"ppc",         {20, k32, kBe, 0},      268, 24,  72, 48, 4, 128, 16, 32, 8, 12, 32, 1},
      {"ppc64",       {21, k64, kBe, 0},      504, 32, 112, 48, 8, 136, 24, 40, 8, 16, 32, 1},
      {"ppc64le",     {21, k64, kLe, 2},      504, 32, 112, 48, 8, 136, 24, 40, 8, 16, 32, 1},
      {"s390x",       {22, k64, kBe, 0},      336, 32, 112, 27, 8, 136, 24, 40, 8, 16, 1, 17},
      {"mips",        {8, k32, kBe, 0x1000},  256, 24,  72, 45, 4, 128, 16, 32, 4, 12, 40, 35},
      {"mipsel",      {8, k32, kLe, 0x1000},  256, 24,  72, 45, 4, 128, 16, 32, 4, 12, 40, 35},
      {"mips n32",    {8, k32, kBe, 0x20},    440, 24,  72, 45, 8, 128, 16, 32, 4, 12, 34, 29},
      {"mips64",      {8, k64, kBe, 0},       480, 32, 112, 45, 8, 136, 24, 40, 4, 16, 34, 29},
      {"mips64el",    {8, k64, kLe, 0},       480, 32, 112, 45, 8, 136, 24, 40, 4, 16, 34, 29},
      {"loongarch64", {258, k64, kLe, 0},     480, 32, 112, 45, 8, 136, 24, 40, 8, 16, 33, 3},
      // clang-format on
  };
  return kAbis;
}

std::vector<std::byte> linux_prstatus(const LinuxAbi& abi, uint32_t tid, uint16_t signal,
                                      uint64_t first) {
  AbiBytes out(abi.abi);
  out.u32(signal).u32(0).u32(0).u16(signal).pad_to(abi.pid_at).u32(tid);
  out.pad_to(abi.registers_at);
  for (size_t i = 0; i < abi.register_count; ++i) out.put(first + i, abi.register_size);
  return out.pad_to(abi.prstatus_size).data();
}

std::vector<std::byte> linux_prpsinfo(const LinuxAbi& abi, uint32_t pid, const std::string& name,
                                      const std::string& arguments) {
  AbiBytes out(abi.abi);
  out.pad_to(abi.prpsinfo_pid_at).u32(pid).pad_to(abi.prpsinfo_name_at).text(name, 16);
  return out.text(arguments, 80).pad_to(abi.prpsinfo_size).data();
}

std::vector<std::byte> linux_siginfo(const LinuxAbi& abi, int32_t signal, int32_t code,
                                     uint64_t address) {
  AbiBytes out(abi.abi);
  out.u32(static_cast<uint32_t>(signal)).pad_to(abi.si_code_at).u32(static_cast<uint32_t>(code));
  return out.pad_to(abi.si_addr_at).word(address).pad_to(128).data();
}

}  // namespace residue::testing
