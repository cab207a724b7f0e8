// Words: pointer-sized words of the dumped process, as bytes of the dump.
//
// A scan of all memory reads a word every nanosecond: what kind of word it is must be known to the
// compiler there. Such a scan is a template on the format, and with_words() picks the instance
// once. Everything else reads words through WordFormat, which is a value.
#pragma once

#include <cstdint>
#include <span>

#include "formats/image.h"

namespace residue {

template <typename Word, ByteOrder order>
struct Words {
  static constexpr uint64_t kSize = sizeof(Word);
  // REQUIRES: at + kSize <= bytes.size().
  static uint64_t at(std::span<const std::byte> bytes, uint64_t at) {
    return load<Word>(bytes.subspan(at), order);
  }
};

// Calls f(Words<…>()) with the format that the image's process has.
template <typename F>
auto with_words(unsigned pointer_width, ByteOrder order, F&& f) {
  if (pointer_width == 4) {
    if (order == ByteOrder::kBig) return f(Words<uint32_t, ByteOrder::kBig>());
    return f(Words<uint32_t, ByteOrder::kLittle>());
  }
  if (order == ByteOrder::kBig) return f(Words<uint64_t, ByteOrder::kBig>());
  return f(Words<uint64_t, ByteOrder::kLittle>());
}
template <typename F>
auto with_words(const Image& image, F&& f) {
  return with_words(image.pointer_width, image.order, f);
}

struct WordFormat {
  WordFormat() = default;
  explicit WordFormat(const Image& image) : size(image.pointer_width), order(image.order) {}

  uint64_t size = 8;
  ByteOrder order = ByteOrder::kLittle;

  // REQUIRES: at + size <= bytes.size().
  uint64_t at(std::span<const std::byte> bytes, uint64_t at) const {
    if (size == 4) return load<uint32_t>(bytes.subspan(at), order);
    return load<uint64_t>(bytes.subspan(at), order);
  }
  // `value` as a word of this size: what is left of a difference below zero.
  uint64_t cut(uint64_t value) const { return size == 4 ? value & 0xffffffff : value; }
};

}  // namespace residue
