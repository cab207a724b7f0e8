#include <algorithm>
#include <array>

#include "formats/base/byte_cursor.h"
#include "formats/packed/decoder.h"

namespace residue::packed {
namespace {

constexpr uint32_t kSkippableMagic = 0x184d2a50, kSkippableMask = 0xfffffff0;
constexpr size_t kSkippableHeader = 8;
// Frames to be skipped before the first real one. pzstd writes one before each frame; a file of
// nothing but such frames is no reason to look at all of them.
constexpr unsigned kMaxSkipped = 1000;

}  // namespace

bool begins_with(std::span<const std::byte> bytes, std::span<const uint8_t> magic) {
  return bytes.size() >= magic.size() &&
         std::equal(magic.begin(), magic.end(), bytes.begin(),
                    [](uint8_t a, std::byte b) { return std::byte{a} == b; });
}

uint64_t skippable_frame(std::span<const std::byte> bytes) {
  if (bytes.size() < sizeof(uint32_t)) return 0;
  if ((load<uint32_t>(bytes) & kSkippableMask) != kSkippableMagic) return 0;
  if (bytes.size() < kSkippableHeader) return kSkippableHeader;
  return kSkippableHeader + uint64_t{load<uint32_t>(bytes.subspan(4))};
}

const Packing* find_packing(std::span<const std::byte> file) {
  static constexpr std::array<const Packing*, 5> kAll = {&kZstd, &kLz4, &kXz, &kGzip, &kBzip2};
  for (unsigned n = 0; n < kMaxSkipped; ++n) {
    for (const Packing* packing : kAll) {
      if (packing->starts_frame(file)) return packing;
    }
    const uint64_t skip = skippable_frame(file);
    // Only such frames, as far as one can see: whichever of the two it is, there is nothing inside.
    if (skip >= file.size()) return skip == 0 ? nullptr : &kZstd;
    if (skip == 0) return nullptr;
    file = file.subspan(skip);
  }
  return nullptr;
}

}  // namespace residue::packed
