// Linux cores of every machine, ABI and byte order: threads, registers, process, signal, files.
#include <map>

#include "gtest/gtest.h"
#include "tests/support/abi_core.h"
#include "tests/support/dump_file.h"
#include "tests/support/image_laws.h"
#include "tests/support/linux_notes.h"

namespace residue {
namespace {

using testing::Abi;
using testing::AbiBytes;
using testing::AbiCore;
using testing::LinuxAbi;
using testing::open_bytes;

constexpr uint32_t kPrstatus = 1, kPrpsinfo = 3, kAuxv = 6;
constexpr uint32_t kSiginfo = 0x53494749, kFile = 0x46494c45;
constexpr uint64_t kStack = 0x7fff0000, kFirst = 0x1000;

// Where kStack + 0x100 shall be the stack pointer: what the slots of the registers begin with.
uint64_t first_value(const LinuxAbi& abi) { return kStack + 0x100 - abi.sp_slot; }

AbiCore core_of(const LinuxAbi& abi) {
  AbiCore core(abi.abi);
  core.note("CORE", kPrstatus, linux_prstatus(abi, 4242, 11, first_value(abi)));
  core.note("CORE", kPrpsinfo, linux_prpsinfo(abi, 4242, "server", "server --port 80"));
  core.note("CORE", kSiginfo, linux_siginfo(abi, 11, 1, 0x12345678));
  core.note("CORE", kAuxv, AbiBytes(abi.abi).word(6).word(65536).word(0).word(0).data());
  AbiBytes files(abi.abi);
  files.word(1).word(4096).word(0x10000).word(0x12000).word(3).text("/data/file", 11);
  core.note("CORE", kFile, files.data());
  core.note("CORE", kPrstatus, linux_prstatus(abi, 4243, 11, kFirst));
  core.load(0x10000, 4, {}, 0x2000);
  core.load(kStack, 6, AbiBytes(abi.abi).word(0x11223344).pad_to(0x1000).data());
  return core;
}

const Register* find_register(const Thread& thread, std::string_view name) {
  for (const Register& r : thread.registers) {
    if (name == r.name) return &r;
  }
  return nullptr;
}

std::string abi_name(const ::testing::TestParamInfo<LinuxAbi>& info) {
  std::string name = info.param.name;
  for (char& c : name) c = c == ' ' ? '_' : c;
  return name;
}

class ElfMachine : public ::testing::TestWithParam<LinuxAbi> {};

TEST_P(ElfMachine, GivesProcessThreadsAndMemory) {
  const LinuxAbi& abi = GetParam();
  const auto opened = open_bytes(core_of(abi).build());
  ASSERT_TRUE(opened.image) << to_string(opened.image.error());
  const Image& image = *opened.image;
  EXPECT_TRUE(opened.diagnostics.items().empty()) << testing::to_text(opened.diagnostics);
  EXPECT_EQ(testing::broken_laws(image), std::vector<std::string>());
  EXPECT_EQ(image.pointer_width, abi.abi.word());
  EXPECT_EQ(image.order == ByteOrder::kBig, abi.abi.is_big);
  EXPECT_EQ(image.page_size, 65536U);
  EXPECT_EQ(image.pid, 4242U);
  EXPECT_EQ(image.executable, "server");
  EXPECT_EQ(image.command_line, "server --port 80");
  ASSERT_EQ(image.threads.size(), 2U);
  EXPECT_EQ(image.threads[0].tid, 4242U);
  EXPECT_EQ(image.threads[0].name, "server");
  EXPECT_EQ(image.threads[1].tid, 4243U);
  EXPECT_EQ(image.threads[0].pc, (first_value(abi) + abi.pc_slot) & 0xffffffff);
  EXPECT_EQ(image.threads[0].sp, kStack + 0x100);
  EXPECT_EQ(image.threads[1].pc, kFirst + abi.pc_slot);
  EXPECT_EQ(image.word(Address(kStack)), 0x11223344U);
  EXPECT_EQ(image.find_region(Address(kStack))->kind, RegionKind::kStack);
  EXPECT_EQ(image.find_region(Address(0x11fff))->name, "/data/file");
}

TEST_P(ElfMachine, BlamesTheFirstThread) {
  const Image image = testing::image_of(core_of(GetParam()).build());
  EXPECT_TRUE(image.threads.at(0).crashed);
  EXPECT_EQ(image.threads[0].reason, "SIGSEGV / SEGV_MAPERR");
  EXPECT_EQ(image.threads[0].fault_address, Address(0x12345678));
  EXPECT_FALSE(image.threads.at(1).crashed);
}

// A status record cut by a byte is damage; one that is longer is read, with a warning.
TEST_P(ElfMachine, TakesRecordsOfOtherSizesWithAWord) {
  const LinuxAbi& abi = GetParam();
  auto record = linux_prstatus(abi, 7, 0, kFirst);
  record.resize(abi.prstatus_size - 1);
  const auto cut =
      open_bytes(AbiCore(abi.abi).note("CORE", kPrstatus, record).load(0, 6, {}, 4096).build());
  ASSERT_TRUE(cut.image);
  EXPECT_TRUE(cut.image->threads.empty());
  EXPECT_TRUE(cut.diagnostics.has_damage());
  record = linux_prstatus(abi, 7, 0, kFirst);
  record.resize(abi.prstatus_size + 8);
  const auto more =
      open_bytes(AbiCore(abi.abi).note("CORE", kPrstatus, record).load(0, 6, {}, 4096).build());
  ASSERT_TRUE(more.image);
  ASSERT_EQ(more.image->threads.size(), 1U);
  EXPECT_EQ(more.image->threads[0].pc, kFirst + abi.pc_slot);
  EXPECT_NE(testing::to_text(more.diagnostics).find("were expected"), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(All, ElfMachine, ::testing::ValuesIn(testing::linux_abis()), abi_name);

struct Slot {
  const char* abi;
  const char* name;
  size_t slot;
  int dwarf;
};

// Registers that unwinders and people ask for first: where the kernels' headers have them and how
// the psABIs number them. Checked by hand against gdb-multiarch 13.1 on cores of qemu-user 7.2
// (all but RISC-V and LoongArch, for which it writes none).
TEST(ElfMachines, NameAndNumberTheirRegisters) {
  constexpr Slot kSlots[] = {{"x86", "ebx", 0, 3},
                             {"x86", "ebp", 5, 5},
                             {"x86", "eax", 6, 0},
                             {"x86", "eip", 12, 8},
                             {"x86", "esp", 15, 4},
                             {"x86_64", "rbp", 4, 6},
                             {"x86_64", "rax", 10, 0},
                             {"x86_64", "rip", 16, 16},
                             {"x86_64", "rsp", 19, 7},
                             {"x86_64", "r15", 0, 15},
                             {"x32", "rip", 16, 16},
                             {"x32", "rbx", 5, 3},
                             {"arm", "r0", 0, 0},
                             {"arm", "r11", 11, 11},
                             {"arm", "lr", 14, 14},
                             {"arm", "pc", 15, 15},
                             {"armeb", "sp", 13, 13},
                             {"aarch64", "x0", 0, 0},
                             {"aarch64", "x29", 29, 29},
                             {"aarch64", "x30", 30, 30},
                             {"aarch64", "sp", 31, 31},
                             {"aarch64", "pc", 32, 32},
                             {"riscv64", "ra", 1, 1},
                             {"riscv64", "sp", 2, 2},
                             {"riscv64", "tp", 4, 4},
                             {"riscv64", "fp", 8, 8},
                             {"riscv64", "a0", 10, 10},
                             {"riscv64", "t6", 31, 31},
                             {"riscv32", "s11", 27, 27},
                             {"ppc", "r1", 1, 1},
                             {"ppc", "lr", 36, 65},
                             {"ppc64", "ctr", 35, 66},
                             {"ppc64le", "lr", 36, 65},
                             {"ppc64le", "r31", 31, 31},
                             {"s390x", "pswa", 1, 65},
                             {"s390x", "r11", 13, 11},
                             {"s390x", "r15", 17, 15},
                             {"s390x", "orig_r2", 26, -1},
                             {"mips", "sp", 35, 29},
                             {"mips", "ra", 37, 31},
                             {"mips", "pc", 40, -1},
                             {"mips", "t0", 14, 8},
                             {"mips n32", "t0", 12, 12},
                             {"mips64", "ra", 31, 31},
                             {"mips64el", "a4", 8, 8},
                             {"mips64", "hi", 33, 64},
                             {"mips64", "lo", 32, 65},
                             {"loongarch64", "r1", 1, 1},
                             {"loongarch64", "r22", 22, 22},
                             {"loongarch64", "pc", 33, -1}};
  std::map<std::string, Image> images;
  for (const LinuxAbi& abi : testing::linux_abis()) {
    images.emplace(abi.name, testing::image_of(core_of(abi).build()));
  }
  for (const Slot& slot : kSlots) {
    const Thread& thread = images.at(slot.abi).threads.at(1);
    const Register* r = find_register(thread, slot.name);
    ASSERT_NE(r, nullptr) << slot.abi << " " << slot.name;
    EXPECT_EQ(r->value, kFirst + slot.slot) << slot.abi << " " << slot.name;
    EXPECT_EQ(r->dwarf, slot.dwarf) << slot.abi << " " << slot.name;
  }
}

// r13 on 64-bit PowerPC, r2 on 32-bit, x4 on RISC-V, r2 on LoongArch; s390x has it in two access
// registers of 4 bytes, which begin behind psw and 16 gprs.
TEST(ElfMachines, KnowTheThreadPointerAmongTheRegisters) {
  const std::map<std::string, uint64_t> expected = {
      {"ppc", kFirst + 2},     {"ppc64", kFirst + 13},      {"ppc64le", kFirst + 13},
      {"riscv64", kFirst + 4}, {"loongarch64", kFirst + 2}, {"x86_64", kFirst + 21},
      {"s390x", kFirst + 18}};
  for (const LinuxAbi& abi : testing::linux_abis()) {
    const auto it = expected.find(abi.name);
    if (it == expected.end()) continue;
    const Image image = testing::image_of(core_of(abi).build());
    EXPECT_EQ(image.threads.at(1).thread_pointer, it->second) << abi.name;
  }
}

const LinuxAbi& abi_named(const std::string& name) {
  for (const LinuxAbi& abi : testing::linux_abis()) {
    if (name == abi.name) return abi;
  }
  throw std::runtime_error("no such ABI");
}

// NT_386_TLS: struct user_desc of entries 12, 13, 14; %gs 0x6b selects 13.
TEST(ElfMachines, FindTheTlsOf32BitX86InItsDescriptors) {
  const LinuxAbi& abi = abi_named("x86");
  AbiBytes status(abi.abi);
  status.u32(0).pad_to(24).u32(9).pad_to(72 + 10 * 4).u32(0x6b).pad_to(144);
  AbiBytes tls(abi.abi);
  for (const uint32_t entry : {12U, 13U, 14U}) {
    tls.u32(entry).u32(0xf7d00000 + entry * 0x1000).u32(0xfffff).u32(0x51);
  }
  AbiCore core(abi.abi);
  core.note("CORE", kPrstatus, status.data()).note("LINUX", 0x200, tls.data());
  const Image image = testing::image_of(core.load(0, 6, {}, 4096).build());
  EXPECT_EQ(image.threads.at(0).thread_pointer, 0xf7d0d000U);
}

// binutils writes and wants 0x1d8 bytes (elfnn-loongarch.c), the kernel's struct has 0x1e0.
TEST(ElfMachines, LoongArchRecordsOfGdbLackTheirLastWord) {
  const LinuxAbi& abi = abi_named("loongarch64");
  auto record = linux_prstatus(abi, 7, 0, kFirst);
  record.resize(0x1d8);
  const auto opened =
      open_bytes(AbiCore(abi.abi).note("CORE", kPrstatus, record).load(0, 6, {}, 4096).build());
  ASSERT_TRUE(opened.image);
  ASSERT_EQ(opened.image->threads.size(), 1U);
  EXPECT_EQ(opened.image->threads[0].pc, kFirst + abi.pc_slot);
  EXPECT_TRUE(opened.diagnostics.items().empty()) << testing::to_text(opened.diagnostics);
}

class ElfAArch64 : public ::testing::Test {
 protected:
  AbiCore core() const {
    AbiCore core(abi_.abi);
    core.note("CORE", kPrstatus, linux_prstatus(abi_, 9, 11, kFirst));
    core.load(kStack, 6, AbiBytes(abi_.abi).pad_to(0x1000).data());
    return core;
  }
  std::vector<std::byte> words(std::initializer_list<uint64_t> values) const {
    AbiBytes out(abi_.abi);
    for (const uint64_t v : values) out.u64(v);
    return out.data();
  }
  const LinuxAbi& abi_ = abi_named("aarch64");
};

TEST_F(ElfAArch64, HasItsThreadPointerInANote) {
  // With SME the note has TPIDR2 as well.
  for (const auto& note : {words({0xffff9f0a0700}), words({0xffff9f0a0700, 0})}) {
    const Image image = testing::image_of(core().note("LINUX", 0x401, note).build());
    EXPECT_EQ(image.threads.at(0).thread_pointer, 0xffff9f0a0700U);
  }
}

// NT_ARM_PAC_MASK of a kernel with 48-bit addresses: bits 54 to 48 of code pointers.
TEST_F(ElfAArch64, StripsSignaturesAndTags) {
  const Image image =
      testing::image_of(core().note("LINUX", 0x406, words({0, 0x7f000000000000})).build());
  EXPECT_EQ(image.code_signature_mask, 0x7f000000000000U);
  EXPECT_EQ(image.strip_code(0x00250000aabbccdd), 0xaabbccddU);
  EXPECT_EQ(image.strip_code(0x0425ffff9f0a0700), 0xffff9f0a0700U);
  EXPECT_EQ(image.untag(0x0b00ffff9f0a0700), 0xffff9f0a0700U);
  const Image x86 = testing::image_of(core_of(abi_named("x86_64")).build());
  EXPECT_EQ(x86.untag(0x0b00ffff9f0a0700), 0x0b00ffff9f0a0700U);
}

TEST_F(ElfAArch64, FaultAddressesHaveNoTag) {
  const Image image = testing::image_of(
      core().note("CORE", kSiginfo, linux_siginfo(abi_, 11, 9, 0x0300ffff00001000)).build());
  EXPECT_EQ(image.threads.at(0).reason, "SIGSEGV / SEGV_MTESERR");
  EXPECT_EQ(image.threads.at(0).fault_address, Address(0xffff00001000));
}

TEST_F(ElfAArch64, AMaskThatCoversAddressesIsDamage) {
  const auto opened = open_bytes(core().note("LINUX", 0x406, words({0, 0xffff})).build());
  ASSERT_TRUE(opened.image);
  EXPECT_EQ(opened.image->code_signature_mask, 0U);
  EXPECT_NE(testing::to_text(opened.diagnostics).find("covers addresses"), std::string::npos);
  const auto cut = open_bytes(core().note("LINUX", 0x406, words({0})).build());
  EXPECT_TRUE(cut.diagnostics.has_damage());
}

struct MipsReason {
  int32_t signal, code;
  const char* text;
};

// Numbers and codes of arch/mips/include/uapi/asm/{signal,siginfo}.h.
TEST(ElfMips, HasSignalsOfItsOwn) {
  constexpr MipsReason kReasons[] = {
      {10, 1, "SIGBUS / BUS_ADRALN"},  {7, 0, "SIGEMT / SI_USER"},
      {12, 1, "SIGSYS / SYS_SECCOMP"}, {23, 0, "SIGSTOP / SI_USER"},
      {6, -6, "SIGABRT / SI_TKILL"},   {16, -3, "SIGUSR1 / SI_TIMER"},
      {17, -2, "SIGUSR2 / SI_ASYNCIO"}};
  for (const char* name : {"mips", "mips64el"}) {
    const LinuxAbi& abi = abi_named(name);
    for (const MipsReason& reason : kReasons) {
      AbiCore core(abi.abi);
      core.note("CORE", kPrstatus,
                linux_prstatus(abi, 9, static_cast<uint16_t>(reason.signal), kFirst));
      core.note("CORE", kSiginfo, linux_siginfo(abi, reason.signal, reason.code, 0x10));
      const Image image = testing::image_of(core.load(0, 6, {}, 4096).build());
      EXPECT_EQ(image.threads.at(0).reason, reason.text);
      EXPECT_EQ(image.threads[0].crashed, reason.signal != 23) << reason.text;
    }
  }
}

// A 32-bit MIPS core whose header does not say which of the two ABIs it is of.
TEST(ElfMips, TakesTheOtherAbiBySize) {
  LinuxAbi n32 = abi_named("mips n32");
  n32.abi.flags = 0;
  const auto opened = open_bytes(core_of(n32).build());
  ASSERT_TRUE(opened.image);
  ASSERT_EQ(opened.image->threads.size(), 2U);
  EXPECT_EQ(opened.image->threads[1].pc, kFirst + n32.pc_slot);
  EXPECT_NE(testing::to_text(opened.diagnostics).find("another ABI"), std::string::npos);
}

}  // namespace
}  // namespace residue
