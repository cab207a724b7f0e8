#include "cli/units.h"

#include <array>
#include <cstdio>

namespace residue {

std::string count_text(uint64_t value) {
  const std::string digits = std::to_string(value);
  std::string text;
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i != 0 && (digits.size() - i) % 3 == 0) text += ',';
    text += digits[i];
  }
  return text;
}

std::string bytes_text(uint64_t bytes) {
  static constexpr std::array<const char*, 6> kUnits = {"kB", "MB", "GB", "TB", "PB", "EB"};
  if (bytes < 1000) return std::to_string(bytes) + " B";
  auto value = static_cast<double>(bytes);
  size_t unit = 0;
  for (value /= 1000; value >= 999.95 && unit + 1 < kUnits.size(); ++unit) value /= 1000;
  std::array<char, 32> text{};
  const int n = std::snprintf(text.data(), text.size(), value < 99.95 ? "%.1f %s" : "%.0f %s",
                              value, kUnits[unit]);
  return {text.data(), static_cast<size_t>(n)};
}

}  // namespace residue
