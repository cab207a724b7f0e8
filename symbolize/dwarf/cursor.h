// Cursor: reads DWARF's bytes, millions of values a second.
//
// A read behind the end yields 0 (or nothing) and makes the cursor fail for good: loops test ok()
// once a round instead of a Result a value, which is what lets a walk stream 10^8 bytes of
// .debug_info in tenths of a second. Nothing is read outside the bytes, whatever they say.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

#include "formats/base/byte_cursor.h"

namespace residue::dwarf {

class Cursor {
 public:
  Cursor() = default;
  // Positions count from the start of `bytes`. One behind the end fails at once.
  Cursor(std::span<const std::byte> bytes, uint64_t position, ByteOrder order)
      : bytes_(bytes), position_(position), order_(order) {
    if (position > bytes.size()) fail();
  }

  bool ok() const { return !failed_; }
  uint64_t position() const { return position_; }
  uint64_t remaining() const { return bytes_.size() - position_; }
  bool at_end() const { return position_ >= bytes_.size(); }
  ByteOrder order() const { return order_; }
  void fail() {
    failed_ = true;
    position_ = bytes_.size();
  }

  uint8_t u8() { return number<uint8_t>(); }
  uint16_t u16() { return number<uint16_t>(); }
  uint32_t u32() { return number<uint32_t>(); }
  uint64_t u64() { return number<uint64_t>(); }

  // An unsigned number of 1-8 bytes (3 for strx3 and addrx3); other sizes fail.
  uint64_t number_of(unsigned size) {
    switch (size) {
      case 1:
        return u8();
      case 2:
        return u16();
      case 4:
        return u32();
      case 8:
        return u64();
      case 3: {
        const uint64_t a = u8();
        const uint64_t b = u8();
        const uint64_t c = u8();
        return order_ == ByteOrder::kLittle ? a | b << 8 | c << 16 : a << 16 | b << 8 | c;
      }
      default:
        fail();
        return 0;
    }
  }

  // Bits above the 64th are dropped, as padding of relocated values needs it.
  uint64_t uleb() {
    uint64_t value = 0;
    for (unsigned shift = 0; position_ < bytes_.size(); shift += 7) {
      const auto byte = std::to_integer<uint64_t>(bytes_[position_++]);
      if (shift < 64) value |= (byte & 0x7f) << shift;
      if ((byte & 0x80) == 0) return value;
    }
    fail();
    return 0;
  }

  int64_t sleb() {
    uint64_t value = 0;
    for (unsigned shift = 0; position_ < bytes_.size();) {
      const auto byte = std::to_integer<uint64_t>(bytes_[position_++]);
      if (shift < 64) value |= (byte & 0x7f) << shift;
      shift += 7;
      if ((byte & 0x80) != 0) continue;
      if (shift < 64 && (byte & 0x40) != 0) value |= ~uint64_t{0} << shift;
      return static_cast<int64_t>(value);
    }
    fail();
    return 0;
  }

  void skip(uint64_t n) {
    if (n > remaining()) {
      fail();
    } else {
      position_ += n;
    }
  }
  void skip_leb() {
    while (position_ < bytes_.size()) {
      if ((std::to_integer<unsigned>(bytes_[position_++]) & 0x80) == 0) return;
    }
    fail();
  }

  std::span<const std::byte> block(uint64_t n) {
    if (n > remaining()) {
      fail();
      return {};
    }
    const auto taken = bytes_.subspan(position_, n);
    position_ += n;
    return taken;
  }

  // A NUL-terminated string, without the NUL.
  std::string_view c_string() {
    const auto* start =
        static_cast<const char*>(static_cast<const void*>(bytes_.data())) + position_;
    const void* nul = at_end() ? nullptr : std::memchr(start, 0, remaining());
    if (nul == nullptr) {
      fail();
      return {};
    }
    const auto length = static_cast<size_t>(static_cast<const char*>(nul) - start);
    position_ += length + 1;
    return {start, length};
  }

 private:
  template <typename T>
  T number() {
    if (remaining() < sizeof(T)) {
      fail();
      return 0;
    }
    const T value = load<T>(bytes_.subspan(position_), order_);
    position_ += sizeof(T);
    return value;
  }

  std::span<const std::byte> bytes_;
  uint64_t position_ = 0;
  ByteOrder order_ = ByteOrder::kLittle;
  bool failed_ = false;
};

}  // namespace residue::dwarf
