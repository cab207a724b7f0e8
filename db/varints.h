// Varints: numbers of any size as LEB128 bytes, as the headers of stored blocks hold them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace residue {

inline constexpr size_t kLongestVarint = 10;

inline void put_varint(uint64_t value, std::vector<uint8_t>& out) {
  for (; value >= 0x80; value >>= 7) out.push_back(static_cast<uint8_t>(value | 0x80));
  out.push_back(static_cast<uint8_t>(value));
}

// Small numbers of either sign as small numbers: 0, -1, 1, -2, … are 0, 1, 2, 3, …
constexpr uint32_t zigzag(uint32_t value) { return value << 1 ^ (~(value >> 31) + 1); }
constexpr uint32_t unzigzag(uint32_t value) { return value >> 1 ^ (~(value & 1) + 1); }
constexpr uint64_t unzigzag(uint64_t value) { return value >> 1 ^ (~(value & 1) + 1); }

// Reads them from bytes that are not trusted: after a varint that is cut or too long everything
// reads as 0 and ok() is false.
class Varints {
 public:
  explicit Varints(std::span<const uint8_t> bytes) : bytes_(bytes) {}

  uint64_t next() {
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && at_ < bytes_.size(); shift += 7) {
      const uint64_t byte = bytes_[at_++];
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    ok_ = false;
    at_ = bytes_.size();
    return 0;
  }
  // A count of items that take at least a byte each, and of which there are at most `limit`.
  size_t count(size_t limit) {
    const uint64_t value = next();
    if (value > limit || value > bytes_.size() - at_) {
      ok_ = false;
      return 0;
    }
    return static_cast<size_t>(value);
  }
  bool ok() const { return ok_; }
  bool at_end() const { return at_ == bytes_.size(); }

 private:
  std::span<const uint8_t> bytes_;
  size_t at_ = 0;
  bool ok_ = true;
};

}  // namespace residue
