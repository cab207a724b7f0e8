// What the tests of DWARF expressions share: a process that answers, and expressions as bytes.
// Operations are written as the numbers of the specification (DWARF 5, 7.7.1).
#pragma once

#include <cstdint>
#include <initializer_list>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "symbolize/dwarf/expression.h"

namespace residue::testing {

inline std::vector<std::byte> code(std::initializer_list<int> bytes) {
  std::vector<std::byte> out;
  for (const int byte : bytes) out.push_back(static_cast<std::byte>(byte));
  return out;
}

inline std::vector<std::byte> operator+(std::vector<std::byte> a, const std::vector<std::byte>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

// Registers r = 0x1000 * (r + 1); memory holds its own address's low byte everywhere but in page 0;
// 20 is a signed char, 21 an unsigned char, 24 an int, 25 a double, 26 a float, 27 a long long,
// 28 an unsigned long long, 29 an unsigned int.
class FakeProcess : public ExpressionContext {
 public:
  std::optional<uint64_t> reg(unsigned dwarf) const override {
    if (const auto found = registers.find(dwarf); found != registers.end()) return found->second;
    if (dwarf >= 40) return std::nullopt;
    return 0x1000 * (uint64_t{dwarf} + 1);
  }
  bool read(uint64_t address, std::span<std::byte> out) const override {
    if (address < 0x1000) return false;
    for (size_t i = 0; i < out.size(); ++i) out[i] = static_cast<std::byte>(address + i);
    return true;
  }
  std::optional<uint64_t> frame_base() const override { return 0x7ff000; }
  std::optional<uint64_t> cfa() const override { return 0x7ff010; }
  std::optional<uint64_t> object_address() const override { return 0x0b1ec7; }
  std::optional<uint64_t> indexed_address(uint64_t index) const override {
    if (index >= 300) return std::nullopt;
    return 0x4000 + index;
  }
  uint64_t relocate(uint64_t address) const override { return address + bias; }
  std::optional<uint64_t> tls(uint64_t offset) const override { return 0x7a0000 + offset; }
  std::optional<uint64_t> entry_value(std::span<const std::byte> expression) const override {
    if (expression.size() != 1) return std::nullopt;
    return 0xe0000 + std::to_integer<uint64_t>(expression[0]);
  }
  std::optional<uint64_t> parameter(uint64_t die) const override { return 0xaa00 + die; }
  std::optional<uint64_t> variable(uint64_t die) const override { return 0xbb00 + die; }
  std::optional<BaseType> base_type(uint64_t die) const override {
    switch (die) {
      case 20:
        return BaseType{1, 0x06};
      case 21:
        return BaseType{1, 0x08};
      case 24:
        return BaseType{4, 0x05};
      case 25:
        return BaseType{8, 0x04};
      case 26:
        return BaseType{4, 0x04};
      case 27:
        return BaseType{8, 0x05};
      case 28:
        return BaseType{8, 0x07};
      case 29:
        return BaseType{4, 0x07};
      case 30:
        return BaseType{16, 0x05};  // __int128
      case 31:
        return BaseType{16, 0x04};  // long double
      default:
        return std::nullopt;
    }
  }
  std::optional<std::span<const std::byte>> called(uint64_t die, bool in_section) const override {
    const auto found = entries.find({die, in_section});
    if (found == entries.end()) return std::nullopt;
    return std::span<const std::byte>(found->second);
  }

  std::map<unsigned, uint64_t> registers;
  std::map<std::pair<uint64_t, bool>, std::vector<std::byte>> entries;
  uint64_t bias = 0x500000;
};

inline ExpressionFormat little(unsigned address_size) {
  return {ByteOrder::kLittle, address_size, 4, 5};
}
inline ExpressionFormat big(unsigned address_size) { return {ByteOrder::kBig, address_size, 4, 5}; }

}  // namespace residue::testing
