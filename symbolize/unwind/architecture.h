// What an unwinder must know of an architecture: registers by DWARF number, and what holds at a
// function's first instruction. One table, in architecture.cpp.
#pragma once

#include <cstdint>

#include "formats/image.h"

namespace residue {

inline constexpr unsigned kNoRegister = ~0U;

// Where the frame pointer points, for code that keeps one.
enum class FrameRecord : uint8_t {
  kNone,       // no convention, or none that can be told from other code
  kAtPointer,  // [fp] caller's fp, [fp + word] return address
  kBelow,      // [fp - 2 words] caller's fp, [fp - word] return address; fp is the CFA
  kArm,        // kAtPointer (clang), or [fp - 4] caller's fp and [fp] return address (GCC)
  kBackChain,  // [sp] caller's sp; the return address at caller's sp + 16
};

struct UnwindArchitecture {
  Architecture architecture;
  unsigned sp;
  unsigned fp;              // kNoRegister: no convention
  unsigned link;            // return address at a function's entry; kNoRegister: it is on the stack
  unsigned pc;              // kNoRegister: the program counter has no number of its own
  unsigned register_width;  // bytes that a saved general register takes
  unsigned entry_cfa;       // CFA minus SP at a function's first instruction
  unsigned instruction_alignment;
  FrameRecord record;
  // Bits of a return address that are not address: instruction set of ARM and MIPS code.
  uint64_t pc_flags;
};

// Null if this architecture cannot be unwound.
const UnwindArchitecture* unwind_architecture(Architecture architecture);

}  // namespace residue
