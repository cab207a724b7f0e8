// Steps to a caller where no call frame information helps: from a jump to a bad address, along the
// frame pointer, by looking for a return address on the stack.
//
// What they find is checked against the code: a return address is executable and follows a call.
// Best evidence first. A direct call whose target lies shortly before the frame's pc is the call
// that made the frame, wherever the frame pointer points (leaf functions keep their caller's);
// then the frame pointer; then any return address nearby.
#pragma once

#include "symbolize/unwind/architecture.h"
#include "symbolize/unwind/code_map.h"
#include "symbolize/unwind/frame_state.h"
#include "symbolize/unwind/process_memory.h"

namespace residue {

// A frame whose pc is no code: somebody called through a bad pointer, and nothing has run since.
// The architecture says where the return address is, and no register has changed.
Step step_from_bad_call(const FrameState& frame, const UnwindArchitecture& architecture,
                        const CodeMap& code, ProcessMemory& memory, FrameState* caller);

Step step_by_guess(const FrameState& frame, const UnwindArchitecture& architecture,
                   const CodeMap& code, ProcessMemory& memory, FrameState* caller);

}  // namespace residue
