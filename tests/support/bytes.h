// ByteWriter: little-endian bytes, for builders of synthetic files.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace residue::testing {

class ByteWriter {
 public:
  template <std::unsigned_integral T>
  ByteWriter& put(T value) {
    for (size_t i = 0; i < sizeof(T); ++i) bytes_.push_back(std::byte(value >> (8 * i)));
    return *this;
  }
  ByteWriter& u8(uint8_t v) { return put(v); }
  ByteWriter& u16(uint16_t v) { return put(v); }
  ByteWriter& u32(uint32_t v) { return put(v); }
  ByteWriter& u64(uint64_t v) { return put(v); }
  ByteWriter& i32(int32_t v) { return put(static_cast<uint32_t>(v)); }
  ByteWriter& zeros(size_t n) {
    bytes_.resize(bytes_.size() + n);
    return *this;
  }
  // Zeros up to an absolute position; nothing if that is already behind.
  ByteWriter& pad_to(size_t position) {
    if (bytes_.size() < position) bytes_.resize(position);
    return *this;
  }
  ByteWriter& align(size_t alignment) {
    return pad_to((bytes_.size() + alignment - 1) / alignment * alignment);
  }
  ByteWriter& bytes(std::span<const std::byte> more) {
    bytes_.insert(bytes_.end(), more.begin(), more.end());
    return *this;
  }
  ByteWriter& text(std::string_view s) {
    for (const char c : s) bytes_.push_back(static_cast<std::byte>(c));
    return *this;
  }
  // Text with its NUL.
  ByteWriter& c_string(std::string_view s) { return text(s).u8(0); }
  // Text cut or padded to a field of `size` bytes.
  ByteWriter& field(std::string_view s, size_t size) {
    const auto kept = s.substr(0, size);
    return text(kept).zeros(size - kept.size());
  }

  size_t size() const { return bytes_.size(); }
  const std::vector<std::byte>& data() const { return bytes_; }
  std::vector<std::byte> take() { return std::move(bytes_); }

 private:
  std::vector<std::byte> bytes_;
};

// Overwrites an integer in place, little-endian. Does nothing where it would not fit.
template <std::unsigned_integral T>
void poke(std::vector<std::byte>* bytes, size_t offset, T value) {
  for (size_t i = 0; i < sizeof(T) && offset + i < bytes->size(); ++i) {
    (*bytes)[offset + i] = std::byte(value >> (8 * i));
  }
}

template <std::unsigned_integral T>
T peek(std::span<const std::byte> bytes, size_t offset) {
  T value = 0;
  for (size_t i = 0; i < sizeof(T); ++i) {
    value = static_cast<T>(value | static_cast<T>(bytes[offset + i]) << (8 * i));
  }
  return value;
}

// `size` bytes whose values say where they stand, so that a misplaced read shows.
inline std::vector<std::byte> pattern(size_t size, uint64_t seed) {
  std::vector<std::byte> bytes(size);
  for (size_t i = 0; i < size; ++i) {
    bytes[i] = std::byte((i + seed * 131 + (i >> 8) * 7 + 1) & 0xff);
  }
  return bytes;
}

inline std::vector<std::byte> as_bytes(std::string_view text) {
  return ByteWriter().text(text).take();
}

}  // namespace residue::testing
