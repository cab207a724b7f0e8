#include "formats/base/xxh64.h"

#include <algorithm>
#include <bit>

#include "formats/base/byte_cursor.h"

namespace residue {
namespace {

// The specification's primes.
constexpr uint64_t kPrime1 = 0x9E3779B185EBCA87;
constexpr uint64_t kPrime2 = 0xC2B2AE3D27D4EB4F;
constexpr uint64_t kPrime3 = 0x165667B19E3779F9;
constexpr uint64_t kPrime4 = 0x85EBCA77C2B2AE63;
constexpr uint64_t kPrime5 = 0x27D4EB2F165667C5;

template <typename T>
T word(std::span<const std::byte> bytes, size_t at) {
  return load<T>(bytes.subspan(at), ByteOrder::kLittle);
}

uint64_t round(uint64_t lane, uint64_t input) {
  return std::rotl(lane + input * kPrime2, 31) * kPrime1;
}

uint64_t avalanche(uint64_t sum) {
  sum = (sum ^ (sum >> 33)) * kPrime2;
  sum = (sum ^ (sum >> 29)) * kPrime3;
  return sum ^ (sum >> 32);
}

}  // namespace

Xxh64::Xxh64(uint64_t seed)
    : seed_(seed), lanes_{seed + kPrime1 + kPrime2, seed + kPrime2, seed, seed - kPrime1} {}

void Xxh64::add_stripe(std::span<const std::byte> stripe) {
  for (size_t i = 0; i < lanes_.size(); ++i) {
    lanes_[i] = round(lanes_[i], word<uint64_t>(stripe, 8 * i));
  }
}

void Xxh64::add(std::span<const std::byte> bytes) {
  const size_t waiting = total_ % kStripe;
  total_ += bytes.size();
  if (waiting > 0) {
    const size_t n = std::min(kStripe - waiting, bytes.size());
    std::copy_n(bytes.begin(), n, rest_.begin() + static_cast<ptrdiff_t>(waiting));
    bytes = bytes.subspan(n);
    if (waiting + n < kStripe) return;
    add_stripe(rest_);
  }
  for (; bytes.size() >= kStripe; bytes = bytes.subspan(kStripe)) {
    add_stripe(bytes.first(kStripe));
  }
  std::copy(bytes.begin(), bytes.end(), rest_.begin());
}

void Xxh64::add_number(uint64_t value) {
  std::array<std::byte, 8> bytes{};
  for (size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<std::byte>((value >> (8 * i)) & 0xff);
  }
  add(bytes);
}

uint64_t Xxh64::sum() const {
  uint64_t sum = seed_ + kPrime5;
  if (total_ >= kStripe) {
    sum = std::rotl(lanes_[0], 1) + std::rotl(lanes_[1], 7) + std::rotl(lanes_[2], 12) +
          std::rotl(lanes_[3], 18);
    for (const uint64_t lane : lanes_) sum = (sum ^ round(0, lane)) * kPrime1 + kPrime4;
  }
  sum += total_;
  auto rest = std::span(rest_).first(total_ % kStripe);
  for (; rest.size() >= 8; rest = rest.subspan(8)) {
    sum = std::rotl(sum ^ round(0, word<uint64_t>(rest, 0)), 27) * kPrime1 + kPrime4;
  }
  if (rest.size() >= 4) {
    sum = std::rotl(sum ^ (word<uint32_t>(rest, 0) * kPrime1), 23) * kPrime2 + kPrime3;
    rest = rest.subspan(4);
  }
  for (const std::byte byte : rest) {
    sum = std::rotl(sum ^ (std::to_integer<uint64_t>(byte) * kPrime5), 11) * kPrime1;
  }
  return avalanche(sum);
}

}  // namespace residue
