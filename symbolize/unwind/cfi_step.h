// From a frame to its caller by a CfiRow.
#pragma once

#include "symbolize/unwind/architecture.h"
#include "symbolize/unwind/cfi_row.h"
#include "symbolize/unwind/code_map.h"
#include "symbolize/unwind/frame_state.h"
#include "symbolize/unwind/process_memory.h"

namespace residue {

// Fills *caller if the result is kCaller. Registers that cannot be recovered are forgotten; only a
// CFA or a return address that is missing makes the step fail.
Step step_by_cfi(const CfiRow& row, const FrameState& frame, const UnwindArchitecture& architecture,
                 const CodeMap& code, ProcessMemory& memory, FrameState* caller);

}  // namespace residue
