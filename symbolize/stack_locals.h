// StackLocals: the parameters and local variables of one thread's frames, and which of them holds
// an address of its stack.
//
// A frame's variables are read when they are first asked for, once. Variables that live in
// registers only, or nowhere, hold no address.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "formats/image.h"
#include "symbolize/dwarf/variables.h"
#include "symbolize/unwind/unwinder.h"

namespace residue {

class StackLocals {
 public:
  // The variables of a module; null if it has no debug information.
  using FindModule = std::function<Variables*(ModuleId)>;

  // REQUIRES: `image` and `stack` outlive this.
  StackLocals(const Image& image, const UnwoundStack& stack, FindModule find_module);

  // Of the frame with this index; see Variables::locals().
  const std::vector<LocalVariable>& of(size_t frame);

  struct Hit {
    size_t frame = 0;
    const LocalVariable* variable = nullptr;  // as long as this lives
    uint64_t offset = 0;                      // of the address in the variable
  };
  // The variable that holds `address`; nullopt where none does (spilled registers, padding, frames
  // without debug information).
  std::optional<Hit> find(uint64_t address);

 private:
  std::optional<Hit> find_in(size_t frame, uint64_t address);

  const Image& image_;
  const UnwoundStack& stack_;
  const FindModule find_module_;
  std::vector<std::optional<std::vector<LocalVariable>>> frames_;
  std::vector<std::pair<uint64_t, size_t>> by_cfa_;  // (end of the frame, its index)
};

}  // namespace residue
