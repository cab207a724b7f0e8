#include "tests/support/sample_core.h"

#include "tests/support/bytes.h"

namespace residue::testing {
namespace {

constexpr uint64_t kPage = 0x1000;
constexpr int32_t kSigsegv = 11, kSegvMaperr = 1;

// One page with an ELF header and a single segment.
std::vector<std::byte> vdso_page() {
  auto page = ModuleBuilder(3).build_id({}).build();
  page.resize(kPage);
  poke<uint16_t>(&page, 56, 1);  // e_phnum
  return page;
}

}  // namespace

CoreRegisters SampleCore::main_registers() {
  CoreRegisters r;
  r.rax = 0x0a0a;
  r.rbx = kHeap + 0x20;
  r.rip = kProgram + ModuleBuilder::kText + 0x10;
  r.rsp = kMainStack + 0x800;
  r.rbp = kMainStack + 0x900;
  r.fs_base = kAnonymous + 0x740;
  return r;
}

CoreRegisters SampleCore::second_registers() {
  CoreRegisters r;
  r.r12 = 0x1212;
  r.rip = kLibrary + ModuleBuilder::kText + 0x20;
  r.rsp = kThreadStack + 0x700;
  r.fs_base = kThreadStack + 0xf00;
  return r;
}

SampleCore::SampleCore() : program(1), library(2) {
  program.dynamic_symbol({"program_state", ModuleBuilder::kData + 0x100, 64, false});
  library.dynamic_symbol({"library_state", ModuleBuilder::kData + 0x200, 32, false});
  library.hash(ModuleBuilder::Hash::kSysv);
  core.add_thread(kPid, main_registers()).siginfo({kSigsegv, kSegvMaperr, kFaultAddress});
  core.fpregset().xstate(pattern(832, 9));
  core.add_thread(kSecondTid, second_registers()).fpregset().xstate(pattern(832, 10));
  core.add_prpsinfo(kPid, "program", "program --flag");
  core.add_auxv(kAuxSysinfoEhdr, kVdso).add_auxv(kAuxPageSize, kPage);
  core.add_auxv(kAuxPhdr, kProgram + 64).add_auxv(kAuxPhent, 56).add_auxv(kAuxPhnum, 6);
  core.add_auxv(kAuxBase, 0).add_auxv(kAuxEntry, kProgram + ModuleBuilder::kText);

  constexpr uint32_t rw = kReadable | kWritable;
  program.place(&core, kProgram, kProgramPath);
  core.add_load(kHeap, rw, pattern(kHeapSize, 11));
  core.add_file_mapping(kDataFile, kDataFile + kPage, 0, kDataPath);
  core.add_load(kDataFile, kReadable, {}, kPage);
  core.add_load(kThreadStack, rw, pattern(kPage, 12));
  core.add_load(kAnonymous, rw, pattern(kPage, 13), 3 * kPage);
  library.place(&core, kLibrary, kLibraryPath);
  core.add_load(kVvar, kReadable, {}, kVdso - kVvar);
  core.add_load(kVdso, kReadable | kExecutable, vdso_page());
  core.add_load(kMainStack, rw, pattern(kPage, 14));
  core.add_load(kVsyscall, kExecutable, pattern(kPage, 15));
}

}  // namespace residue::testing
