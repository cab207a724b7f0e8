// ByteCursor: the one way in which untrusted bytes are read.
//
// Every read is checked against the end; a read that fails does not move the cursor, so that the
// position still names the record that was too short. The cursor knows where its bytes lie in the
// file and puts that offset into its errors. Counts from the file go through count(), which bounds
// them by the bytes that are left before anybody reserves memory for them.
//
// The bytes are not owned: they must outlive the cursor and every span taken from it.
#pragma once

#include <algorithm>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstring>
#include <span>
#include <string_view>

#include "formats/base/address.h"
#include "formats/base/result.h"
#include "formats/base/text.h"

namespace residue {

enum class ByteOrder : uint8_t { kLittle, kBig };

// The integer at the start of `bytes`. REQUIRES: bytes.size() >= sizeof(T).
template <std::unsigned_integral T>
T load(std::span<const std::byte> bytes, ByteOrder order = ByteOrder::kLittle) {
  T value;
  std::memcpy(&value, bytes.data(), sizeof value);
  const bool host_is_big = std::endian::native == std::endian::big;
  if ((order == ByteOrder::kBig) == host_is_big) return value;
  T swapped = 0;
  for (size_t i = 0; i < sizeof(T); ++i) {
    swapped = static_cast<T>(swapped << 4 << 4);
    swapped = static_cast<T>(swapped | (value & 0xff));
    value = static_cast<T>(value >> 4 >> 4);
  }
  return swapped;
}

class ByteCursor {
 public:
  ByteCursor(std::span<const std::byte> bytes, ByteOrder order, FileOffset start = FileOffset(0))
      : bytes_(bytes), order_(order), start_(start) {}

  size_t position() const { return position_; }
  size_t remaining() const { return bytes_.size() - position_; }
  FileOffset offset() const { return start_ + ByteCount(position_); }
  ByteOrder order() const { return order_; }

  template <std::unsigned_integral T>
  Result<T> read() {
    if (remaining() < sizeof(T)) return truncated(sizeof(T));
    const T value = load<T>(bytes_.subspan(position_), order_);
    position_ += sizeof(T);
    return value;
  }

  // A word of the dumped process: `width` is 4 or 8 bytes.
  Result<uint64_t> read_word(unsigned width) {
    if (width == 8) return read<uint64_t>();
    RESIDUE_ASSIGN(const uint32_t value, read<uint32_t>());
    return uint64_t{value};
  }

  Result<std::span<const std::byte>> take(uint64_t n) {
    if (remaining() < n) return truncated(n);
    const auto taken = bytes_.subspan(position_, static_cast<size_t>(n));
    position_ += static_cast<size_t>(n);
    return taken;
  }

  Result<void> skip(uint64_t n) {
    if (remaining() < n) return truncated(n);
    position_ += static_cast<size_t>(n);
    return {};
  }

  Result<void> seek(uint64_t position) {
    if (position > bytes_.size()) {
      return Error{ErrorCode::kTruncated, "position " + hex(position) + " lies behind the end",
                   start_ + ByteCount(bytes_.size())};
    }
    position_ = static_cast<size_t>(position);
    return {};
  }

  // Skips to the next multiple of `alignment` (a power of two), or to the end if that is nearer.
  void align(size_t alignment) {
    const size_t aligned = (position_ + alignment - 1) & ~(alignment - 1);
    position_ = std::min(aligned, bytes_.size());
  }

  // A NUL-terminated string; fails if the NUL is missing.
  Result<std::string_view> c_string() {
    const auto rest = bytes_.subspan(position_);
    const auto nul = std::find(rest.begin(), rest.end(), std::byte{0});
    if (nul == rest.end()) return truncated(rest.size() + 1);
    const auto length = static_cast<size_t>(nul - rest.begin());
    position_ += length + 1;
    return std::string_view(static_cast<const char*>(static_cast<const void*>(rest.data())),
                            length);
  }

  // Accepts a count from the file if that many records of `record_size` bytes fit in the rest.
  Result<size_t> count(uint64_t n, size_t record_size) const {
    if (record_size != 0 && n > remaining() / record_size) {
      return Error{ErrorCode::kTruncated,
                   std::to_string(n) + " records of " + std::to_string(record_size) +
                       " bytes do not fit in the " + std::to_string(remaining()) + " left",
                   offset()};
    }
    return static_cast<size_t>(n);
  }

 private:
  Error truncated(uint64_t wanted) const {
    return Error{ErrorCode::kTruncated,
                 std::to_string(wanted) + " bytes wanted, " + std::to_string(remaining()) + " left",
                 offset()};
  }

  std::span<const std::byte> bytes_;
  ByteOrder order_;
  FileOffset start_;
  size_t position_ = 0;
};

}  // namespace residue
