#include "formats/identity.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "formats/base/text.h"
#include "formats/base/xxh64.h"

namespace residue {
namespace {

constexpr size_t kPage = 4096;
constexpr size_t kEnds = size_t{64} << 10;  // at the beginning and at the end: headers and stacks

std::string digits(uint64_t sum) {
  std::array<std::byte, 8> bytes{};
  for (size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<std::byte>((sum >> (56 - 8 * i)) & 0xff);
  }
  return hex_bytes(bytes);
}

// REQUIRES: not empty.
bool is_zero(std::span<const std::byte> bytes) {
  // The first is zero, and every other is like the one before it: as fast as memory.
  return bytes[0] == std::byte{0} &&
         std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0;
}

class DumpHash {
 public:
  explicit DumpHash(const MappedFile& file) : bytes_(file.bytes()) {
    holes_.add(file.holes());
    hash_.add_number(bytes_.size());
  }

  // Every page that begins in [from, until), `step` bytes apart. REQUIRES: multiples of kPage.
  void add_pages(size_t from, size_t until, size_t step) {
    until = std::min(until, bytes_.size());
    for (size_t at = from; at < until; at += step) {
      // A hole need not be touched to know what is in it: on to the last page that it holds whole.
      const size_t data = holes_.skip(bytes_, at);
      if (data >= at + kPage) {
        at += (data - at - kPage) / step * step;
        continue;
      }
      const auto page = bytes_.subspan(at, std::min(kPage, bytes_.size() - at));
      if (is_zero(page)) continue;
      hash_.add_number(at);
      hash_.add(page);
    }
  }

  uint64_t sum() const { return hash_.sum(); }

 private:
  std::span<const std::byte> bytes_;
  Holes holes_;
  Xxh64 hash_;
};

constexpr size_t round_up(size_t value) { return (value + kPage - 1) / kPage * kPage; }

}  // namespace

std::string identify_dump(const MappedFile& file) {
  const size_t size = file.bytes().size();
  if (size == 0) return {};
  DumpHash hash(file);
  if (size <= kWholeDump) {
    hash.add_pages(0, size, kPage);
  } else {
    // The last page begins at a multiple of kPage as well.
    const size_t tail = round_up(size - kEnds);
    hash.add_pages(0, kEnds, kPage);
    hash.add_pages(kEnds, tail, round_up((tail - kEnds) / kSampledPages));
    hash.add_pages(tail, size, kPage);
  }
  return digits(hash.sum());
}

std::string identify_process(const Image& image, Address random) {
  std::array<std::byte, 16> bytes{};
  if (image.pid == 0 || image.read(random, bytes) < bytes.size()) return {};
  const auto same = [&bytes](std::byte b) { return b == bytes[0]; };
  if (std::all_of(bytes.begin(), bytes.end(), same)) return {};
  Xxh64 hash;
  hash.add(bytes);
  hash.add_number(image.pid);
  return digits(hash.sum());
}

}  // namespace residue
