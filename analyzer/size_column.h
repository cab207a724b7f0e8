// SizeColumn: one size a chunk in four bytes; the few of 4 GB and more lie apart.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace residue {

class SizeColumn {
 public:
  SizeColumn() = default;
  // All sizes are 0.
  explicit SizeColumn(size_t count) : low_(count) {}

  bool empty() const { return low_.empty(); }
  size_t size() const { return low_.size(); }

  // REQUIRES: `i` was not set before; finish() after the last one.
  void set(uint32_t i, uint64_t value) {
    low_[i] = static_cast<uint32_t>(std::min<uint64_t>(value, kLarge));
    if (value >= kLarge) large_.emplace_back(i, value);
  }
  void finish() { std::sort(large_.begin(), large_.end()); }

  uint64_t operator[](size_t i) const {
    if (low_[i] != kLarge) return low_[i];
    return std::lower_bound(large_.begin(), large_.end(),
                            std::pair(static_cast<uint32_t>(i), uint64_t{0}))
        ->second;
  }

 private:
  static constexpr uint32_t kLarge = ~uint32_t{0};

  std::vector<uint32_t> low_;
  std::vector<std::pair<uint32_t, uint64_t>> large_;  // by index, once finished
};

}  // namespace residue
