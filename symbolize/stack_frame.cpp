#include "symbolize/stack_frame.h"

namespace residue {

StackFrame::StackFrame(const Image& image, const UnwoundStack& stack, size_t index)
    : image_(image),
      stack_(stack),
      index_(index),
      module_(image.module_of(Address(stack.frames[index].lookup_pc()))) {}

uint64_t StackFrame::link_time_pc() const {
  return stack_.frames[index_].lookup_pc() - module_->bias;
}

std::optional<uint64_t> StackFrame::reg(unsigned dwarf) const {
  if (index_ >= stack_.registers.size()) return std::nullopt;
  return stack_.registers[index_].get(dwarf);
}

bool StackFrame::read(uint64_t address, std::span<std::byte> out) const {
  return image_.read(Address(address), out) == out.size();
}

std::optional<uint64_t> StackFrame::cfa() const {
  const uint64_t cfa = stack_.frames[index_].cfa;
  if (cfa == 0) return std::nullopt;
  return cfa;
}

uint64_t StackFrame::relocate(uint64_t address) const {
  return module_ == nullptr ? address : address + module_->bias;
}

// A frame that a signal interrupted did not call anything, and a caller in another module is
// another module's to describe.
const FrameContext* StackFrame::caller() const {
  const size_t outer = index_ + 1;
  if (outer >= stack_.frames.size() || stack_.frames[outer].pc_is_exact) return nullptr;
  if (caller_ == nullptr) caller_ = std::make_unique<StackFrame>(image_, stack_, outer);
  return caller_->module_ == module_ ? caller_.get() : nullptr;
}

uint64_t StackFrame::return_address() const {
  const size_t outer = index_ + 1;
  if (outer >= stack_.frames.size() || module_ == nullptr) return 0;
  return stack_.frames[outer].pc - module_->bias;
}

}  // namespace residue
