// ProcessMemory: words of the dumped process, read one after another from the same few places.
//
// A stack is read upwards, so the region of the last word is remembered. One per thread that is
// unwound: not thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "formats/image.h"

namespace residue {

class ProcessMemory {
 public:
  // REQUIRES: `image` outlives this.
  explicit ProcessMemory(const Image& image)
      : image_(image),
        // The hardware ignores the top byte of an AArch64 data address.
        address_mask_(image.architecture == Architecture::kAArch64 ? ~uint64_t{0} >> 8
                      : image.pointer_width == 4                   ? ~uint32_t{0}
                                                                   : ~uint64_t{0}) {}

  // An unsigned integer of `width` (1 to 8) bytes.
  std::optional<uint64_t> word(uint64_t address, unsigned width) {
    address &= address_mask_;
    if (region_ == nullptr || !region_->range.contains(Address(address))) {
      region_ = image_.find_region(Address(address));
      if (region_ == nullptr) return std::nullopt;
    }
    const uint64_t at = address - region_->range.base.value();
    if (at < region_->bytes.size() && region_->bytes.size() - at >= width) {
      const auto bytes = region_->bytes.subspan(at);
      if (width == 8) return load<uint64_t>(bytes, image_.order);
      if (width == 4) return load<uint32_t>(bytes, image_.order);
    }
    return slow_word(address, width);
  }

  bool read(uint64_t address, std::span<std::byte> out) const {
    return image_.read(Address(address & address_mask_), out) == out.size();
  }

  const Image& image() const { return image_; }
  uint64_t address_mask() const { return address_mask_; }

 private:
  std::optional<uint64_t> slow_word(uint64_t address, unsigned width) const {
    std::byte raw[8] = {};
    if (width > sizeof raw || !read(address, std::span(raw, width))) return std::nullopt;
    uint64_t value = 0;
    for (unsigned i = 0; i < width; ++i) {
      const unsigned at = image_.order == ByteOrder::kLittle ? width - 1 - i : i;
      value = value << 8 | static_cast<uint64_t>(raw[at]);
    }
    return value;
  }

  const Image& image_;
  const uint64_t address_mask_;
  const Region* region_ = nullptr;
};

}  // namespace residue
