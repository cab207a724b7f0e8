// CodeMap: what can be said of an address as code, whatever CFI says: whether it is executable,
// whether a call stands before it, and what it calls.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "formats/image.h"

namespace residue {

class DebugFiles;

enum class Answer : uint8_t { kNo, kYes, kUnknown };

class CodeMap {
 public:
  // REQUIRES: both outlive this. `files` give the code of modules whose pages are neither in the
  // dump nor in a file that the Image could match by build-id (programs linked without one); may be
  // null.
  explicit CodeMap(const Image& image, const DebugFiles* files = nullptr)
      : image_(image), files_(files) {}

  // Instructions from `address` on, at most `n` bytes.
  std::span<const std::byte> view(uint64_t address, uint64_t n) const;

  // In a mapping that may be executed, or in a module of which too little is known to deny it.
  bool is_code(uint64_t pc) const;
  // The address without what is no part of it: pointer authentication, tags, the Thumb bit.
  uint64_t strip(uint64_t pc) const;

  // A call instruction ends at `pc`. kUnknown where the dump has no bytes there, or the
  // architecture's calls cannot be told by looking back.
  Answer follows_call(uint64_t pc) const;
  // Where the direct call that ends at `pc` goes, past a PLT entry whose slot is known.
  std::optional<uint64_t> call_target(uint64_t pc) const;
  // `pc` is in a program's entry code, or returns into code that ends its thread: nobody called it.
  bool starts_thread(uint64_t pc) const;

 private:
  std::optional<uint64_t> jump_slot_target(uint64_t plt) const;
  std::optional<uint32_t> instruction(uint64_t pc) const;
  std::optional<uint16_t> half(uint64_t pc) const;
  Answer follows_x86_call(uint64_t pc) const;
  Answer follows_arm_call(uint64_t pc) const;
  Answer follows_riscv_call(uint64_t pc) const;
  Answer follows_s390_call(uint64_t pc) const;

  const Image& image_;
  const DebugFiles* files_;
};

}  // namespace residue
