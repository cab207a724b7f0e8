// XXH64: a fast 64-bit hash that is the same everywhere, for recognising what was seen before. Not
// for bytes that somebody may have chosen in order to collide. The library's, with an owner.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

struct XXH64_state_s;

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
  struct Free {
    void operator()(XXH64_state_s* state) const;
  };
  std::unique_ptr<XXH64_state_s, Free> state_;
};

}  // namespace residue
