// FrameState: what is known of one frame while a stack is walked, and the outcome of a step to its
// caller.
#pragma once

#include <cstdint>
#include <string>

#include "symbolize/unwind/register_set.h"
#include "symbolize/unwind/unwinder.h"

namespace residue {

struct FrameState {
  RegisterSet registers;  // the stack pointer among them
  uint64_t pc = 0;
  uint64_t sp = 0;
  bool pc_is_exact = false;
};

enum class StepStatus : uint8_t {
  kCaller,     // the caller was found
  kOutermost,  // there is none
  kFailed,     // this way does not lead to it
};

struct Step {
  StepStatus status = StepStatus::kFailed;
  uint64_t cfa = 0;  // of the frame stepped from; 0 if unknown
  FrameTrust trust = FrameTrust::kCfi;
  // kFailed: what is missing, with the place; kOutermost: how that shows. Static storage.
  const char* reason = "";
  uint64_t place = 0;
};

inline Step failed(const char* reason, uint64_t place = 0) {
  Step step;
  step.reason = reason;
  step.place = place;
  return step;
}

inline Step outermost(const char* reason, uint64_t cfa = 0) {
  Step step;
  step.status = StepStatus::kOutermost;
  step.reason = reason;
  step.cfa = cfa;
  return step;
}

}  // namespace residue
