// SampleCore: a core of a small process with one of everything, for tests that need a good core to
// look at or to damage.
//
//   0x555555554000  the program (ModuleBuilder's layout, at kProgramPath)
//   0x555555d70000  the brk heap, 2 pages
//   0x7ffff0000000  a file that is no module, 1 page, not dumped
//   0x7ffff7a00000  the second thread's stack, 1 page
//   0x7ffff7b00000  an anonymous mapping of 3 pages, of which 1 is dumped
//   0x7ffff7c00000  a library (at kLibraryPath)
//   0x7ffff7fbd000  vvar, 4 pages, not dumped; then the vdso, 1 page
//   0x7ffffffde000  the main thread's stack, 1 page
//   0xffffffffff600000  vsyscall, 1 page
#pragma once

#include <cstdint>

#include "tests/support/core_builder.h"
#include "tests/support/module_builder.h"

namespace residue::testing {

struct SampleCore {
  static constexpr uint64_t kProgram = 0x555555554000, kHeap = 0x555555d70000;
  static constexpr uint64_t kHeapSize = 0x2000;
  static constexpr uint64_t kDataFile = 0x7ffff0000000, kThreadStack = 0x7ffff7a00000;
  static constexpr uint64_t kAnonymous = 0x7ffff7b00000, kLibrary = 0x7ffff7c00000;
  static constexpr uint64_t kVvar = 0x7ffff7fbd000, kVdso = 0x7ffff7fc1000;
  static constexpr uint64_t kMainStack = 0x7ffffffde000, kVsyscall = 0xffffffffff600000;
  static constexpr uint32_t kPid = 4242, kSecondTid = 4243;
  static constexpr uint64_t kFaultAddress = 0x10;
  static constexpr const char* kProgramPath = "/nonexistent/residue/bin/program";
  static constexpr const char* kLibraryPath = "/nonexistent/residue/lib/libsample.so.1";
  static constexpr const char* kDataPath = "/nonexistent/residue/share/data.bin";

  SampleCore();

  static CoreRegisters main_registers();
  static CoreRegisters second_registers();

  ModuleBuilder program, library;
  CoreBuilder core;
};

}  // namespace residue::testing
