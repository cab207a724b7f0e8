// Unwinder: a thread's registers and memory → its frames.
//
// Call frame information first (.eh_frame of the dump's own pages or of the module's file,
// .debug_frame of its debug file), then the frame pointer, then a scan of the stack; each frame
// says by which of them it was found. Thread-safe: unwind() may run for many threads at once.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "formats/base/diagnostics.h"
#include "formats/image.h"
#include "symbolize/unwind/register_set.h"

namespace residue {

class DebugFiles;

// How a frame was found, best first. kCfi also for what the architecture itself says: a signal
// frame, the caller of a bad pointer. kCallSite: a frame that a tail call has replaced, inferred
// from the caller's call sites (as gdb does).
enum class FrameTrust : uint8_t { kContext, kCfi, kCallSite, kFramePointer, kScan };
// 'context', 'cfi', 'call_site', 'frame_pointer', 'scan'
const char* to_string(FrameTrust trust);

struct UnwoundFrame {
  uint64_t pc = 0;
  uint64_t sp = 0;   // in this frame
  uint64_t cfa = 0;  // the caller's stack pointer before the call; 0 if unknown
  FrameTrust trust = FrameTrust::kContext;
  // The frame's code is a signal trampoline: the kernel called it, and the next frame was
  // interrupted, not calling.
  bool is_signal_frame = false;
  // `pc` is the next instruction to run, not one after a call: frame 0, and a frame interrupted by
  // a signal. Otherwise look-ups use pc - 1.
  bool pc_is_exact = false;

  uint64_t lookup_pc() const { return pc_is_exact ? pc : pc - 1; }
};

struct UnwindOptions {
  // Fill UnwoundStack::registers for this many frames, innermost first: 600 bytes each, which a
  // stack of 100,000 frames that recursed too deep should not cost.
  size_t keep_registers = 0;
  size_t max_frames = size_t{1} << 20;
};

struct UnwoundStack {
  std::vector<UnwoundFrame> frames;  // innermost first; never empty if the thread has a pc
  // Of the first frames, as far as they could be recovered; see UnwindOptions.
  std::vector<RegisterSet> registers;
  // Why there are no more: "outermost frame", "stack memory at 0x… is not in the dump", "the frames
  // go in a circle", "more than N frames", "the return address 0x… is no code", …
  std::string end;
  bool complete = false;  // it ended at the outermost frame
};

class Unwinder {
 public:
  // REQUIRES: both outlive this.
  Unwinder(const Image& image, const DebugFiles& files);
  ~Unwinder();
  Unwinder(const Unwinder&) = delete;
  Unwinder& operator=(const Unwinder&) = delete;

  UnwoundStack unwind(const Thread& thread, const UnwindOptions& options = {}) const;
  // What was damaged in the call frame information that was used so far.
  void report(Diagnostics& diagnostics) const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace residue
