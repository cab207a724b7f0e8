// Any bytes as a compressed file: every decoder and the loop over frames.
//
// Nothing is written: unpack_head() stops at its limit, so that an input which unpacks to gigabytes
// costs no more than another. Laws: what a smaller limit gives is the beginning of what a larger
// one gives; a packing is found exactly if one of its frames begins the file.
#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "formats/packed/unpack.h"

namespace residue {
namespace {

constexpr size_t kMaxInput = size_t{64} << 10;
constexpr size_t kSmall = 1000, kLarge = size_t{3} << 20;

void require(bool holds, const char* law) {
  if (holds) return;
  std::fprintf(stderr, "broken law: %s\n", law);
  std::abort();
}

void check(std::span<const std::byte> input) {
  const packed::Packing* packing = packed::find_packing(input);
  if (packing == nullptr) return;
  require(packing->starts_frame(input) || packed::skippable_frame(input) != 0,
          "a packing is known by its first frame");
  (void)packing->announced_size(input);
  const auto large = packed::unpack_head(input, *packing, kLarge);
  const auto small = packed::unpack_head(input, *packing, kSmall);
  require(large.size() <= kLarge && small.size() == std::min(large.size(), kSmall),
          "the limit is kept");
  require(std::equal(small.begin(), small.end(), large.begin()), "unpacking is repeatable");
}

}  // namespace
}  // namespace residue

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size <= residue::kMaxInput) residue::check(std::as_bytes(std::span(data, size)));
  return 0;
}
