// What a well-formed core says: process, threads, regions.
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <map>

#include "gtest/gtest.h"
#include "tests/support/bytes.h"
#include "tests/support/dump_file.h"
#include "tests/support/image_laws.h"
#include "tests/support/sample_core.h"
#include "tests/support/seed_cores.h"

namespace residue {
namespace {

using testing::broken_laws;
using testing::CoreBuilder;
using testing::CoreRegisters;
using testing::image_of;
using testing::kReadable;
using testing::kWritable;
using testing::ModuleBuilder;
using testing::open_bytes;
using testing::pattern;
using testing::SampleCore;
using testing::to_text;

constexpr uint32_t kRw = kReadable | kWritable;
const std::vector<std::string> kNoBrokenLaws;

const Region& region_at(const Image& image, uint64_t address) {
  const Region* region = image.find_region(Address(address));
  if (region == nullptr) throw std::runtime_error("no region there");
  return *region;
}

RegionKind kind_at(const Image& image, uint64_t address) { return region_at(image, address).kind; }

std::map<std::string, uint64_t> registers_of(const Thread& thread) {
  std::map<std::string, uint64_t> values;
  for (const Register& r : thread.registers) values[r.name] = r.value;
  return values;
}

TEST(ElfCore, SaysWhatItIs) {
  const auto bytes = SampleCore().core.build();
  const Image image = image_of(bytes);
  EXPECT_EQ(image.format, "elf-core");
  EXPECT_EQ(image.os, "linux");
  EXPECT_EQ(image.architecture, Architecture::kX86_64);
  EXPECT_EQ(image.order, ByteOrder::kLittle);
  EXPECT_EQ(image.pointer_width, 8U);
  EXPECT_EQ(image.page_size, 4096U);
  EXPECT_EQ(image.source_bytes, bytes.size());
  EXPECT_TRUE(image.complete);
}

TEST(ElfCore, OfAWholeProcessHasNoDamage) {
  const auto opened = open_bytes(SampleCore().core.build());
  ASSERT_TRUE(opened.image);
  EXPECT_FALSE(opened.diagnostics.has_damage()) << to_text(opened.diagnostics);
  EXPECT_EQ(broken_laws(*opened.image), kNoBrokenLaws);
}

TEST(ElfCore, NamesTheProcess) {
  const Image image = image_of(SampleCore().core.build());
  EXPECT_EQ(image.pid, SampleCore::kPid);
  EXPECT_EQ(image.executable, SampleCore::kProgramPath);
  EXPECT_EQ(image.command_line, "program --flag");
}

TEST(ElfCore, WithoutPathsFallsBackToTheShortName) {
  const Image image = image_of(CoreBuilder()
                                   .add_thread(7, {})
                                   .add_prpsinfo(7, "short", "short -x")
                                   .add_load(0x10000, kRw, pattern(0x1000, 1))
                                   .build());
  EXPECT_EQ(image.executable, "short");
  EXPECT_EQ(image.pid, 7U);
}

TEST(ElfCore, WasTakenWhenItsFileWasWritten) {
  const testing::TempDir directory;
  const std::string path = directory.write("core", SampleCore().core.build());
  const timespec billennium[2] = {{1000000000, 0}, {1000000000, 0}};
  ASSERT_EQ(::utimensat(AT_FDCWD, path.c_str(), billennium, 0), 0);
  Diagnostics diagnostics;
  const auto image = open_dump(path, {}, diagnostics);
  ASSERT_TRUE(image);
  EXPECT_EQ(image->taken_at, "2001-09-09T01:46:40Z");
  EXPECT_EQ(image->source, path);
}

TEST(ElfCore, HasAThreadForEveryPrstatus) {
  const Image image = image_of(SampleCore().core.build());
  ASSERT_EQ(image.threads.size(), 2U);
  EXPECT_EQ(image.threads[0].tid, SampleCore::kPid);
  EXPECT_EQ(image.threads[1].tid, SampleCore::kSecondTid);
  EXPECT_EQ(image.threads[0].name, "program");
}

TEST(ElfCore, ReadsEveryGeneralRegister) {
  CoreRegisters r;
  uint64_t* const fields[] = {&r.rax, &r.rbx, &r.rcx, &r.rdx, &r.rsi, &r.rdi, &r.rbp, &r.rsp, &r.r8,
                              &r.r9,  &r.r10, &r.r11, &r.r12, &r.r13, &r.r14, &r.r15, &r.rip};
  const char* const names[] = {"rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp", "r8",
                               "r9",  "r10", "r11", "r12", "r13", "r14", "r15", "rip"};
  for (size_t i = 0; i < std::size(fields); ++i) *fields[i] = 0x1111111100000000U + i;
  r.fs_base = 0x7ffff7d8a740;
  const Image image = image_of(CoreBuilder().add_thread(1, r).build());
  ASSERT_EQ(image.threads.size(), 1U);
  const auto values = registers_of(image.threads[0]);
  for (size_t i = 0; i < std::size(fields); ++i) {
    ASSERT_TRUE(values.contains(names[i])) << names[i];
    EXPECT_EQ(values.at(names[i]), *fields[i]) << names[i];
  }
  EXPECT_EQ(image.threads[0].pc, r.rip);
  EXPECT_EQ(image.threads[0].sp, r.rsp);
  EXPECT_EQ(image.threads[0].thread_pointer, r.fs_base);
}

TEST(ElfCore, GivesEachThreadItsExtendedState) {
  const Image image = image_of(SampleCore().core.build());
  for (size_t i = 0; i < 2; ++i) {
    const auto expected = pattern(832, 9 + i);
    const auto state = image.threads.at(i).extended_state;
    EXPECT_TRUE(std::equal(state.begin(), state.end(), expected.begin(), expected.end())) << i;
  }
}

TEST(ElfCore, KernelCoresBlameTheFirstThreadOnly) {
  const Image image = image_of(SampleCore().core.build());
  const Thread& first = image.threads.at(0);
  EXPECT_TRUE(first.crashed);
  EXPECT_EQ(first.signal, 11U);
  EXPECT_EQ(first.reason, "SIGSEGV / SEGV_MAPERR");
  EXPECT_EQ(first.fault_address, Address(SampleCore::kFaultAddress));
  EXPECT_FALSE(image.threads.at(1).crashed);
  EXPECT_FALSE(image.threads.at(1).fault_address.has_value());
}

// fill_prstatus() in fs/binfmt_elf.c puts the fatal signal into the record of every thread.
TEST(ElfCore, OtherThreadsOfAKernelCoreHaveNoReason) {
  const Image image = image_of(SampleCore().core.build());
  EXPECT_EQ(image.threads.at(1).reason, "");
}

TEST(ElfCore, GcoreNoteOrderGivesEachThreadItsOwnNotes) {
  CoreBuilder core;
  core.note_order(CoreBuilder::NoteOrder::kGcore).add_prpsinfo(100, "server", "server");
  core.add_thread(101, SampleCore::main_registers()).siginfo({11, 2, 0xabc000});
  core.fpregset().xstate(pattern(832, 1));
  core.add_thread(100, SampleCore::second_registers()).fpregset().xstate(pattern(900, 2));
  core.add_auxv(testing::kAuxPageSize, 4096).add_load(0x10000, kRw, pattern(0x1000, 1));
  const Image image = image_of(core.build());
  EXPECT_EQ(image.pid, 100U);
  ASSERT_EQ(image.threads.size(), 2U);
  EXPECT_EQ(image.threads[0].tid, 101U);
  EXPECT_TRUE(image.threads[0].crashed);
  EXPECT_EQ(image.threads[0].reason, "SIGSEGV / SEGV_ACCERR");
  EXPECT_EQ(image.threads[0].fault_address, Address(0xabc000));
  EXPECT_EQ(image.threads[0].extended_state.size(), 832U);
  EXPECT_FALSE(image.threads[1].crashed);
  EXPECT_EQ(image.threads[1].extended_state.size(), 900U);
  EXPECT_EQ(image.threads[1].pc, SampleCore::second_registers().rip);
}

TEST(ElfCore, OfARunningProcessBlamesNobody) {
  CoreBuilder core;
  core.note_order(CoreBuilder::NoteOrder::kGcore).add_prpsinfo(100, "server", "server");
  core.add_thread(100, SampleCore::main_registers());
  core.add_thread(101, SampleCore::second_registers());
  const Image image = image_of(core.build());
  ASSERT_EQ(image.threads.size(), 2U);
  for (const Thread& thread : image.threads) {
    EXPECT_FALSE(thread.crashed);
    EXPECT_EQ(thread.signal, 0U);
    EXPECT_EQ(thread.reason, "");
    EXPECT_FALSE(thread.fault_address.has_value());
  }
}

// gcore stops a process to dump it: that is no crash.
TEST(ElfCore, OfAStoppedProcessIsNoCrash) {
  CoreBuilder core;
  core.note_order(CoreBuilder::NoteOrder::kGcore).add_prpsinfo(100, "server", "server");
  for (const uint32_t tid : {100U, 101U}) core.add_thread(tid, {}).siginfo({19, 0, 0});
  const Image image = image_of(core.build());
  ASSERT_EQ(image.threads.size(), 2U);
  for (const Thread& thread : image.threads) {
    EXPECT_FALSE(thread.crashed);
    EXPECT_EQ(thread.reason, "SIGSTOP / SI_USER");
    EXPECT_FALSE(thread.fault_address.has_value());
  }
}

struct Reason {
  testing::CoreSiginfo info;
  const char* text;
  bool has_address;
};

void PrintTo(const Reason& reason, std::ostream* out) { *out << reason.text; }

class ElfCoreReason : public ::testing::TestWithParam<Reason> {};

// Signal numbers and codes of <asm-generic/siginfo.h> and of x86-64. Where a signal was sent, the
// word that holds the address holds the sender's pid and uid instead.
TEST_P(ElfCoreReason, IsNamedAfterSignalAndCode) {
  const Reason& expected = GetParam();
  const Image image = image_of(CoreBuilder().add_thread(9, {}).siginfo(expected.info).build());
  const Thread& thread = image.threads.at(0);
  EXPECT_TRUE(thread.crashed);
  EXPECT_EQ(thread.signal, static_cast<uint32_t>(expected.info.signo));
  EXPECT_EQ(thread.reason, expected.text);
  if (expected.has_address) {
    EXPECT_EQ(thread.fault_address, Address(expected.info.address));
  } else {
    EXPECT_FALSE(thread.fault_address.has_value());
  }
}

constexpr uint64_t kSender = (uint64_t{1000} << 32) | 4242;

INSTANTIATE_TEST_SUITE_P(
    Linux, ElfCoreReason,
    ::testing::Values(Reason{{11, 1, 0}, "SIGSEGV / SEGV_MAPERR", true},
                      Reason{{11, 1, 0xdeadbeef000}, "SIGSEGV / SEGV_MAPERR", true},
                      Reason{{11, 2, 0x401000}, "SIGSEGV / SEGV_ACCERR", true},
                      Reason{{11, 3, 0x401000}, "SIGSEGV / SEGV_BNDERR", true},
                      Reason{{11, 4, 0x401000}, "SIGSEGV / SEGV_PKUERR", true},
                      Reason{{7, 1, 0x401001}, "SIGBUS / BUS_ADRALN", true},
                      Reason{{7, 2, 0x7ffff7000000}, "SIGBUS / BUS_ADRERR", true},
                      Reason{{8, 1, 0x401005}, "SIGFPE / FPE_INTDIV", true},
                      Reason{{8, 3, 0x401005}, "SIGFPE / FPE_FLTDIV", true},
                      Reason{{4, 2, 0x401005}, "SIGILL / ILL_ILLOPN", true},
                      Reason{{11, 0, kSender}, "SIGSEGV / SI_USER", false},
                      Reason{{11, -6, kSender}, "SIGSEGV / SI_TKILL", false},
                      Reason{{6, -6, kSender}, "SIGABRT / SI_TKILL", false},
                      Reason{{6, 0, kSender}, "SIGABRT / SI_USER", false},
                      Reason{{3, 0x80, 0}, "SIGQUIT / SI_KERNEL", false},
                      Reason{{6, -1, kSender}, "SIGABRT / SI_QUEUE", false}));

// A general protection fault (a non-canonical address, for one) has no address: the kernel leaves 0
// there, which is not where the access went.
TEST(ElfCore, GeneralProtectionFaultsHaveNoAddress) {
  const Image image = image_of(CoreBuilder().add_thread(9, {}).siginfo({11, 0x80, 0}).build());
  EXPECT_EQ(image.threads.at(0).reason, "SIGSEGV / SI_KERNEL");
  EXPECT_TRUE(image.threads.at(0).crashed);
  EXPECT_FALSE(image.threads.at(0).fault_address.has_value());
}

TEST(ElfCore, UnknownSignalsAndCodesKeepTheirNumbers) {
  const Image image = image_of(CoreBuilder()
                                   .note_order(CoreBuilder::NoteOrder::kGcore)
                                   .add_thread(9, {})
                                   .siginfo({45, 77, 0})
                                   .build());
  EXPECT_EQ(image.threads.at(0).signal, 45U);
  EXPECT_NE(image.threads.at(0).reason.find("45"), std::string::npos) << image.threads.at(0).reason;
  const Image code = image_of(CoreBuilder().add_thread(9, {}).siginfo({11, 99, 0}).build());
  EXPECT_NE(code.threads.at(0).reason.find("SIGSEGV"), std::string::npos);
  EXPECT_NE(code.threads.at(0).reason.find("99"), std::string::npos) << code.threads.at(0).reason;
}

// Linux before 3.9 writes no NT_SIGINFO.
TEST(ElfCore, WithoutSiginfoTakesTheSignalFromPrstatus) {
  const Image image = image_of(CoreBuilder().add_thread(9, {}).cursig(11).build());
  EXPECT_TRUE(image.threads.at(0).crashed);
  EXPECT_EQ(image.threads.at(0).signal, 11U);
  EXPECT_EQ(image.threads.at(0).reason, "SIGSEGV");
  EXPECT_FALSE(image.threads.at(0).fault_address.has_value());
}

TEST(ElfCore, RegionsAreTheLoadsInAddressOrder) {
  const Image image = image_of(CoreBuilder()
                                   .add_load(0x30000, kRw, pattern(0x1000, 3))
                                   .add_load(0x10000, kReadable, pattern(0x2000, 1))
                                   .add_load(0x20000, 0, {}, 0x1000)
                                   .build());
  ASSERT_EQ(image.regions.size(), 3U);
  EXPECT_EQ(image.regions[0].range, (AddressRange{Address(0x10000), ByteCount(0x2000)}));
  EXPECT_EQ(image.regions[0].permissions, (Permissions{true, false, false}));
  EXPECT_EQ(image.regions[0].backing, Backing::kDump);
  EXPECT_EQ(image.regions[1].permissions, Permissions());
  EXPECT_EQ(image.regions[1].backing, Backing::kAbsent);
  EXPECT_EQ(image.regions[2].permissions, (Permissions{true, true, false}));
  const auto expected = pattern(0x1000, 3);
  EXPECT_TRUE(std::equal(expected.begin(), expected.end(), image.regions[2].bytes.begin(),
                         image.regions[2].bytes.end()));
  EXPECT_EQ(broken_laws(image), kNoBrokenLaws);
}

TEST(ElfCore, AMappingDumpedInPartIsSeveralRegions) {
  const Image image = image_of(SampleCore().core.build());
  const Region& dumped = region_at(image, SampleCore::kAnonymous);
  const Region& absent = region_at(image, SampleCore::kAnonymous + 0x1000);
  EXPECT_EQ(dumped.range.size, ByteCount(0x1000));
  EXPECT_EQ(dumped.backing, Backing::kDump);
  EXPECT_EQ(absent.range.size, ByteCount(0x2000));
  EXPECT_EQ(absent.backing, Backing::kAbsent);
  EXPECT_EQ(absent.kind, dumped.kind);
  EXPECT_EQ(absent.permissions, dumped.permissions);
}

TEST(ElfCore, RegionsAddUpToTheLoads) {
  SampleCore sample;
  const Image image = image_of(sample.core.build());
  uint64_t mapped = 0, dumped = 0;
  for (const Region& region : image.regions) {
    mapped += region.range.size.value();
    dumped += region.bytes.size();
  }
  // The program (headers, relro, data and bss are dumped), heap, file, second stack, anonymous,
  // the library, vvar, vdso, main stack, vsyscall.
  EXPECT_EQ(mapped, 0x1000U * (6 + 2 + 1 + 1 + 3 + 6 + 4 + 1 + 1 + 1));
  EXPECT_EQ(dumped, 0x1000U * (4 + 2 + 0 + 1 + 1 + 4 + 0 + 1 + 1 + 1));
}

TEST(ElfCore, MappedFilesWithoutALoadAreAbsentRegions) {
  const Image image = image_of(CoreBuilder()
                                   .add_thread(1, {})
                                   .add_file_mapping(0x50000, 0x53000, 0, "/data/cache.bin")
                                   .add_load(0x10000, kRw, pattern(0x1000, 1))
                                   .build());
  const Region& region = region_at(image, 0x52fff);
  EXPECT_EQ(region.range, (AddressRange{Address(0x50000), ByteCount(0x3000)}));
  EXPECT_EQ(region.backing, Backing::kAbsent);
  EXPECT_EQ(region.kind, RegionKind::kFile);
  EXPECT_EQ(region.name, "/data/cache.bin");
  EXPECT_EQ(broken_laws(image), kNoBrokenLaws);
}

TEST(ElfCore, KnowsStacksByTheirStackPointers) {
  const Image image = image_of(SampleCore().core.build());
  EXPECT_EQ(kind_at(image, SampleCore::kMainStack), RegionKind::kStack);
  EXPECT_EQ(kind_at(image, SampleCore::kThreadStack), RegionKind::kStack);
}

TEST(ElfCore, KnowsTheBrkHeap) {
  const Image image = image_of(SampleCore().core.build());
  EXPECT_EQ(kind_at(image, SampleCore::kHeap), RegionKind::kHeap);
  EXPECT_EQ(std::count_if(image.regions.begin(), image.regions.end(),
                          [](const Region& r) { return r.kind == RegionKind::kHeap; }),
            1);
}

TEST(ElfCore, KnowsAnonymousMemoryAndFiles) {
  const Image image = image_of(SampleCore().core.build());
  EXPECT_EQ(kind_at(image, SampleCore::kAnonymous), RegionKind::kAnonymous);
  EXPECT_EQ(region_at(image, SampleCore::kAnonymous).name, "");
  EXPECT_EQ(kind_at(image, SampleCore::kDataFile), RegionKind::kFile);
  EXPECT_EQ(region_at(image, SampleCore::kDataFile).name, SampleCore::kDataPath);
}

TEST(ElfCore, KnowsTheVdso) {
  const Image image = image_of(SampleCore().core.build());
  EXPECT_EQ(kind_at(image, SampleCore::kVdso), RegionKind::kVdso);
}

TEST(ElfCore, KnowsTheKernelsDataPagesBesideTheVdso) {
  const Image image = image_of(SampleCore().core.build());
  EXPECT_EQ(kind_at(image, SampleCore::kVvar), RegionKind::kVdso);
}

TEST(ElfCore, KnowsTheVsyscallPage) {
  const Image image = image_of(SampleCore().core.build());
  EXPECT_EQ(kind_at(image, SampleCore::kVsyscall), RegionKind::kVdso);
}

TEST(ElfCore, KnowsThePartsOfAModule) {
  const Image image = image_of(SampleCore().core.build());
  for (const uint64_t base : {SampleCore::kProgram, SampleCore::kLibrary}) {
    EXPECT_EQ(kind_at(image, base), RegionKind::kModuleRodata);
    EXPECT_EQ(kind_at(image, base + ModuleBuilder::kText), RegionKind::kModuleText);
    EXPECT_EQ(kind_at(image, base + ModuleBuilder::kRodata), RegionKind::kModuleRodata);
    EXPECT_EQ(kind_at(image, base + ModuleBuilder::kRelro), RegionKind::kModuleData);
    EXPECT_EQ(kind_at(image, base + ModuleBuilder::kData), RegionKind::kModuleData);
    EXPECT_EQ(kind_at(image, base + ModuleBuilder::kBss), RegionKind::kModuleData);
  }
}

TEST(ElfCore, SkipsNotesItDoesNotKnow) {
  SampleCore sample;
  sample.core.add_note(0x200, "LINUX", pattern(100, 1));  // NT_386_TLS
  sample.core.add_note(1, "Xen", pattern(336, 1));        // not a PRSTATUS: another name space
  sample.core.add_note(0xdeadbeef, "", {});
  const auto opened = open_bytes(sample.core.build());
  ASSERT_TRUE(opened.image);
  EXPECT_EQ(opened.image->threads.size(), 2U);
  EXPECT_FALSE(opened.diagnostics.has_damage()) << to_text(opened.diagnostics);
}

// Linux's /proc/sys/vm/max_map_count allows 65530 mappings by default, and is often raised.
TEST(ElfCore, MayHaveMoreThan65535Segments) {
  constexpr uint64_t kCount = 66000;
  CoreBuilder core;
  core.add_thread(1, {});
  for (uint64_t i = 0; i < kCount; ++i) {
    const bool dumped = i == 0 || i == kCount - 1;
    core.add_load(0x10000000 + i * 0x2000, kRw,
                  dumped ? pattern(0x1000, i) : std::vector<std::byte>(), 0x1000);
  }
  const auto opened = open_bytes(core.extended_numbering().build());
  ASSERT_TRUE(opened.image) << to_string(opened.image.error());
  EXPECT_TRUE(opened.image->complete) << to_text(opened.diagnostics);
  EXPECT_EQ(opened.image->regions.size(), kCount);
  const auto last = pattern(0x1000, kCount - 1);
  const auto seen = opened.image->view(Address(0x10000000 + (kCount - 1) * 0x2000), 0x1000);
  EXPECT_TRUE(std::equal(seen.begin(), seen.end(), last.begin(), last.end()));
}

TEST(ElfCore, WithNoNotesStillHasRegions) {
  const auto opened = open_bytes(CoreBuilder().add_load(0x10000, kRw, pattern(0x1000, 1)).build());
  ASSERT_TRUE(opened.image);
  EXPECT_TRUE(opened.image->threads.empty());
  EXPECT_EQ(opened.image->regions.size(), 1U);
}

// What the fuzz targets start from must be read in full, or they start from nothing.
TEST(ElfCore, SeedsOfTheFuzzTargetsAreGood) {
  for (const auto& [name, bytes] : testing::seed_cores()) {
    const auto opened = open_bytes(bytes);
    ASSERT_TRUE(opened.image) << name << ": " << to_string(opened.image.error());
    EXPECT_EQ(broken_laws(*opened.image), kNoBrokenLaws) << name;
    EXPECT_TRUE(opened.image->complete) << name;
    EXPECT_LE(bytes.size(), 32768U) << name;
  }
}

}  // namespace
}  // namespace residue
