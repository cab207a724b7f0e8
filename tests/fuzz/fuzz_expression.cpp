// Any bytes as a DWARF expression.
//
// The first byte chooses: bits 0-1, the size of an address; bit 2, the byte order; bit 3, 64-bit
// DWARF; bits 4-5, the version; bit 6, whether a value is pushed first. The second says how many of
// the rest are the expression that every DW_OP_call runs.
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "symbolize/dwarf/expression.h"

namespace residue {
namespace {

constexpr size_t kMaxInput = 4096;

class Surroundings : public ExpressionContext {
 public:
  explicit Surroundings(std::span<const std::byte> called) : called_(called) {}

  std::optional<uint64_t> reg(unsigned dwarf) const override {
    if (dwarf > 32) return std::nullopt;
    return uint64_t{dwarf} << 60 | dwarf;
  }
  bool read(uint64_t address, std::span<std::byte> out) const override {
    for (std::byte& byte : out) byte = static_cast<std::byte>(address++);
    return address % 7 != 0;
  }
  std::optional<uint64_t> frame_base() const override { return 0x7fff0000; }
  std::optional<uint64_t> cfa() const override { return ~uint64_t{0}; }
  std::optional<uint64_t> indexed_address(uint64_t index) const override { return index; }
  uint64_t relocate(uint64_t address) const override { return address + (uint64_t{1} << 63); }
  std::optional<uint64_t> tls(uint64_t offset) const override { return offset; }
  std::optional<BaseType> base_type(uint64_t die) const override {
    return BaseType{static_cast<unsigned>(die % 17), static_cast<uint8_t>(die / 17)};
  }
  std::optional<std::span<const std::byte>> called(uint64_t /*die*/,
                                                   bool /*in_section*/) const override {
    return called_;
  }

 private:
  std::span<const std::byte> called_;
};

void law(bool holds, const char* text) {
  if (holds) return;
  std::fprintf(stderr, "broken law: %s\n", text);
  std::abort();
}

void check(std::span<const std::byte> input) {
  const auto flags = std::to_integer<unsigned>(input[0]);
  const size_t called = std::min(std::to_integer<size_t>(input[1]), input.size() - 2);
  const Surroundings context(input.subspan(2, called));
  const auto expression = input.subspan(2 + called);
  const unsigned width = 1U << (flags & 3);
  const ExpressionFormat format{(flags & 4) != 0 ? ByteOrder::kBig : ByteOrder::kLittle, width,
                                (flags & 8) != 0 ? 8U : 4U, 2 + (flags >> 4 & 3)};
  std::optional<uint64_t> initial;
  if ((flags & 64) != 0) initial = 0x1122334455667788;
  const auto pieces = evaluate_location(expression, format, context, initial);
  if (pieces) {
    law(pieces->size() <= 2 * kMaxExpressionOperations, "as many pieces as operations");
    for (const LocationPiece& piece : *pieces) {
      const bool is_memory = piece.kind == LocationPiece::Kind::kMemory;
      law(!is_memory || width == 8 || piece.value >> (8 * width) == 0,
          "an address is as wide as an address");
      law(piece.bytes.size() <= input.size(), "bytes are inside the expression");
    }
  } else {
    law(!pieces.error().message.empty(), "an error says what is wrong");
  }
  (void)evaluate_value(expression, format, context, initial);
}

}  // namespace
}  // namespace residue

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2 || size > residue::kMaxInput) return 0;
  residue::check(std::as_bytes(std::span(data, size)));
  return 0;
}
