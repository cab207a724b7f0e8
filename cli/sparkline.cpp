#include "cli/sparkline.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <vector>

namespace residue {
namespace {

constexpr std::array<const char*, 8> kBars = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
constexpr std::array<const char*, 8> kAsciiBars = {"_", ".", "-", ":", "=", "+", "*", "#"};
constexpr double kLeastRange = 0.05;  // of the highest value

std::vector<double> resample(std::span<const int64_t> values, size_t cells) {
  const size_t count = std::min(cells, values.size());
  std::vector<double> means;
  for (size_t i = 0; i < count; ++i) {
    const size_t begin = i * values.size() / count;
    const size_t end = (i + 1) * values.size() / count;
    double sum = 0;
    for (size_t j = begin; j < end; ++j) sum += static_cast<double>(values[j]);
    means.push_back(sum / static_cast<double>(end - begin));
  }
  return means;
}

}  // namespace

std::string sparkline(std::span<const int64_t> values, size_t warm_up, bool utf8, size_t cells) {
  if (values.empty() || cells == 0) return {};
  const std::vector<double> means = resample(values, cells);
  const auto [low, high] = std::minmax_element(means.begin(), means.end());
  const double range = std::max(*high - *low, kLeastRange * std::abs(*high));
  const double base = *low;
  // The cell that the last value of the warm-up is in, and the line behind it.
  const size_t mark =
      warm_up == 0 ? 0 : std::max<size_t>(1, warm_up * means.size() / values.size());
  std::string line;
  for (size_t i = 0; i < means.size(); ++i) {
    if (mark != 0 && i == mark) line += utf8 ? "┊" : "|";
    const double share = range > 0 ? (means[i] - base) / range : 0;
    const auto level = static_cast<size_t>(std::clamp(share * 8, 0.0, 7.0));
    line += utf8 ? kBars[level] : kAsciiBars[level];
  }
  return line;
}

bool locale_is_utf8() {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    const char* value = std::getenv(name);
    if (value == nullptr || *value == '\0') continue;
    std::string lower(value);
    for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    return lower.find("utf-8") != std::string::npos || lower.find("utf8") != std::string::npos;
  }
  return false;
}

}  // namespace residue
