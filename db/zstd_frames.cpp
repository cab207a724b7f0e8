#include "db/zstd_frames.h"

#include <string>

namespace residue {
namespace {

// Level 1: level 3 takes twice the time for a few per cent less.
constexpr int kZstdLevel = 1;

}  // namespace

Error corrupt_block(std::string what) { return {ErrorCode::kCorrupt, std::move(what), {}}; }

FramePacker::FramePacker() : zstd_(ZSTD_createCCtx(), ZSTD_freeCCtx) {
  ZSTD_CCtx_setParameter(zstd_.get(), ZSTD_c_compressionLevel, kZstdLevel);
  ZSTD_CCtx_setParameter(zstd_.get(), ZSTD_c_checksumFlag, 1);
}

Result<size_t> FramePacker::append(std::span<const uint8_t> raw, std::vector<std::byte>& out) {
  const size_t start = out.size();
  out.resize(start + ZSTD_compressBound(raw.size()));
  const size_t size =
      ZSTD_compress2(zstd_.get(), out.data() + start, out.size() - start, raw.data(), raw.size());
  if (ZSTD_isError(size) != 0) {
    return Error{ErrorCode::kInternal, std::string("zstd: ") + ZSTD_getErrorName(size), {}};
  }
  out.resize(start + size);
  return size;
}

FrameUnpacker::FrameUnpacker() : zstd_(ZSTD_createDCtx(), ZSTD_freeDCtx) {}

Result<void> FrameUnpacker::unpack(std::span<const std::byte> frame, size_t size,
                                   std::vector<uint8_t>& raw) {
  if (ZSTD_getFrameContentSize(frame.data(), frame.size()) != size) {
    return corrupt_block("a column has the wrong size");
  }
  raw.resize(size);
  const size_t got =
      ZSTD_decompressDCtx(zstd_.get(), raw.data(), raw.size(), frame.data(), frame.size());
  if (ZSTD_isError(got) != 0) return corrupt_block(std::string("zstd: ") + ZSTD_getErrorName(got));
  if (got != size) return corrupt_block("a column has the wrong size");
  return {};
}

Result<void> FrameUnpacker::unpack_any(std::span<const std::byte> frame, size_t least, size_t limit,
                                       std::vector<uint8_t>& raw) {
  const auto size = ZSTD_getFrameContentSize(frame.data(), frame.size());
  // ZSTD_CONTENTSIZE_UNKNOWN and _ERROR are the two largest values.
  if (size < least || size > limit) return corrupt_block("a column has a senseless size");
  return unpack(frame, static_cast<size_t>(size), raw);
}

}  // namespace residue
