// Signal frames: what the kernel leaves on the stack when it calls a handler, and the trampoline
// that the handler returns to.
//
// Needed where the trampoline has no call frame information: musl's, the vDSO's of AArch64 (on
// purpose) and RISC-V (which has a frame without rules), static programs.
#pragma once

#include "symbolize/unwind/architecture.h"
#include "symbolize/unwind/code_map.h"
#include "symbolize/unwind/frame_state.h"
#include "symbolize/unwind/process_memory.h"

namespace residue {

struct SignalLayout;

// The layout that the trampoline at `pc` belongs to, or null if there is none. `pc` must be its
// first instruction, where a handler returns to.
const SignalLayout* signal_trampoline(const CodeMap& code, Architecture architecture, uint64_t pc);

// To the interrupted code.
Step step_by_signal_frame(const SignalLayout& layout, const FrameState& frame,
                          const UnwindArchitecture& architecture, const CodeMap& code,
                          ProcessMemory& memory, FrameState* caller);

}  // namespace residue
