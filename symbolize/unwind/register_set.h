// RegisterSet: values of registers by DWARF number, some of them unknown.
#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <optional>

namespace residue {

class RegisterSet {
 public:
  // General registers of every supported architecture lie below this in DWARF's numbering (PPC64's
  // link register is 65).
  static constexpr unsigned kCount = 72;

  std::optional<uint64_t> get(unsigned dwarf) const {
    if (dwarf >= kCount || !known_[dwarf]) return std::nullopt;
    return values_[dwarf];
  }
  void set(unsigned dwarf, uint64_t value) {
    if (dwarf >= kCount) return;
    values_[dwarf] = value;
    known_[dwarf] = true;
  }
  void forget(unsigned dwarf) {
    if (dwarf < kCount) known_[dwarf] = false;
  }

 private:
  std::array<uint64_t, kCount> values_{};
  std::bitset<kCount> known_;
};

}  // namespace residue
