// LZ4 through liblz4: the frame format (lz4_Frame_format.md 1.6.2, what systemd-coredump and the
// lz4 tool write), and the legacy frames that came before it and that the Linux kernel's build
// still writes (`lz4 -l`): a magic number, then blocks, each a 32-bit size and that many bytes that
// unpack to at most 8 MiB. A legacy frame ends where the file does, or where a size is the magic
// number of another frame.
#include <lz4.h>
#include <lz4frame.h>

#include <algorithm>
#include <vector>

#include "formats/base/byte_cursor.h"
#include "formats/packed/decoder.h"

namespace residue::packed {
namespace {

constexpr uint8_t kMagic[] = {0x04, 0x22, 0x4d, 0x18};
constexpr uint8_t kLegacyMagic[] = {0x02, 0x21, 0x4c, 0x18};
constexpr size_t kLegacyBlock = size_t{8} << 20;
constexpr size_t kLengthField = 4;
constexpr size_t kFirstBytes = 7;  // the smallest header of a frame

bool starts(std::span<const std::byte> bytes) {
  return begins_with(bytes, kMagic) || begins_with(bytes, kLegacyMagic);
}

class LegacyFrame {
 public:
  void begin() {
    in_magic_ = true;
    block_.clear();
    drained_ = 0;
  }

  Result<void> drain(std::span<const std::byte> in, std::span<std::byte> out, Step* step) {
    if (in_magic_) {
      step->read = sizeof kLegacyMagic;
      in_magic_ = false;
    }
    if (drained_ == block_.size()) RESIDUE_TRY(next_block(in, step));
    if (step->where == Step::Where::kAtEnd) return {};
    step->written = std::min(out.size(), block_.size() - drained_);
    std::copy_n(block_.begin() + static_cast<ptrdiff_t>(drained_), step->written, out.begin());
    drained_ += step->written;
    step->where = drained_ == block_.size() ? Step::Where::kMayEnd : Step::Where::kInside;
    return {};
  }

 private:
  Result<void> next_block(std::span<const std::byte> in, Step* step) {
    const auto rest = in.subspan(step->read);
    if (starts(rest) || skippable_frame(rest) != 0) {
      step->where = Step::Where::kAtEnd;
      return {};
    }
    if (rest.size() < kLengthField) return {};
    const uint64_t packed = load<uint32_t>(rest);
    if (packed > LZ4_COMPRESSBOUND(kLegacyBlock)) {
      return Error{ErrorCode::kCorrupt, "a block of " + std::to_string(packed) + " bytes", {}};
    }
    if (rest.size() - kLengthField < packed) return {};
    const auto block = rest.subspan(kLengthField, packed);
    block_.resize(kLegacyBlock);
    drained_ = 0;
    const int n =
        LZ4_decompress_safe(static_cast<const char*>(static_cast<const void*>(block.data())),
                            static_cast<char*>(static_cast<void*>(block_.data())),
                            static_cast<int>(block.size()), static_cast<int>(block_.size()));
    block_.resize(static_cast<size_t>(std::max(n, 0)));
    if (n < 0) return Error{ErrorCode::kCorrupt, "a block cannot be decoded", {}};
    step->read += kLengthField + packed;
    return {};
  }

  bool in_magic_ = true;
  std::vector<std::byte> block_;
  size_t drained_ = 0;
};

class Lz4Decoder final : public Decoder {
 public:
  Lz4Decoder() = default;
  Lz4Decoder(const Lz4Decoder&) = delete;
  Lz4Decoder& operator=(const Lz4Decoder&) = delete;
  ~Lz4Decoder() override { LZ4F_freeDecompressionContext(context_); }

  Result<void> begin() override {
    at_start_ = true;
    if (context_ == nullptr &&
        LZ4F_isError(LZ4F_createDecompressionContext(&context_, LZ4F_VERSION)) != 0) {
      return Error{ErrorCode::kInternal, "out of memory", {}};
    }
    LZ4F_resetDecompressionContext(context_);
    wanted_ = kFirstBytes;
    return {};
  }

  Result<void> drain(std::span<const std::byte> in, std::span<std::byte> out, Step* step) override {
    if (at_start_) {
      legacy_ = begins_with(in, kLegacyMagic);
      legacy_frame_.begin();
      at_start_ = false;
    }
    if (legacy_) return legacy_frame_.drain(in, out, step);
    // As much as the library says it takes to the end of the next block: what a call that fails has
    // written cannot be told, and this way only the damaged block is lost.
    step->read = std::min(in.size(), wanted_);
    step->written = out.size();
    const size_t code =
        LZ4F_decompress(context_, out.data(), &step->written, in.data(), &step->read, nullptr);
    if (LZ4F_isError(code) != 0) {
      // The library leaves the two sizes as they were given.
      step->read = step->written = 0;
      return Error{ErrorCode::kCorrupt, LZ4F_getErrorName(code), {}};
    }
    wanted_ = std::max<size_t>(code, 1);
    step->where = code == 0 ? Step::Where::kAtEnd : Step::Where::kInside;
    return {};
  }

 private:
  LZ4F_dctx* context_ = nullptr;
  LegacyFrame legacy_frame_;
  size_t wanted_ = 0;
  bool at_start_ = true;
  bool legacy_ = false;
};

// The size is in the frame's descriptor if its flag says so.
std::optional<uint64_t> size_of(std::span<const std::byte> file) {
  constexpr size_t kFlags = 4, kSize = 6, kHasSize = 8;
  if (!begins_with(file, kMagic) || file.size() < kSize + 8) return std::nullopt;
  if ((std::to_integer<unsigned>(file[kFlags]) & kHasSize) == 0) return std::nullopt;
  return load<uint64_t>(file.subspan(kSize));
}

}  // namespace

const Packing kLz4 = {"lz4", starts,
                      []() -> std::unique_ptr<Decoder> { return std::make_unique<Lz4Decoder>(); },
                      size_of};

}  // namespace residue::packed
