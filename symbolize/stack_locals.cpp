#include "symbolize/stack_locals.h"

#include <algorithm>

#include "symbolize/stack_frame.h"

namespace residue {
namespace {

// Offset of `address` in the variable; nullopt if it is not in it.
std::optional<uint64_t> offset_in(const LocalVariable& variable, uint64_t address) {
  uint64_t offset = 0;
  for (const LocationPiece& piece : variable.pieces) {
    const uint64_t size = piece.bit_size != 0 ? piece.bit_size / 8 : variable.size;
    if (piece.kind == LocationPiece::Kind::kMemory && address - piece.value < size) {
      return offset + (address - piece.value);
    }
    offset += size;
  }
  return std::nullopt;
}

}  // namespace

StackLocals::StackLocals(const Image& image, const UnwoundStack& stack, FindModule find_module)
    : image_(image),
      stack_(stack),
      find_module_(std::move(find_module)),
      frames_(stack.frames.size()) {
  for (size_t i = 0; i < stack.frames.size(); ++i) {
    if (stack.frames[i].cfa != 0) by_cfa_.emplace_back(stack.frames[i].cfa, i);
  }
  // In order already, but for signal handlers on a stack of their own.
  std::sort(by_cfa_.begin(), by_cfa_.end());
}

const std::vector<LocalVariable>& StackLocals::of(size_t frame) {
  auto& slot = frames_[frame];
  if (!slot) {
    slot.emplace();
    const StackFrame context(image_, stack_, frame);
    if (const Module* module = context.module()) {
      const auto id = ModuleId(static_cast<uint32_t>(module - image_.modules.data()));
      if (Variables* variables = find_module_(id)) {
        slot = variables->locals(context.link_time_pc(), context);
      }
    }
  }
  return *slot;
}

std::optional<StackLocals::Hit> StackLocals::find_in(size_t frame, uint64_t address) {
  for (const LocalVariable& variable : of(frame)) {
    if (const auto offset = offset_in(variable, address)) return Hit{frame, &variable, *offset};
  }
  return std::nullopt;
}

// A frame ends at its CFA, where its caller's begins. What was passed to a function on the stack
// lies above its CFA, in its caller's frame.
std::optional<StackLocals::Hit> StackLocals::find(uint64_t address) {
  const auto holder =
      std::upper_bound(by_cfa_.begin(), by_cfa_.end(), address,
                       [](uint64_t wanted, const auto& end) { return wanted < end.first; });
  if (holder != by_cfa_.end()) {
    if (auto hit = find_in(holder->second, address)) return hit;
  }
  if (holder == by_cfa_.begin()) return std::nullopt;
  return find_in((holder - 1)->second, address);
}

}  // namespace residue
