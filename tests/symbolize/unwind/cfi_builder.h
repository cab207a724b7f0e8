// CfiBuilder: call frame sections, byte by byte from DWARF 5 (6.4, 7.24) and the LSB 5.0 (10.6). It
// shares nothing with the reader. And MemoryImage: an Image made of byte vectors.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "formats/image.h"
#include "tests/support/bytes.h"

namespace residue::testing {

using Bytes = std::vector<uint8_t>;

inline Bytes operator+(Bytes a, const Bytes& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}
inline Bytes uleb(uint64_t v) {
  Bytes out;
  do {
    const auto low = static_cast<uint8_t>(v & 0x7f);
    v >>= 7;
    out.push_back(static_cast<uint8_t>(low | (v != 0 ? 0x80 : 0)));
  } while (v != 0);
  return out;
}
inline Bytes sleb(int64_t v) {
  Bytes out;
  for (bool more = true; more;) {
    const auto low = static_cast<uint8_t>(v & 0x7f);
    v >>= 7;
    more = !((v == 0 && (low & 0x40) == 0) || (v == -1 && (low & 0x40) != 0));
    out.push_back(static_cast<uint8_t>(low | (more ? 0x80 : 0)));
  }
  return out;
}
template <std::unsigned_integral T>
Bytes fixed(T v) {
  Bytes out;
  for (size_t i = 0; i < sizeof(T); ++i) out.push_back(static_cast<uint8_t>(v >> (8 * i)));
  return out;
}
inline Bytes text(const std::string& s) {
  Bytes out(s.begin(), s.end());
  out.push_back(0);
  return out;
}
inline std::vector<std::byte> to_bytes(const Bytes& bytes) {
  ByteWriter writer;
  for (const uint8_t b : bytes) writer.u8(b);
  return writer.take();
}

class CfiBuilder {
 public:
  // Little-endian, at `address`.
  explicit CfiBuilder(uint64_t address, bool is_debug_frame = false)
      : address_(address), is_debug_frame_(is_debug_frame) {}

  CfiBuilder& use_64_bit_lengths() {
    is_64_ = true;
    return *this;
  }
  uint64_t here() const { return address_ + bytes_.size(); }

  // A CIE; the default is what GCC writes for x86-64. Returns its address.
  struct CieParts {
    uint8_t version = 1;
    std::string augmentation = "zR";
    Bytes after_augmentation;  // "eh"'s pointer, version 4's two sizes
    uint64_t code_alignment = 1;
    int64_t data_alignment = -8;
    uint64_t return_register = 16;
    Bytes augmentation_data = {0x1b};
    Bytes instructions = {0x0c, 7, 8, 0x90, 1};  // CFA = r7 + 8, r16 at CFA - 8
  };
  uint64_t cie(const CieParts& parts) {
    Bytes body{parts.version};
    body = body + text(parts.augmentation) + parts.after_augmentation;
    body = body + uleb(parts.code_alignment) + sleb(parts.data_alignment);
    body = body + (parts.version == 1 ? Bytes{static_cast<uint8_t>(parts.return_register)}
                                      : uleb(parts.return_register));
    if (parts.augmentation.find('z') == 0) body = body + uleb(parts.augmentation_data.size());
    body = body + parts.augmentation_data + parts.instructions;
    const Bytes id = !is_debug_frame_ ? fixed<uint32_t>(0)
                     : is_64_         ? fixed(~uint64_t{0})
                                      : fixed(~uint32_t{0});
    return entry(id + body);
  }
  uint64_t cie() { return cie(CieParts()); }

