// Ranges of addresses → what lies there, in logarithmic time.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <vector>

#include "formats/base/address.h"

namespace residue {

// A set of addresses that only grows. Ranges that touch or overlap become one.
class RangeSet {
 public:
  void add(AddressRange range) {
    if (range.size.value() == 0) return;
    uint64_t begin = range.base.value();
    uint64_t last = begin + (range.size.value() - 1);
    if (last < begin) last = ~uint64_t{0};
    auto it = ranges_.upper_bound(begin);
    if (it != ranges_.begin() && std::prev(it)->second >= begin) --it;
    while (it != ranges_.end() && it->first <= last) {
      begin = std::min(begin, it->first);
      last = std::max(last, it->second);
      it = ranges_.erase(it);
    }
    ranges_[begin] = last;
  }

  bool contains(Address a) const {
    const auto after = ranges_.upper_bound(a.value());
    return after != ranges_.begin() && std::prev(after)->second >= a.value();
  }

 private:
  std::map<uint64_t, uint64_t> ranges_;  // first address → last address
};

// Which of several ranges an address lies in. Where they overlap the one that begins first has it,
// or the one that was added first.
class RangeIndex {
 public:
  static constexpr uint32_t kNothing = ~uint32_t{0};

  // Call finish() behind the last one.
  void add(AddressRange range, uint32_t value) {
    if (range.size.value() == 0) return;
    const uint64_t begin = range.base.value();
    const uint64_t last = begin + (range.size.value() - 1);
    items_.push_back({begin, last < begin ? ~uint64_t{0} : last, value});
  }

  void finish() {
    std::stable_sort(items_.begin(), items_.end(),
                     [](const Item& a, const Item& b) { return a.begin < b.begin; });
    std::vector<Item> disjoint;
    disjoint.reserve(items_.size());
    for (Item item : items_) {
      if (!disjoint.empty()) {
        const uint64_t taken = disjoint.back().last;
        if (item.last <= taken) continue;
        item.begin = std::max(item.begin, taken + 1);
      }
      disjoint.push_back(item);
    }
    items_ = std::move(disjoint);
  }

  // The value of the range that holds `a`, or kNothing. REQUIRES: finish() was called.
  uint32_t find(Address a) const {
    const auto after = std::upper_bound(items_.begin(), items_.end(), a.value(),
                                        [](uint64_t v, const Item& i) { return v < i.begin; });
    if (after == items_.begin() || (after - 1)->last < a.value()) return kNothing;
    return (after - 1)->value;
  }

 private:
  struct Item {
    uint64_t begin, last;
    uint32_t value;
  };
  std::vector<Item> items_;
};

}  // namespace residue
