#include "formats/elf/machine.h"

namespace residue::elf {
namespace {

// e_machine, from the registry of the generic ABI (http://www.sco.com/developers/gabi, updated in
// binutils' include/elf/common.h; 2.42 read).
constexpr uint16_t kMachine386 = 3, kMachineMips = 8, kMachinePpc = 20, kMachinePpc64 = 21;
constexpr uint16_t kMachineS390 = 22, kMachineArm = 40, kMachineAmd64 = 62, kMachineAarch64 = 183;
constexpr uint16_t kMachineRiscv = 243, kMachineLoongArch = 258;

// e_flags of MIPS: 64-bit registers with 32-bit pointers, the n32 ABI.
constexpr uint32_t kMipsAbi2 = 0x20;

enum class Order : uint8_t { kLittle, kBig, kEither };

struct Row {
  uint16_t machine;
  bool is_64;
  Order order;
  Architecture architecture;
};

constexpr Row kRows[] = {
    {kMachine386, false, Order::kLittle, Architecture::kX86},
    {kMachineAmd64, true, Order::kLittle, Architecture::kX86_64},
    {kMachineAmd64, false, Order::kLittle, Architecture::kX86_64},  // x32
    {kMachineArm, false, Order::kEither, Architecture::kArm},
    {kMachineAarch64, true, Order::kEither, Architecture::kAArch64},
    {kMachineRiscv, false, Order::kLittle, Architecture::kRiscv32},
    {kMachineRiscv, true, Order::kLittle, Architecture::kRiscv64},
    {kMachinePpc, false, Order::kEither, Architecture::kPpc},
    {kMachinePpc64, true, Order::kBig, Architecture::kPpc64},
    {kMachinePpc64, true, Order::kLittle, Architecture::kPpc64Le},
    {kMachineS390, true, Order::kBig, Architecture::kS390x},
    {kMachineMips, false, Order::kEither, Architecture::kMips},
    {kMachineMips, true, Order::kEither, Architecture::kMips64},
    {kMachineLoongArch, true, Order::kLittle, Architecture::kLoongArch64},
};

struct MachineName {
  uint16_t machine;
  const char* name;
};

// Machines that people have cores of, read or not.
constexpr MachineName kNames[] = {
    {2, "SPARC"},
    {kMachine386, "x86"},
    {4, "m68k"},
    {kMachineMips, "MIPS"},
    {15, "PA-RISC"},
    {18, "SPARC v8+"},
    {kMachinePpc, "PowerPC"},
    {kMachinePpc64, "PowerPC 64"},
    {kMachineS390, "S/390"},
    {kMachineArm, "ARM"},
    {42, "SuperH"},
    {43, "SPARC v9"},
    {50, "Itanium"},
    {kMachineAmd64, "x86-64"},
    {93, "ARC"},
    {94, "Xtensa"},
    {164, "Hexagon"},
    {kMachineAarch64, "AArch64"},
    {189, "MicroBlaze"},
    {195, "ARCv2"},
    {kMachineRiscv, "RISC-V"},
    {252, "C-SKY"},
    {kMachineLoongArch, "LoongArch"},
    {0x9026, "Alpha"},
};

bool matches(Order wanted, ByteOrder order) {
  return wanted == Order::kEither || (wanted == Order::kBig) == (order == ByteOrder::kBig);
}

}  // namespace

std::optional<Machine> machine_of(const Header& header) {
  for (const Row& row : kRows) {
    if (row.machine != header.machine || row.is_64 != header.is_64 ||
        !matches(row.order, header.order)) {
      continue;
    }
    Machine machine{row.architecture, header.order, header.word(), header.word()};
    const bool n32 = row.machine == kMachineMips && (header.flags & kMipsAbi2) != 0;
    if (row.architecture == Architecture::kX86_64 || n32) machine.register_width = 8;
    return machine;
  }
  return std::nullopt;
}

std::string describe_machine(const Header& header) {
  std::string text = "ELF machine " + std::to_string(header.machine);
  for (const MachineName& known : kNames) {
    if (known.machine == header.machine) text = known.name;
  }
  text += header.is_64 ? ", 64-bit" : ", 32-bit";
  text += header.order == ByteOrder::kBig ? ", big-endian" : ", little-endian";
  return text;
}

}  // namespace residue::elf
