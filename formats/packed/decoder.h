// Decoder: the seam between the unpacker and the compression libraries.
//
// One decoder unpacks one frame (zstd and lz4 say frame, xz and bzip2 stream, gzip member) at a
// time; what stands between frames is the unpacker's affair. Memory is bounded by the decoder,
// whatever the frame asks for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "formats/base/result.h"

namespace residue::packed {

// What one call of Decoder::drain() did.
struct Step {
  enum class Where : uint8_t {
    kInside,  // more of this frame must follow
    kMayEnd,  // the frame may end here if the file does (lz4's legacy frames have no end mark)
    kAtEnd,   // the frame is whole and was checked; the rest of the input was not touched
  };
  size_t read = 0;     // bytes used up from the front of the input
  size_t written = 0;  // bytes put to the front of the output
  Where where = Where::kInside;
};

class Decoder {
 public:
  Decoder() = default;
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;
  virtual ~Decoder() = default;

  // Begins a new frame; what was left of the one before is forgotten.
  virtual Result<void> begin() = 0;

  // Unpacks from `in`, the bytes of the file from where the last call stopped, into `out`. A call
  // that neither reads nor writes wants more input than there is. After an error `written` bytes of
  // `out` are good all the same: hence a Step to fill in, and an error beside it.
  // REQUIRES: begin() was called; `out` is not empty; `in` holds at least kMinInput bytes unless
  // the file has no more.
  static constexpr size_t kMinInput = size_t{16} << 20;
  virtual Result<void> drain(std::span<const std::byte> in, std::span<std::byte> out,
                             Step* step) = 0;
};

// A kind of compression, as constants and functions on the bytes of a whole file.
struct Packing {
  const char* name;  // "zstd": for messages, and the tool that unpacks it by hand
  // Whether a frame begins here, by its magic bytes.
  bool (*starts_frame)(std::span<const std::byte> bytes);
  std::unique_ptr<Decoder> (*make_decoder)();
  // What the file says of its unpacked size, at least: of its first frame, or of all of them where
  // there is an index. Nothing if it does not say. Only a hint: the file may lie.
  std::optional<uint64_t> (*announced_size)(std::span<const std::byte> file);
};

// One in each of zstd.cpp, lz4.cpp, xz.cpp, gzip.cpp, bzip2.cpp.
extern const Packing kZstd, kLz4, kXz, kGzip, kBzip2;

// zstd and lz4 share a frame for foreign data, to be skipped (magic 0x184d2a50 to 5f, a 32-bit
// size, both little-endian): its size with that header, or 0 if none begins here. May be more than
// there are bytes. Sources: RFC 8878 3.1.2; lz4_Frame_format.md 1.6.
uint64_t skippable_frame(std::span<const std::byte> bytes);

// The packing of a file by its first bytes, behind frames to be skipped; null if it is none.
const Packing* find_packing(std::span<const std::byte> file);

// Whether `bytes` begin with `magic`.
bool begins_with(std::span<const std::byte> bytes, std::span<const uint8_t> magic);

}  // namespace residue::packed