  // An FDE with a ready-made pointer and range.
  uint64_t raw_fde(uint64_t cie_address, const Bytes& pointer_and_range, const Bytes& rest) {
    const uint64_t field = here() + (is_64_ ? 12 : 4);
    Bytes id;
    if (is_debug_frame_) {
      id = is_64_ ? fixed(cie_address - address_)
                  : fixed(static_cast<uint32_t>(cie_address - address_));
    } else {
      id = fixed(static_cast<uint32_t>(field - cie_address));
    }
    return entry(id + pointer_and_range + rest);
  }
  // One of a "zR" CIE with pcrel|sdata4, or an absolute 8-byte one in .debug_frame.
  uint64_t fde(uint64_t cie_address, uint64_t begin, uint32_t size, const Bytes& instructions) {
    if (is_debug_frame_) {
      return raw_fde(cie_address, fixed(begin) + fixed(uint64_t{size}), instructions);
    }
    const uint64_t pointer = here() + (is_64_ ? 12 : 4) + 4;
    return raw_fde(cie_address,
                   fixed(static_cast<uint32_t>(begin - pointer)) + fixed(uint32_t{size}),
                   Bytes{0} + instructions);
  }
  CfiBuilder& terminator() {
    bytes_ = bytes_ + fixed<uint32_t>(0);
    return *this;
  }
  CfiBuilder& raw(const Bytes& bytes) {
    bytes_ = bytes_ + bytes;
    return *this;
  }
  const Bytes& bytes() const { return bytes_; }

 private:
  uint64_t entry(Bytes body) {
    const uint64_t at = here();
    while ((body.size() + (is_64_ ? 12 : 4)) % 4 != 0) body.push_back(0);
    if (is_64_) bytes_ = bytes_ + fixed(~uint32_t{0}) + fixed(uint64_t{body.size()});
    if (!is_64_) bytes_ = bytes_ + fixed(static_cast<uint32_t>(body.size()));
    bytes_ = bytes_ + body;
    return at;
  }

  uint64_t address_;
  bool is_debug_frame_;
  bool is_64_ = false;
  Bytes bytes_;
};

// .eh_frame_hdr with a table of 4-byte offsets from itself (encoding 0x3b), as ld writes it.
inline Bytes search_table(uint64_t header, uint64_t eh_frame,
                          const std::vector<std::pair<uint64_t, uint64_t>>& pairs) {
  Bytes out{1, 0x1b, 0x03, 0x3b};
  out = out + fixed(static_cast<uint32_t>(eh_frame - (header + 4)));
  out = out + fixed(static_cast<uint32_t>(pairs.size()));
  for (const auto& [begin, fde] : pairs) {
    out = out + fixed(static_cast<uint32_t>(begin - header));
    out = out + fixed(static_cast<uint32_t>(fde - header));
  }
  return out;
}

class MemoryImage {
 public:
  explicit MemoryImage(Architecture architecture = Architecture::kX86_64,
                       unsigned pointer_width = 8) {
    image_.architecture = architecture;
    image_.pointer_width = pointer_width;
  }

  // REQUIRES: ascending addresses.
  std::vector<std::byte>& add(uint64_t base, std::vector<std::byte> bytes, Permissions permissions,
                              ModuleId module = kNone<ModuleId>) {
    Region region;
    region.range = {Address(base), ByteCount(bytes.size())};
    region.permissions = permissions;
    region.module = module;
    region.backing = Backing::kDump;
    memory_.push_back(std::move(bytes));
    region.bytes = memory_.back();
    image_.regions.push_back(region);
    return memory_.back();
  }
  std::vector<std::byte>& code(uint64_t base, size_t size, ModuleId module = kNone<ModuleId>) {
    return add(base, std::vector<std::byte>(size, std::byte{0x90}), {true, false, true}, module);
  }
  // Words of the image's width, in its order.
  std::vector<std::byte>& stack(uint64_t base, const std::vector<uint64_t>& words) {
    std::vector<std::byte> bytes;
    for (const uint64_t word : words) {
      for (unsigned i = 0; i < image_.pointer_width; ++i) {
        const unsigned shift =
            image_.order == ByteOrder::kLittle ? i : image_.pointer_width - 1 - i;
        bytes.push_back(std::byte(word >> (8 * shift)));
      }
    }
    return add(base, std::move(bytes), {true, true, false});
  }
  Module& module(uint64_t base, uint64_t size) {
    Module& module = image_.modules.emplace_back();
    module.range = {Address(base), ByteCount(size)};
    module.segments.push_back({module.range, {true, false, true}, 0, size});
    return module;
  }
  Image& image() { return image_; }

 private:
  Image image_;
  std::deque<std::vector<std::byte>> memory_;
};

}  // namespace residue::testing
