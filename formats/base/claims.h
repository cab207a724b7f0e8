// Ranges of memory that somebody has claimed, and what is left between them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "formats/base/address.h"

namespace residue {

// Calls f(begin, end) for the parts of [begin, end) that no range of `claimed` covers. An `end`
// that has wrapped to 0 stands for the end of the address space, whose very last byte is then left
// out. REQUIRES: `claimed` is sorted by base; overlaps do no harm.
template <typename F>
void for_each_unclaimed(const std::vector<AddressRange>& claimed, uint64_t begin, uint64_t end,
                        F&& f) {
  const auto unwrapped = [](uint64_t first, uint64_t last) {
    return last < first ? ~uint64_t{0} : last;
  };
  end = unwrapped(begin, end);
  auto it = std::upper_bound(claimed.begin(), claimed.end(), Address(begin),
                             [](Address a, const AddressRange& r) { return a < r.base; });
  if (it != claimed.begin()) --it;
  uint64_t at = begin;
  for (; it != claimed.end() && it->base.value() < end; ++it) {
    if (it->base.value() > at) f(at, it->base.value());
    at = std::max(at, std::min(unwrapped(it->base.value(), it->end().value()), end));
  }
  if (at < end) f(at, end);
}

}  // namespace residue
