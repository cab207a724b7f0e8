// Zstandard (RFC 8878) through libzstd.
//
// systemd-coredump streams into its files, so their headers hold no size; the zstd tool, given a
// file, writes one.
#include <zstd.h>
#include <zstd_errors.h>

#include <algorithm>

#include "formats/packed/decoder.h"

namespace residue::packed {
namespace {

constexpr uint8_t kMagic[] = {0x28, 0xb5, 0x2f, 0xfd};
// The most history a frame may ask for: 128 MiB, what the zstd tool allows without --long.
constexpr int kMaxWindowLog = 27;
// Bytes of a frame that the library wants to see first (RFC 8878 3.1.1: magic and descriptor).
constexpr size_t kFirstBytes = 5;

Error failed(size_t code) {
  std::string message = ZSTD_getErrorName(code);
  if (ZSTD_getErrorCode(code) == ZSTD_error_frameParameter_windowTooLarge) {
    message += " (more than 128 MiB: unpack it with 'zstd -d --long=31')";
  }
  return Error{ErrorCode::kCorrupt, std::move(message), {}};
}

class ZstdDecoder final : public Decoder {
 public:
  ZstdDecoder() : context_(ZSTD_createDCtx()) {}
  ZstdDecoder(const ZstdDecoder&) = delete;
  ZstdDecoder& operator=(const ZstdDecoder&) = delete;
  ~ZstdDecoder() override { ZSTD_freeDCtx(context_); }

  Result<void> begin() override {
    if (context_ == nullptr) return Error{ErrorCode::kInternal, "out of memory", {}};
    ZSTD_DCtx_reset(context_, ZSTD_reset_session_only);
    ZSTD_DCtx_setParameter(context_, ZSTD_d_windowLogMax, kMaxWindowLog);
    wanted_ = kFirstBytes;
    return {};
  }

  Result<void> drain(std::span<const std::byte> in, std::span<std::byte> out, Step* step) override {
    // The library says how much it takes to the end of the next block. It forgets what a call that
    // fails has written, so it gets no more than that: then only the damaged block is lost.
    ZSTD_inBuffer input{in.data(), std::min(in.size(), wanted_), 0};
    ZSTD_outBuffer output{out.data(), out.size(), 0};
    const size_t code = ZSTD_decompressStream(context_, &output, &input);
    step->read = input.pos;
    step->written = output.pos;
    if (ZSTD_isError(code) != 0) return failed(code);
    wanted_ = std::max<size_t>(code, 1);
    step->where = code == 0 ? Step::Where::kAtEnd : Step::Where::kInside;
    return {};
  }

 private:
  ZSTD_DCtx* context_;
  size_t wanted_ = 0;
};

std::optional<uint64_t> size_of(std::span<const std::byte> file) {
  for (uint64_t skip = skippable_frame(file); skip != 0 && skip < file.size();
       skip = skippable_frame(file)) {
    file = file.subspan(skip);
  }
  const unsigned long long size = ZSTD_getFrameContentSize(file.data(), file.size());
  if (size == ZSTD_CONTENTSIZE_UNKNOWN || size == ZSTD_CONTENTSIZE_ERROR) return std::nullopt;
  return size;
}

}  // namespace

const Packing kZstd = {
    "zstd", [](std::span<const std::byte> bytes) { return begins_with(bytes, kMagic); },
    []() -> std::unique_ptr<Decoder> { return std::make_unique<ZstdDecoder>(); }, size_of};

}  // namespace residue::packed
