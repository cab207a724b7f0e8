#include "symbolize/unwind/signal_frame.h"

#include <algorithm>
#include <iterator>

#include "symbolize/unwind/signal_layout.h"

namespace residue {

const SignalLayout* signal_trampoline(const CodeMap& code, Architecture architecture, uint64_t pc) {
  constexpr uint64_t kLongest = 12;
  const auto bytes = code.view(pc, kLongest);
  const auto* const found = std::find_if(
      std::begin(signal_layout::kLayouts), std::end(signal_layout::kLayouts),
      [&](const SignalLayout& layout) {
        return layout.architecture == architecture && bytes.size() >= layout.code.size() &&
               std::equal(layout.code.begin(), layout.code.end(), bytes.begin(),
                          [](uint8_t a, std::byte b) { return std::byte{a} == b; });
      });
  return found == std::end(signal_layout::kLayouts) ? nullptr : found;
}

Step step_by_signal_frame(const SignalLayout& layout, const FrameState& frame,
                          const UnwindArchitecture& architecture, const CodeMap& code,
                          ProcessMemory& memory, FrameState* caller) {
  uint64_t context = frame.sp;
  if (layout.context_pointer != kNoPointer) {
    const uint64_t at = frame.sp + static_cast<uint64_t>(layout.context_pointer);
    const auto pointer = memory.word(at, architecture.register_width);
    if (!pointer) return failed("stack memory is not in the dump", at);
    context = *pointer;
  }
  const auto pc = memory.word(context + layout.pc, layout.width);
  if (!pc) return failed("stack memory is not in the dump", context + layout.pc);
  // o32 MIPS saves 32-bit registers, sign-extended, in 64 bits.
  const uint64_t register_mask = architecture.register_width == 4 ? ~uint32_t{0} : ~uint64_t{0};
  caller->registers = RegisterSet();
  uint64_t at = context + layout.registers;
  for (const uint8_t reg : layout.order) {
    if (const auto value = memory.word(at, layout.width); value && reg != kSkipped) {
      caller->registers.set(reg, *value & register_mask);
    }
    at += layout.width;
  }
  const auto sp = caller->registers.get(architecture.sp);
  if (!sp) return failed("stack memory is not in the dump", at);
  caller->sp = *sp;
  caller->pc = code.strip(*pc & register_mask);
  caller->pc_is_exact = true;
  if (architecture.pc != kNoRegister) caller->registers.set(architecture.pc, caller->pc);
  Step step;
  step.status = StepStatus::kCaller;
  step.cfa = *sp;
  step.trust = FrameTrust::kCfi;
  return step;
}

}  // namespace residue
