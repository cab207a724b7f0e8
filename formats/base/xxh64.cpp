#include "formats/base/xxh64.h"

#include <xxhash.h>

#include <array>
#include <new>

namespace residue {

void Xxh64::Free::operator()(XXH64_state_s* state) const { XXH64_freeState(state); }

Xxh64::Xxh64(uint64_t seed) : state_(XXH64_createState()) {
  if (state_ == nullptr) throw std::bad_alloc();
  XXH64_reset(state_.get(), seed);
}

void Xxh64::add(std::span<const std::byte> bytes) {
  if (!bytes.empty()) XXH64_update(state_.get(), bytes.data(), bytes.size());
}

void Xxh64::add_number(uint64_t value) {
  std::array<std::byte, 8> bytes{};
  for (size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<std::byte>((value >> (8 * i)) & 0xff);
  }
  add(bytes);
}

uint64_t Xxh64::sum() const { return XXH64_digest(state_.get()); }

}  // namespace residue
