#include "symbolize/unwind/unwinder.h"

#include <algorithm>
#include <utility>

#include "formats/base/text.h"
#include "symbolize/unwind/architecture.h"
#include "symbolize/unwind/cfi_step.h"
#include "symbolize/unwind/frame_plans.h"
#include "symbolize/unwind/frame_state.h"
#include "symbolize/unwind/guess.h"
#include "symbolize/unwind/process_memory.h"

namespace residue {
namespace {

// A stack grows down, so callers lie further up. Programs that change stacks in the middle of a
// call (split stacks, coroutines) go down now and then; a stack that does so again and again is
// damaged.
constexpr unsigned kMaxJumps = 16;

// One thread's walk.
//
// Each step takes the best way that works: the signal trampoline's or the CFI's rule, what the
// architecture says of a call to a bad address, then guesses. What a rule finds is believed only if
// it is code and further up the stack; a guess may still find what is behind a smashed frame.
class Walk {
 public:
  Walk(const Thread& thread, const UnwindArchitecture& architecture, const FramePlans& plans,
       const Image& image, const UnwindOptions& options)
      : architecture_(architecture),
        code_(plans.code()),
        plans_(plans),
        memory_(image),
        options_(options) {
    for (const Register& reg : thread.registers) {
      if (reg.dwarf >= 0) here_.registers.set(static_cast<unsigned>(reg.dwarf), reg.value);
    }
    here_.pc = code_.strip(thread.pc);
    here_.sp = thread.sp;
    here_.pc_is_exact = true;
    here_.registers.set(architecture.sp, thread.sp);
    if (architecture.pc != kNoRegister) here_.registers.set(architecture.pc, here_.pc);
  }

  UnwoundStack run() {
    FrameTrust trust = FrameTrust::kContext;
    while (true) {
      if (stack_.frames.size() >= options_.max_frames) {
        stack_.end = "more than " + std::to_string(options_.max_frames) + " frames";
        break;
      }
      const FramePlan& plan = plans_.at(here_.pc, here_.pc_is_exact);
      push(plan, trust);
      const Step step = next(plan);
      stack_.frames.back().cfa = step.cfa;
      if (step.status != StepStatus::kCaller) {
        end(step);
        break;
      }
      trust = step.trust;
      std::swap(here_, caller_);
    }
    return std::move(stack_);
  }

 private:
  void push(const FramePlan& plan, FrameTrust trust) {
    if (stack_.frames.size() < options_.keep_registers) {
      stack_.registers.push_back(here_.registers);
    }
    UnwoundFrame& frame = stack_.frames.emplace_back();
    frame.pc = here_.pc;
    frame.sp = here_.sp;
    frame.trust = trust;
    frame.is_signal_frame = plan.is_signal_frame;
    frame.pc_is_exact = here_.pc_is_exact;
  }

  Step by_rule(const FramePlan& plan) {
    if (plan.trampoline != nullptr) {
      return step_by_signal_frame(*plan.trampoline, here_, architecture_, code_, memory_, &caller_);
    }
    if (plan.row) return step_by_cfi(*plan.row, here_, architecture_, code_, memory_, &caller_);
    if (plan.arm)
      return step_by_arm_code(*plan.arm, here_, architecture_, code_, memory_, &caller_);
    return step_from_bad_call(here_, architecture_, code_, memory_, &caller_);
  }

  Step next(const FramePlan& plan) {
    const bool has_rule = plan.trampoline != nullptr || plan.row || plan.arm;
    const bool is_signal_frame = plan.is_signal_frame;
    const bool called_badly = !plan.is_code && here_.pc_is_exact;
    Step rule = failed("no call frame information for", here_.pc);
    if (has_rule || called_badly) {
      rule = by_rule(plan);
      if (rule.status == StepStatus::kCaller) rule = checked(rule, is_signal_frame);
      if (rule.status != StepStatus::kFailed || is_missing_memory(rule)) return rule;
    }
    Step guess = step_by_guess(here_, architecture_, code_, memory_, &caller_);
    if (guess.status == StepStatus::kCaller) guess = checked(guess, false);
    if (guess.status == StepStatus::kFailed ||
        (guess.status == StepStatus::kOutermost && has_rule)) {
      if (rule.cfa == 0) rule.cfa = guess.cfa;
      return has_rule || called_badly ? rule : guess;
    }
    return guess;
  }

