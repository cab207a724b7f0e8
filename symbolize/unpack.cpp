#include "symbolize/unpack.h"

#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <cstring>
#include <new>
#include <string>

namespace residue {
namespace {

// The largest debug sections that exist (browsers with full information) stay under this.
constexpr uint64_t kMaxUnpacked = uint64_t{8} << 30;
// Deflate yields at most 1032 bytes for one (RFC 1951: 258 bytes for two bits of a fixed pair of
// codes); zstd yields more for runs, but not for tables of debug information.
constexpr uint64_t kMaxRatio = 2048;
constexpr uint64_t kMaxXzMemory = uint64_t{256} << 20;
constexpr uint64_t kMaxXzUnpacked = uint64_t{512} << 20;

const unsigned char* as_unsigned(const std::byte* bytes) {
  return static_cast<const unsigned char*>(static_cast<const void*>(bytes));
}
unsigned char* as_unsigned(std::byte* bytes) {
  return static_cast<unsigned char*>(static_cast<void*>(bytes));
}

Result<UnpackedBytes> reserve(std::span<const std::byte> packed, uint64_t size) {
  if (size > kMaxUnpacked) {
    return Error{ErrorCode::kUnsupported,
                 "claims to hold " + std::to_string(size) + " bytes, more than is unpacked",
                 {}};
  }
  if (size / kMaxRatio > packed.size()) {
    return Error{ErrorCode::kCorrupt,
                 "claims to hold " + std::to_string(size) + " bytes, which " +
                     std::to_string(packed.size()) + " packed ones cannot yield",
                 {}};
  }
  UnpackedBytes out;
  out.size = static_cast<size_t>(size);
  out.data.reset(new (std::nothrow) std::byte[out.size]);
  if (out.data == nullptr) {
    return Error{ErrorCode::kUnsupported, "no memory for " + std::to_string(size) + " bytes", {}};
  }
  return out;
}

Error wrong_size(uint64_t got, uint64_t wanted) {
  return Error{ErrorCode::kCorrupt,
               "unpacks to " + std::to_string(got) + " bytes instead of " + std::to_string(wanted),
               {}};
}

class Inflater {
 public:
  Inflater() { ready_ = inflateInit(&stream_) == Z_OK; }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;
  ~Inflater() {
    if (ready_) inflateEnd(&stream_);
  }
  bool ready() const { return ready_; }

  // Linkers that join compressed sections leave several streams behind one another. Returns how
  // many bytes of `out` were filled.
  uint64_t run(std::span<const std::byte> packed, std::span<std::byte> out) {
    size_t read = 0;
    size_t written = 0;
    int status = Z_OK;
    while (written < out.size() && (status == Z_OK || status == Z_STREAM_END)) {
      if (status == Z_STREAM_END && inflateReset(&stream_) != Z_OK) break;
      const auto in_part = static_cast<uInt>(std::min<size_t>(packed.size() - read, kPart));
      const auto out_part = static_cast<uInt>(std::min<size_t>(out.size() - written, kPart));
      if (in_part == 0) break;
      stream_.next_in = const_cast<Bytef*>(as_unsigned(packed.data() + read));
      stream_.avail_in = in_part;
      stream_.next_out = as_unsigned(out.data() + written);
      stream_.avail_out = out_part;
      status = inflate(&stream_, Z_NO_FLUSH);
      read += in_part - stream_.avail_in;
      written += out_part - stream_.avail_out;
    }
    return written;
  }

 private:
  static constexpr size_t kPart = size_t{1} << 30;
  z_stream stream_{};
  bool ready_ = false;
};

}  // namespace

Result<UnpackedBytes> unpack_zlib(std::span<const std::byte> packed, uint64_t size) {
  RESIDUE_ASSIGN(UnpackedBytes out, reserve(packed, size));
  Inflater inflater;
  if (!inflater.ready()) return Error{ErrorCode::kInternal, "zlib does not start", {}};
  const uint64_t got = inflater.run(packed, {out.data.get(), out.size});
  if (got != size) return wrong_size(got, size);
  return out;
}

Result<UnpackedBytes> unpack_zstd(std::span<const std::byte> packed, uint64_t size) {
  RESIDUE_ASSIGN(UnpackedBytes out, reserve(packed, size));
  const size_t got = ZSTD_decompress(out.data.get(), out.size, packed.data(), packed.size());
  if (ZSTD_isError(got) != 0) {
    return Error{ErrorCode::kCorrupt, std::string("zstd: ").append(ZSTD_getErrorName(got)), {}};
  }
  if (got != size) return wrong_size(got, size);
  return out;
}

Result<UnpackedBytes> unpack_xz(std::span<const std::byte> packed) {
  lzma_stream stream = LZMA_STREAM_INIT;
  if (lzma_stream_decoder(&stream, kMaxXzMemory, 0) != LZMA_OK) {
    return Error{ErrorCode::kInternal, "liblzma does not start", {}};
  }
  const std::unique_ptr<lzma_stream, void (*)(lzma_stream*)> guard(&stream, lzma_end);
  stream.next_in = as_unsigned(packed.data());
  stream.avail_in = packed.size();
  const uint64_t limit = std::min(kMaxXzUnpacked, packed.size() * kMaxRatio);
  UnpackedBytes out;
  size_t room = std::min<size_t>(limit, packed.size() * 8 + 4096);
  lzma_ret status = LZMA_OK;
  while (status == LZMA_OK) {
    std::unique_ptr<std::byte[]> larger(new (std::nothrow) std::byte[room]);
    if (larger == nullptr) return Error{ErrorCode::kUnsupported, "no memory to unpack it", {}};
    if (out.size > 0) std::memcpy(larger.get(), out.data.get(), out.size);
    out.data = std::move(larger);
    stream.next_out = as_unsigned(out.data.get() + out.size);
    stream.avail_out = room - out.size;
    status = lzma_code(&stream, LZMA_FINISH);
    out.size = room - stream.avail_out;
    if (status != LZMA_OK) break;
    if (room == limit) {
      return Error{
          ErrorCode::kUnsupported, "unpacks to more than " + std::to_string(limit) + " bytes", {}};
    }
    room = std::min<size_t>(limit, room * 2);
  }
  if (status != LZMA_STREAM_END) {
    return Error{
        ErrorCode::kCorrupt, "xz data is damaged (liblzma " + std::to_string(status) + ")", {}};
  }
  return out;
}

}  // namespace residue
