// CodeMap: what can be said of an address as code, whatever CFI says: whether it is executable,
// whether a call stands before it, and what it calls.
#pragma once

#include <cstdint>
#include <optional>

#include "formats/image.h"

namespace residue {

enum class Answer : uint8_t { kNo, kYes, kUnknown };

class CodeMap {
 public:
  // REQUIRES: `image` outlives this.
  explicit CodeMap(const Image& image) : image_(image) {}

  // In a mapping that may be executed, or in a module of which too little is known to deny it.
  bool is_code(uint64_t pc) const;
  // The address without what is no part of it: pointer authentication, tags, the Thumb bit.
  uint64_t strip(uint64_t pc) const;

  // A call instruction ends at `pc`. kUnknown where the dump has no bytes there, or the
  // architecture's calls cannot be told by looking back.
  Answer follows_call(uint64_t pc) const;
  // Where the direct call that ends at `pc` goes, past a PLT entry whose slot is known.
  std::optional<uint64_t> call_target(uint64_t pc) const;

 private:
  std::optional<uint64_t> jump_slot_target(uint64_t plt) const;
  std::optional<uint32_t> instruction(uint64_t pc) const;
  std::optional<uint16_t> half(uint64_t pc) const;
  Answer follows_x86_call(uint64_t pc) const;
  Answer follows_arm_call(uint64_t pc) const;
  Answer follows_riscv_call(uint64_t pc) const;
  Answer follows_s390_call(uint64_t pc) const;

  const Image& image_;
};

}  // namespace residue
