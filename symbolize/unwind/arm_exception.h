// ARM's exception index tables (.ARM.exidx, .ARM.extab): unwinding for 32-bit ARM programs, which
// as a rule have no .eh_frame. "Exception Handling ABI for the Arm Architecture" (EHABI32, 2023Q3).
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "symbolize/unwind/architecture.h"
#include "symbolize/unwind/code_map.h"
#include "symbolize/unwind/frame_state.h"
#include "symbolize/unwind/process_memory.h"

namespace residue {

// How to leave a function: EHABI's byte code, without the words around it.
struct ArmUnwindCode {
  bool cannot_unwind = false;
  std::vector<uint8_t> bytes;
};

// The code for the function that holds `pc`, from the module's index. Empty if it has none, or if
// its personality routine has a format of its own.
std::optional<ArmUnwindCode> arm_unwind_code(const Image& image, AddressRange index, uint64_t pc);

// Correct at calls only: a prologue is not described.
Step step_by_arm_code(const ArmUnwindCode& unwind, const FrameState& frame,
                      const UnwindArchitecture& architecture, const CodeMap& code,
                      ProcessMemory& memory, FrameState* caller);

}  // namespace residue
