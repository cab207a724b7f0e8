// Cores of FreeBSD, NetBSD and OpenBSD. What corpus_test.cpp sees in real ones is not repeated.
#include "gtest/gtest.h"
#include "tests/support/abi_core.h"
#include "tests/support/bsd_notes.h"
#include "tests/support/dump_file.h"
#include "tests/support/image_laws.h"

namespace residue {
namespace {

using testing::Abi;
using testing::AbiBytes;
using testing::AbiCore;
using testing::counted_words;
using testing::image_of;
using testing::open_bytes;

constexpr Abi kAmd64 = {62, true, false, 0}, kI386 = {3, false, false, 0};
constexpr Abi kArm64 = {183, true, false, 0};
// FreeBSD's note types.
constexpr uint32_t kPrstatus = 1, kPrpsinfo = 3, kThrmisc = 7, kProc = 8, kVmmap = 10;
constexpr uint32_t kProcstatAuxv = 16, kLwpinfo = 17, kSegbases = 0x200, kArmTls = 0x401;

uint64_t value_of(const Thread& thread, std::string_view name) {
  for (const Register& r : thread.registers) {
    if (r.name == name) return r.value;
  }
  ADD_FAILURE() << "no register " << name;
  return 0;
}

AbiCore freebsd_amd64() {
  AbiCore core(kAmd64);
  core.note("FreeBSD", kPrpsinfo, freebsd_prpsinfo(kAmd64, 786, "server", "server -x"));
  core.note("FreeBSD", kPrstatus,
            freebsd_prstatus(kAmd64, 100654, 11, counted_words(kAmd64, 22, 0x1000)));
  core.note("FreeBSD", kThrmisc, AbiBytes(kAmd64).text("worker", 20).u32(0).data());
  core.load(0x10000, 6, AbiBytes(kAmd64).pad_to(0x1000).data());
  return core;
}

// struct reg of sys/amd64/include/reg.h: 15 registers, trap number (4), fs, gs (2 each), error (4),
// es, ds (2 each), rip, cs, rflags, rsp, ss.
TEST(FreeBsdCore, HasTheRegistersOfAmd64) {
  const Image image = image_of(freebsd_amd64().build());
  EXPECT_EQ(image.os, "freebsd");
  EXPECT_EQ(image.pid, 786U);
  EXPECT_EQ(image.command_line, "server -x");
  ASSERT_EQ(image.threads.size(), 1U);
  const Thread& thread = image.threads[0];
  EXPECT_EQ(thread.tid, 100654U);
  EXPECT_EQ(thread.name, "worker");
  EXPECT_EQ(thread.reason, "SIGSEGV");
  EXPECT_TRUE(thread.crashed);
  EXPECT_EQ(value_of(thread, "r15"), 0x1000U);
  EXPECT_EQ(value_of(thread, "rax"), 0x100eU);
  EXPECT_EQ(thread.pc, 0x1011U);
  EXPECT_EQ(thread.sp, 0x1014U);
}

// sys/i386/include/reg.h: fs, es, ds, edi, esi, ebp, isp, ebx, edx, ecx, eax, trapno, err, eip, cs,
// eflags, esp, ss, gs. The note of the segments' bases has that of %gs second.
TEST(FreeBsdCore, HasTheRegistersOfI386) {
  AbiCore core(kI386);
  core.note("FreeBSD", kPrstatus, freebsd_prstatus(kI386, 5, 11, counted_words(kI386, 19, 0x1000)));
  core.note("FreeBSD", kSegbases, AbiBytes(kI386).u32(0xaaaa0000).u32(0xbbbb0000).data());
  const Image image = image_of(core.load(0, 6, {}, 4096).build());
  ASSERT_EQ(image.threads.size(), 1U);
  EXPECT_EQ(value_of(image.threads[0], "edi"), 0x1003U);
  EXPECT_EQ(image.threads[0].pc, 0x100dU);
  EXPECT_EQ(image.threads[0].sp, 0x1010U);
  EXPECT_EQ(image.threads[0].thread_pointer, 0xbbbb0000U);
}

// sys/arm64/include/reg.h: x0 to x29, lr, sp, elr, spsr.
TEST(FreeBsdCore, HasTheRegistersOfArm64) {
  AbiCore core(kArm64);
  core.note("FreeBSD", kPrstatus,
            freebsd_prstatus(kArm64, 5, 6, counted_words(kArm64, 34, 0x1000)));
  core.note("FreeBSD", kArmTls, AbiBytes(kArm64).u64(0x40345010).data());
  const Image image = image_of(core.load(0, 6, {}, 4096).build());
  ASSERT_EQ(image.threads.size(), 1U);
  EXPECT_EQ(value_of(image.threads[0], "x30"), 0x101eU);
  EXPECT_EQ(image.threads[0].sp, 0x101fU);
  EXPECT_EQ(image.threads[0].pc, 0x1020U);
  EXPECT_EQ(image.threads[0].thread_pointer, 0x40345010U);
  EXPECT_EQ(image.threads[0].reason, "SIGABRT");
}

TEST(FreeBsdCore, SaysWhyFromTheThreadsOwnRecord) {
  struct {
    uint32_t signal, code;
    const char* text;
    bool has_address;
  } const reasons[] = {
      {11, 2, "SIGSEGV / SEGV_ACCERR", true},    {8, 2, "SIGFPE / FPE_INTDIV", true},
      {10, 1, "SIGBUS / BUS_ADRALN", true},      {6, 0x10007, "SIGABRT / SI_LWP", false},
      {11, 0x10001, "SIGSEGV / SI_USER", false}, {3, 0x10006, "SIGQUIT / SI_KERNEL", false}};
  for (const auto& reason : reasons) {
    const auto info = freebsd_lwpinfo(kAmd64, 0x20, reason.signal, reason.code, 0xdead000);
    const Image image = image_of(freebsd_amd64().note("FreeBSD", kLwpinfo, info).build());
    EXPECT_EQ(image.threads.at(0).reason, reason.text);
    EXPECT_EQ(image.threads[0].fault_address.has_value(), reason.has_address) << reason.text;
    if (reason.has_address) {
      EXPECT_EQ(image.threads[0].fault_address, Address(0xdead000));
    }
  }
  // Without PL_FLAG_SI the record says nothing.
  const auto silent = freebsd_lwpinfo(kAmd64, 0, 11, 2, 0xdead000);
  const Image image = image_of(freebsd_amd64().note("FreeBSD", kLwpinfo, silent).build());
  EXPECT_EQ(image.threads.at(0).reason, "SIGSEGV");
}

// The record of 32-bit FreeBSD: siginfo 4 bytes nearer, an address of 4 bytes.
TEST(FreeBsdCore, SaysWhyOn32BitsToo) {
  AbiCore core(kI386);
  core.note("FreeBSD", kPrstatus, freebsd_prstatus(kI386, 5, 10, counted_words(kI386, 19, 0)));
  core.note("FreeBSD", kLwpinfo, freebsd_lwpinfo(kI386, 0x20, 10, 3, 0xdead000));
  const Image image = image_of(core.load(0, 6, {}, 4096).build());
  EXPECT_EQ(image.threads.at(0).reason, "SIGBUS / BUS_OBJERR");
  EXPECT_EQ(image.threads[0].fault_address, Address(0xdead000));
}

TEST(FreeBsdCore, KnowsItsMappedFiles) {
  AbiBytes maps(kAmd64);
  maps.u32(1160);
  testing::put_freebsd_mapping(&maps, 0x200000, 0x201000, 0, "/bin/server");
  testing::put_freebsd_mapping(&maps, 0x201000, 0x203000, 0x1000, "/bin/server");
  testing::put_freebsd_mapping(&maps, 0x10000, 0x11000, 0, "");
  const AbiBytes auxv = AbiBytes(kAmd64).u32(16).u64(9).u64(0x201234).u64(31).u64(77).u64(0).u64(0);
  const auto opened = open_bytes(freebsd_amd64()
                                     .note("FreeBSD", kVmmap, maps.data())
                                     .note("FreeBSD", kProcstatAuxv, auxv.data())
                                     .build());
  ASSERT_TRUE(opened.image);
  const Image& image = *opened.image;
  EXPECT_FALSE(opened.diagnostics.has_damage()) << testing::to_text(opened.diagnostics);
  ASSERT_EQ(image.modules.size(), 1U);
  EXPECT_EQ(image.modules[0].path, "/bin/server");
  EXPECT_EQ(image.modules[0].range, (AddressRange{Address(0x200000), ByteCount(0x3000)}));
  EXPECT_TRUE(image.modules[0].is_executable);
  EXPECT_EQ(image.executable, "/bin/server");
  EXPECT_EQ(image.find_region(Address(0x10000))->name, "");
}

TEST(FreeBsdCore, OldOnesHaveTheProcessInAnotherNote) {
  AbiCore core(kAmd64);
  core.note("FreeBSD", kPrpsinfo, freebsd_prpsinfo(kAmd64, 0, "server", "server"));
  core.note("FreeBSD", kProc, AbiBytes(kAmd64).u32(1088).u32(1088).pad_to(76).u32(4711).data());
  const Image image = image_of(core.load(0, 6, {}, 4096).build());
  EXPECT_EQ(image.pid, 4711U);
}

TEST(FreeBsdCore, DamagedNotesAreReported) {
  AbiBytes maps(kAmd64);
  maps.u32(1160).u32(8).u32(0);  // a record shorter than its fixed part
  AbiBytes cut(kAmd64);
  cut.u32(1160);
  testing::put_freebsd_mapping(&cut, 0x200000, 0x201000, 0, "/bin/server");
  auto shortened = cut.data();
  shortened.resize(shortened.size() - 8);
  for (const auto& [type, bytes] : std::vector<std::pair<uint32_t, std::vector<std::byte>>>{
           {kVmmap, maps.data()},
           {kVmmap, shortened},
           {kPrstatus, std::vector<std::byte>(48 + 175)},
           {kPrpsinfo, std::vector<std::byte>(113)},
           {kLwpinfo, std::vector<std::byte>(12)},
           {kSegbases, std::vector<std::byte>(7)},
           {kProc, std::vector<std::byte>(20)},
           {kProcstatAuxv, std::vector<std::byte>(3)}}) {
    const auto opened = open_bytes(freebsd_amd64().note("FreeBSD", type, bytes).build());
    ASSERT_TRUE(opened.image);
    EXPECT_EQ(opened.image->threads.size(), 1U) << type;
    EXPECT_TRUE(opened.diagnostics.has_damage()) << type;
  }
}

// NetBSD: types from 32 on are the machine's ptrace requests.
constexpr uint32_t kProcinfo = 1, kNetBsdAuxv = 2, kLwpstatus = 24, kGetregs = 33;

AbiCore netbsd(uint32_t blamed, uint32_t code) {
  AbiCore core(kAmd64);
  core.note("NetBSD-CORE", kProcinfo, netbsd_procinfo(kAmd64, 11, code, 622, "server", blamed));
  for (const uint32_t id : {2U, 1U}) {
    const std::string name = "NetBSD-CORE@" + std::to_string(id);
    core.note(name, kGetregs, counted_words(kAmd64, 26, 0x1000 * id));
    core.note(name, kGetregs + 2, std::vector<std::byte>(512));
  }
  core.load(0, 6, {}, 4096);
  return core;
}

TEST(NetBsdCore, BlamesTheThreadThatTheProcessNames) {
  const Image image = image_of(netbsd(1, 1).build());
  EXPECT_EQ(image.os, "netbsd");
  EXPECT_EQ(image.pid, 622U);
  EXPECT_EQ(image.executable, "server");
  ASSERT_EQ(image.threads.size(), 2U);
  EXPECT_EQ(image.threads[0].tid, 2U);
  EXPECT_FALSE(image.threads[0].crashed);
  EXPECT_TRUE(image.threads[1].crashed);
  EXPECT_EQ(image.threads[1].reason, "SIGSEGV / SEGV_MAPERR");
  // sys/arch/amd64/include/frame_regs.h: rip has index 21, rsp 24.
  EXPECT_EQ(image.threads[1].pc, 0x1015U);
  EXPECT_EQ(image.threads[1].sp, 0x1018U);
  EXPECT_EQ(value_of(image.threads[1], "r10"), 0x1006U);
  EXPECT_EQ(image.threads[0].extended_state.size(), 512U);
}

TEST(NetBsdCore, BlamesNobodyForASignalToTheProcess) {
  const auto opened = open_bytes(netbsd(0, 32767).build());
  ASSERT_TRUE(opened.image);
  for (const Thread& thread : opened.image->threads) {
    EXPECT_FALSE(thread.crashed);
    EXPECT_EQ(thread.reason, "SIGSEGV");
  }
  EXPECT_NE(testing::to_text(opened.diagnostics).find("not to one of its threads"),
            std::string::npos);
}

TEST(NetBsdCore, NamesThreadsAndTheirTls) {
  AbiBytes status(kAmd64);
  status.u32(2).pad_to(36).text("worker", 20).u64(0x7f7ff7ef0000);
  AbiCore core = netbsd(1, 1);
  core.note("NetBSD-CORE@3", kLwpstatus, status.data());
  core.note("NetBSD-CORE@3", kGetregs, counted_words(kAmd64, 26, 0));
  const Image image = image_of(core.build());
  ASSERT_EQ(image.threads.size(), 3U);
  EXPECT_EQ(image.threads[2].name, "worker");
  EXPECT_EQ(image.threads[2].thread_pointer, 0x7f7ff7ef0000U);
}

TEST(NetBsdCore, OfAArch64NumbersRegistersFromTheFirstRequest) {
  AbiCore core(kArm64);
  core.note("NetBSD-CORE", kProcinfo, netbsd_procinfo(kArm64, 11, 1, 7, "a", 1));
  core.note("NetBSD-CORE@1", 32, counted_words(kArm64, 35, 0x1000));
  const Image image = image_of(core.load(0, 6, {}, 4096).build());
  ASSERT_EQ(image.threads.size(), 1U);
  EXPECT_EQ(image.threads[0].sp, 0x101fU);
  EXPECT_EQ(image.threads[0].pc, 0x1020U);
  EXPECT_EQ(image.threads[0].thread_pointer, 0x1022U);
}

TEST(NetBsdCore, OfI386HasItsRegisters) {
  AbiCore core(kI386);
  core.note("NetBSD-CORE", kProcinfo, netbsd_procinfo(kI386, 11, 1, 7, "a", 0, false));
  core.note("NetBSD-CORE@1", kGetregs, counted_words(kI386, 16, 0x1000));
  const Image image = image_of(core.load(0, 6, {}, 4096).build());
  ASSERT_EQ(image.threads.size(), 1U);
  // sys/arch/i386/include/reg.h: eax, ecx, edx, ebx, esp, ebp, esi, edi, eip.
  EXPECT_EQ(image.threads[0].sp, 0x1004U);
  EXPECT_EQ(image.threads[0].pc, 0x1008U);
  // Version 1 of the record names no thread: the first one.
  EXPECT_TRUE(image.threads[0].crashed);
}

TEST(NetBsdCore, TakesThePathFromTheAuxiliaryVector) {
  AbiBytes auxv(kAmd64);
  auxv.u64(6).u64(8192).u64(2014).u64(0x20010).u64(33).u64(0x20000).u64(0).u64(0);
  AbiCore core = netbsd(1, 1);
  core.note("NetBSD-CORE", kNetBsdAuxv, auxv.data());
  core.load(0x20000, 6, AbiBytes(kAmd64).pad_to(16).text("/usr/bin/server", 4080).data());
  const Image image = image_of(core.build());
  EXPECT_EQ(image.executable, "/usr/bin/server");
  EXPECT_EQ(image.page_size, 8192U);
  // 33 is the vdso on Linux only.
  EXPECT_NE(image.find_region(Address(0x20000))->kind, RegionKind::kVdso);
}

TEST(NetBsdCore, DamagedNotesAreReported) {
  for (const auto& [name, type, size] :
       std::vector<std::tuple<std::string, uint32_t, size_t>>{{"NetBSD-CORE", kProcinfo, 100},
                                                              {"NetBSD-CORE@1", kGetregs, 207},
                                                              {"NetBSD-CORE@1", kLwpstatus, 60}}) {
    const auto opened =
        open_bytes(netbsd(1, 1).note(name, type, std::vector<std::byte>(size)).build());
    ASSERT_TRUE(opened.image);
    EXPECT_GE(opened.image->threads.size(), 2U);
    EXPECT_TRUE(opened.diagnostics.has_damage()) << name << " " << type;
  }
}

// sys/arch/amd64/include/reg.h of OpenBSD: rsp is the 16th, rip the 17th.
TEST(OpenBsdCore, GivesProcessAndRegisters) {
  AbiCore core(kAmd64);
  core.note("OpenBSD", 10, openbsd_procinfo(kAmd64, 11, 99, "server"));
  core.note("OpenBSD@4711", 20, counted_words(kAmd64, 24, 0x1000));
  const Image image = image_of(core.load(0, 6, {}, 4096).build());
  EXPECT_EQ(image.os, "openbsd");
  EXPECT_EQ(image.pid, 99U);
  ASSERT_EQ(image.threads.size(), 1U);
  EXPECT_EQ(image.threads[0].tid, 4711U);
  EXPECT_EQ(image.threads[0].sp, 0x100fU);
  EXPECT_EQ(image.threads[0].pc, 0x1010U);
  EXPECT_EQ(image.threads[0].reason, "SIGSEGV / SEGV_MAPERR");
}

// A machine whose registers are not known keeps its threads and memory.
TEST(OpenBsdCore, OfAnotherMachineSaysWhatIsMissing) {
  AbiCore core(kArm64);
  core.note("OpenBSD", 10, openbsd_procinfo(kArm64, 11, 99, "server"));
  core.note("OpenBSD@5", 20, counted_words(kArm64, 34, 0x1000));
  const auto opened = open_bytes(core.load(0, 6, {}, 4096).build());
  ASSERT_TRUE(opened.image);
  EXPECT_EQ(opened.image->threads.size(), 1U);
  EXPECT_NE(testing::to_text(opened.diagnostics).find("registers of this machine"),
            std::string::npos);
}

}  // namespace
}  // namespace residue
