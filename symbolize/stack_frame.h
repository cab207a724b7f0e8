// StackFrame: an unwound frame as the locations of its variables see it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "formats/image.h"
#include "symbolize/dwarf/variables.h"
#include "symbolize/unwind/unwinder.h"

namespace residue {

class StackFrame : public FrameContext {
 public:
  // Frame `index` of `stack`. Registers are known as far as the stack has kept them
  // (UnwindOptions::keep_registers). REQUIRES: `image` and `stack` outlive this; the index is one
  // of stack.frames.
  StackFrame(const Image& image, const UnwoundStack& stack, size_t index);

  // The module that the frame's code is in; null if it is in none.
  const Module* module() const { return module_; }
  // UnwoundFrame::lookup_pc() as the module's file has it. REQUIRES: module() is not null.
  uint64_t link_time_pc() const;

  std::optional<uint64_t> reg(unsigned dwarf) const override;
  bool read(uint64_t address, std::span<std::byte> out) const override;
  std::optional<uint64_t> cfa() const override;
  uint64_t relocate(uint64_t address) const override;
  const FrameContext* caller() const override;
  uint64_t return_address() const override;

 private:
  const Image& image_;
  const UnwoundStack& stack_;
  const size_t index_;
  const Module* module_;
  mutable std::unique_ptr<StackFrame> caller_;
};

}  // namespace residue
