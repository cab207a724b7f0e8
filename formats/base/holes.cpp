#include "formats/base/holes.h"

namespace residue {

void Holes::add(std::span<const std::span<const std::byte>> holes) {
  for (const auto& hole : holes) {
    const auto begin = std::bit_cast<uintptr_t>(hole.data());
    ranges_.push_back({begin, begin + hole.size()});
  }
  std::sort(ranges_.begin(), ranges_.end(),
            [](const Range& a, const Range& b) { return a.begin < b.begin; });
}

std::vector<Holes::Range>::const_iterator Holes::from(uintptr_t address) const {
  return std::upper_bound(ranges_.begin(), ranges_.end(), address,
                          [](uintptr_t a, const Range& r) { return a < r.end; });
}

size_t Holes::find(std::span<const std::byte> bytes, size_t at) const {
  const auto base = std::bit_cast<uintptr_t>(bytes.data());
  const auto hole = from(base + at);
  if (hole == ranges_.end() || hole->begin > base + at) return at;
  if (hole->end - base >= bytes.size()) return bytes.size();
  return std::max(at, (hole->end - base) / kGrain * kGrain);
}

size_t Holes::data_end(std::span<const std::byte> bytes, size_t at) const {
  if (ranges_.empty()) return bytes.size();
  const auto base = std::bit_cast<uintptr_t>(bytes.data());
  // A hole that ends within the grain of `at` began before it.
  const auto hole = from(base + at + kGrain);
  if (hole == ranges_.end() || hole->begin - base >= bytes.size()) return bytes.size();
  const size_t begin = std::max(hole->begin, base + at) - base;
  return std::min((begin + kGrain - 1) / kGrain * kGrain, bytes.size());
}

}  // namespace residue
