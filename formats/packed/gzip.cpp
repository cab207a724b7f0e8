// gzip (RFC 1952) through zlib.
#include <zlib.h>

#include <algorithm>
#include <limits>

#include "formats/base/byte_cursor.h"
#include "formats/packed/decoder.h"

namespace residue::packed {
namespace {

// ID1, ID2, and CM: deflate is the only method there is.
constexpr uint8_t kMagic[] = {0x1f, 0x8b, 8};
constexpr int kWindowBits = 15, kGzipOnly = 16;  // arguments of inflateInit2
constexpr size_t kTrailer = 8, kSizeField = 4;

class GzipDecoder final : public Decoder {
 public:
  GzipDecoder() = default;
  GzipDecoder(const GzipDecoder&) = delete;
  GzipDecoder& operator=(const GzipDecoder&) = delete;
  ~GzipDecoder() override { inflateEnd(&stream_); }

  Result<void> begin() override {
    const int code = stream_.state == nullptr ? inflateInit2(&stream_, kWindowBits + kGzipOnly)
                                              : inflateReset(&stream_);
    if (code != Z_OK) return Error{ErrorCode::kInternal, "out of memory", {}};
    return {};
  }

  Result<void> drain(std::span<const std::byte> in, std::span<std::byte> out, Step* step) override {
    constexpr size_t kMost = std::numeric_limits<uInt>::max();
    const auto in_size = static_cast<uInt>(std::min(in.size(), kMost));
    const auto out_size = static_cast<uInt>(std::min(out.size(), kMost));
    // zlib reads only, but its type does not say so.
    stream_.next_in = static_cast<Bytef*>(const_cast<void*>(static_cast<const void*>(in.data())));
    stream_.avail_in = in_size;
    stream_.next_out = static_cast<Bytef*>(static_cast<void*>(out.data()));
    stream_.avail_out = out_size;
    const int code = inflate(&stream_, Z_NO_FLUSH);
    step->read = in_size - stream_.avail_in;
    step->written = out_size - stream_.avail_out;
    switch (code) {
      case Z_STREAM_END:
        step->where = Step::Where::kAtEnd;
        return {};
      case Z_OK:
      case Z_BUF_ERROR:  // no progress: more input is wanted
        return {};
      case Z_MEM_ERROR:
        return Error{ErrorCode::kInternal, "out of memory", {}};
      default:
        return Error{ErrorCode::kCorrupt,
                     stream_.msg != nullptr ? stream_.msg : "the compressed data is corrupt",
                     {}};
    }
  }

 private:
  z_stream stream_ = {};
};

// The last member's size modulo 2^32 ends the file: at least so much.
std::optional<uint64_t> size_of(std::span<const std::byte> file) {
  if (file.size() < sizeof kMagic + kTrailer) return std::nullopt;
  return load<uint32_t>(file.last(kSizeField));
}

}  // namespace

const Packing kGzip = {
    "gzip", [](std::span<const std::byte> bytes) { return begins_with(bytes, kMagic); },
    []() -> std::unique_ptr<Decoder> { return std::make_unique<GzipDecoder>(); }, size_of};

}  // namespace residue::packed
