// Holes: which parts of the mapped files are holes.
//
// A sparse core of 100 GB may hold 1 GB of data; the rest was never written. A hole reads as zeros,
// but touching it costs all the same: a page-table entry and a page of the page cache for every
// 4 KiB, a page of the file system's memory on tmpfs. Zeros are no pointers, headers or texts: what
// scans all memory skips them.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace residue {

class Holes {
 public:
  // Parts are cut at multiples of so many bytes from the start of what is looked at, so that no
  // aligned word or header lies across a cut. Bytes around a part that belong to a hole are zeros.
  static constexpr size_t kGrain = 64;

  // REQUIRES: `holes` are sorted and disjoint, and are not in here yet.
  void add(std::span<const std::span<const std::byte>> holes);
  bool empty() const { return ranges_.empty(); }

  // Calls f(from, until) for the parts of `bytes` that are more than hole, in order, as positions
  // in `bytes`. What is left out is zeros.
  template <typename F>
  void for_each_data(std::span<const std::byte> bytes, F&& f) const {
    for (size_t at = skip(bytes, 0); at < bytes.size();) {
      const size_t end = data_end(bytes, at);
      f(at, end);
      at = skip(bytes, end);
    }
  }

  // The first position from `at` on that is not left out by for_each_data(): `at` itself as a rule.
  // REQUIRES: `at` is a multiple of kGrain, or lies behind the end.
  size_t skip(std::span<const std::byte> bytes, size_t at) const {
    return ranges_.empty() || at >= bytes.size() ? std::min(at, bytes.size()) : find(bytes, at);
  }

 private:
  // Addresses in this process.
  struct Range {
    uintptr_t begin, end;
  };
  size_t find(std::span<const std::byte> bytes, size_t at) const;
  size_t data_end(std::span<const std::byte> bytes, size_t at) const;
  // The first range that ends behind `address`.
  std::vector<Range>::const_iterator from(uintptr_t address) const;

  std::vector<Range> ranges_;  // sorted, disjoint
};

}  // namespace residue
