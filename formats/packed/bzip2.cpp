// bzip2 through libbz2. There is no specification but the program (1.0.8 read here): "BZh", a digit
// for the block size, then a 48-bit magic number of a block or of the end of the stream.
#include <bzlib.h>

#include <algorithm>
#include <limits>

#include "formats/packed/decoder.h"

namespace residue::packed {
namespace {

constexpr uint8_t kMagic[] = {'B', 'Z', 'h'};
constexpr uint8_t kBlock[] = {0x31, 0x41, 0x59, 0x26, 0x53, 0x59};
constexpr uint8_t kEnd[] = {0x17, 0x72, 0x45, 0x38, 0x50, 0x90};
constexpr size_t kHeader = 4;

bool starts(std::span<const std::byte> bytes) {
  if (!begins_with(bytes, kMagic) || bytes.size() < kHeader) return false;
  const auto digit = std::to_integer<char>(bytes[sizeof kMagic]);
  if (digit < '1' || digit > '9') return false;
  // What follows tells a dump from a text that begins like this; of a cut file, as far as it goes.
  const auto next = bytes.subspan(kHeader, std::min(sizeof kBlock, bytes.size() - kHeader));
  return begins_with(next, std::span(kBlock).first(next.size())) ||
         begins_with(next, std::span(kEnd).first(next.size()));
}

class Bzip2Decoder final : public Decoder {
 public:
  Bzip2Decoder() = default;
  Bzip2Decoder(const Bzip2Decoder&) = delete;
  Bzip2Decoder& operator=(const Bzip2Decoder&) = delete;
  ~Bzip2Decoder() override { BZ2_bzDecompressEnd(&stream_); }

  Result<void> begin() override {
    if (stream_.state != nullptr) BZ2_bzDecompressEnd(&stream_);
    stream_ = {};
    if (BZ2_bzDecompressInit(&stream_, 0, 0) != BZ_OK) {
      return Error{ErrorCode::kInternal, "out of memory", {}};
    }
    return {};
  }

  Result<void> drain(std::span<const std::byte> in, std::span<std::byte> out, Step* step) override {
    constexpr size_t kMost = std::numeric_limits<unsigned>::max();
    const auto in_size = static_cast<unsigned>(std::min(in.size(), kMost));
    const auto out_size = static_cast<unsigned>(std::min(out.size(), kMost));
    // libbz2 reads only, but its type does not say so.
    stream_.next_in = static_cast<char*>(const_cast<void*>(static_cast<const void*>(in.data())));
    stream_.avail_in = in_size;
    stream_.next_out = static_cast<char*>(static_cast<void*>(out.data()));
    stream_.avail_out = out_size;
    const int code = BZ2_bzDecompress(&stream_);
    step->read = in_size - stream_.avail_in;
    step->written = out_size - stream_.avail_out;
    switch (code) {
      case BZ_STREAM_END:
        step->where = Step::Where::kAtEnd;
        return {};
      case BZ_OK:
        return {};
      case BZ_MEM_ERROR:
        return Error{ErrorCode::kInternal, "out of memory", {}};
      case BZ_DATA_ERROR:
        return Error{ErrorCode::kCorrupt, "a checksum or the compressed data is wrong", {}};
      case BZ_DATA_ERROR_MAGIC:
        return Error{ErrorCode::kCorrupt, "no header of a bzip2 stream", {}};
      default:
        return Error{ErrorCode::kCorrupt, "error " + std::to_string(code) + " of libbz2", {}};
    }
  }

 private:
  bz_stream stream_ = {};
};

std::optional<uint64_t> size_of(std::span<const std::byte> /*file*/) { return std::nullopt; }

}  // namespace

const Packing kBzip2 = {
    "bzip2", starts, []() -> std::unique_ptr<Decoder> { return std::make_unique<Bzip2Decoder>(); },
    size_of};

}  // namespace residue::packed
