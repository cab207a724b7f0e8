// XXH64: a fast 64-bit hash that is the same everywhere, for recognising what was seen before. Not
// for bytes that somebody may have chosen in order to collide.
//
// Written from https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md (version 0.1.1).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace residue {

class Xxh64 {
 public:
  explicit Xxh64(uint64_t seed = 0);
  // Pieces of any sizes: the sum is that of all bytes one behind the other.
  void add(std::span<const std::byte> bytes);
  // As eight bytes, the lowest first.
  void add_number(uint64_t value);
  uint64_t sum() const;

 private:
  static constexpr size_t kStripe = 32;

  void add_stripe(std::span<const std::byte> stripe);

  uint64_t seed_;
  std::array<uint64_t, 4> lanes_;
  std::array<std::byte, kStripe> rest_{};  // the first `total_ % kStripe` of it are waiting
  uint64_t total_ = 0;
};

}  // namespace residue