  static bool is_missing_memory(const Step& step) {
    return std::string_view(step.reason).starts_with("stack memory");
  }

  // Whether the caller that `step` found can be one.
  Step checked(const Step& step, bool is_signal_frame) {
    if (caller_.pc == 0 && !is_signal_frame) return outermost("its return address is 0", step.cfa);
    // The code that a signal interrupted may have been a jump to anywhere.
    if (!is_signal_frame && !plans_.at(caller_.pc, caller_.pc_is_exact).is_code) {
      Step bad = failed("the return address is no code:", caller_.pc);
      bad.cfa = step.cfa;
      return bad;
    }
    const bool goes_up = caller_.sp > here_.sp ||
                         (caller_.sp == here_.sp && here_.pc_is_exact && caller_.pc != here_.pc);
    if (goes_up) return step;
    if (caller_.sp == here_.sp && caller_.pc == here_.pc)
      return failed("a frame is its own caller at", here_.pc);
    const std::pair<uint64_t, uint64_t> landing{caller_.sp, caller_.pc};
    if (std::find(landings_.begin(), landings_.end(), landing) != landings_.end()) {
      return failed("the frames go in a circle at", caller_.sp);
    }
    if (landings_.size() >= kMaxJumps)
      return failed("the stack goes down again and again at", caller_.sp);
    landings_.push_back(landing);
    return step;
  }

  void end(const Step& step) {
    stack_.complete = step.status == StepStatus::kOutermost;
    if (stack_.complete) {
      stack_.end = "outermost frame: ";
      stack_.end += step.reason;
      return;
    }
    if (is_missing_memory(step)) {
      stack_.end = "stack memory at " + hex(step.place) + " is not in the dump";
      return;
    }
    stack_.end = step.reason;
    if (step.place != 0) stack_.end.append(" ").append(hex(step.place));
  }

  const UnwindArchitecture& architecture_;
  const CodeMap& code_;
  FramePlans::Recent plans_;
  ProcessMemory memory_;
  const UnwindOptions& options_;
  FrameState here_, caller_;
  UnwoundStack stack_;
  std::vector<std::pair<uint64_t, uint64_t>> landings_;  // where the stack went down
};

}  // namespace

const char* to_string(FrameTrust trust) {
  switch (trust) {
    case FrameTrust::kContext:
      return "context";
    case FrameTrust::kCfi:
      return "cfi";
    case FrameTrust::kCallSite:
      return "call_site";
    case FrameTrust::kFramePointer:
      return "frame_pointer";
    case FrameTrust::kScan:
      break;
  }
  return "scan";
}

class Unwinder::Impl {
 public:
  Impl(const Image& image_to_walk, const DebugFiles& files)
      : image(image_to_walk), plans(image_to_walk, files) {}
  const Image& image;
  const FramePlans plans;
};

Unwinder::Unwinder(const Image& image, const DebugFiles& files)
    : impl_(std::make_unique<Impl>(image, files)) {}

Unwinder::~Unwinder() = default;

UnwoundStack Unwinder::unwind(const Thread& thread, const UnwindOptions& options) const {
  UnwoundStack stack;
  if (thread.pc == 0 && thread.sp == 0) {
    stack.end = "the thread's registers are not in the dump";
    return stack;
  }
  const UnwindArchitecture* architecture = unwind_architecture(impl_->image.architecture);
  if (architecture != nullptr) {
    return Walk(thread, *architecture, impl_->plans, impl_->image, options).run();
  }
  UnwoundFrame& frame = stack.frames.emplace_back();
  frame.pc = thread.pc;
  frame.sp = thread.sp;
  frame.pc_is_exact = true;
  stack.end = "stacks of this architecture cannot be unwound";
  return stack;
}

void Unwinder::report(Diagnostics& diagnostics) const { impl_->plans.report(diagnostics); }

}  // namespace residue
