#include "symbolize/unwind/cfi_step.h"

namespace residue {
namespace {

class FrameContext : public ExpressionContext {
 public:
  FrameContext(const FrameState& frame, ProcessMemory& memory) : frame_(frame), memory_(memory) {}
  std::optional<uint64_t> reg(unsigned dwarf) const override { return frame_.registers.get(dwarf); }
  bool read(uint64_t address, std::span<std::byte> out) const override {
    return memory_.read(address, out);
  }

 private:
  const FrameState& frame_;
  ProcessMemory& memory_;
};

class CfiStepper {
 public:
  CfiStepper(const CfiRow& row, const FrameState& frame, const UnwindArchitecture& architecture,
             ProcessMemory& memory)
      : row_(row), frame_(frame), architecture_(architecture), memory_(memory) {}

  std::optional<uint64_t> cfa() const {
    switch (row_.cfa.kind) {
      case CfaRule::Kind::kRegister: {
        const auto base = frame_.registers.get(row_.cfa.reg);
        if (!base) return std::nullopt;
        return (*base + static_cast<uint64_t>(row_.cfa.offset)) & memory_.address_mask();
      }
      case CfaRule::Kind::kExpression: {
        const FrameContext context(frame_, memory_);
        const auto value = evaluate_value(row_.cfa.expression, row_.format, context);
        if (!value) return std::nullopt;
        return *value;
      }
      case CfaRule::Kind::kNone:
        break;
    }
    return std::nullopt;
  }

  // Where the rule says that the register is saved, if it is.
  std::optional<uint64_t> slot(const RegisterRule& rule, uint64_t cfa) const {
    if (rule.kind == RegisterRule::Kind::kOffset) return cfa + static_cast<uint64_t>(rule.offset);
    if (rule.kind == RegisterRule::Kind::kExpression) return expression(rule, cfa);
    return std::nullopt;
  }

  std::optional<uint64_t> value(unsigned reg, const RegisterRule& rule, uint64_t cfa) const {
    using Kind = RegisterRule::Kind;
    switch (rule.kind) {
      case Kind::kOffset:
      case Kind::kExpression: {
        const auto at = slot(rule, cfa);
        return at ? memory_.word(*at, architecture_.register_width) : std::nullopt;
      }
      case Kind::kValOffset:
        return cfa + static_cast<uint64_t>(rule.offset);
      case Kind::kValExpression:
        return expression(rule, cfa);
      case Kind::kRegister:
        return frame_.registers.get(static_cast<unsigned>(rule.offset));
      case Kind::kUnspecified:
      case Kind::kSameValue:
        return frame_.registers.get(reg);
      case Kind::kUndefined:
        break;
    }
    return std::nullopt;
  }

 private:
  std::optional<uint64_t> expression(const RegisterRule& rule, uint64_t cfa) const {
    const FrameContext context(frame_, memory_);
    const auto value = evaluate_value(rule.expression, row_.format, context, cfa);
    if (!value) return std::nullopt;
    return *value;
  }

  const CfiRow& row_;
  const FrameState& frame_;
  const UnwindArchitecture& architecture_;
  ProcessMemory& memory_;
};

Step return_address_missing(const CfiStepper& stepper, const RegisterRule* rule, uint64_t cfa) {
  const auto slot = rule == nullptr ? std::nullopt : stepper.slot(*rule, cfa);
  Step step = slot ? failed("stack memory is not in the dump", *slot)
                   : failed("the return address cannot be computed");
  step.cfa = cfa;
  return step;
}

}  // namespace

Step step_by_cfi(const CfiRow& row, const FrameState& frame, const UnwindArchitecture& architecture,
                 const CodeMap& code, ProcessMemory& memory, FrameState* caller) {
  const CfiStepper stepper(row, frame, architecture, memory);
  const auto cfa = stepper.cfa();
  if (!cfa) return failed("the frame's address cannot be computed");
  caller->registers = frame.registers;
  caller->registers.set(architecture.sp, *cfa);
  const RegisterRule* return_rule = nullptr;
  for (const auto& [reg, rule] : row.rules) {
    if (reg == row.return_register) return_rule = &rule;
    if (const auto value = stepper.value(reg, rule, *cfa)) {
      caller->registers.set(reg, *value);
    } else {
      caller->registers.forget(reg);
    }
  }
  if (return_rule != nullptr && return_rule->kind == RegisterRule::Kind::kUndefined) {
    return outermost("its return address is undefined", *cfa);
  }
  const auto back = caller->registers.get(row.return_register);
  if (!back) return return_address_missing(stepper, return_rule, *cfa);
  const auto sp = caller->registers.get(architecture.sp);
  if (!sp) return failed("the caller's stack pointer cannot be computed");
  Step step;
  step.status = StepStatus::kCaller;
  step.cfa = *cfa;
  step.trust = FrameTrust::kCfi;
  caller->pc = code.strip(*back);
  caller->sp = *sp;
  caller->pc_is_exact = row.is_signal_frame;
  if (architecture.pc != kNoRegister) caller->registers.set(architecture.pc, caller->pc);
  return step;
}

}  // namespace residue
