// Frames: columns as zstd frames with their size and a checksum, so that a flipped bit is an error
// rather than other numbers. What the stored blocks of chunks and of references are made of.
#pragma once

#include <zstd.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "formats/base/result.h"

namespace residue {

// The error of stored bytes that are not what they should be.
Error corrupt_block(std::string what);

class FramePacker {
 public:
  FramePacker();
  // Appends the frame of `raw` to `out` and returns its size. Fails with kInternal.
  Result<size_t> append(std::span<const uint8_t> raw, std::vector<std::byte>& out);

 private:
  std::unique_ptr<ZSTD_CCtx, size_t (*)(ZSTD_CCtx*)> zstd_;
};

class FrameUnpacker {
 public:
  FrameUnpacker();
  // `raw` becomes what the frame holds, which must be `size` bytes: the caller bounds it. Fails
  // with kCorrupt.
  Result<void> unpack(std::span<const std::byte> frame, size_t size, std::vector<uint8_t>& raw);
  // The same for a frame of at most `limit` bytes and at least `least`.
  Result<void> unpack_any(std::span<const std::byte> frame, size_t least, size_t limit,
                          std::vector<uint8_t>& raw);

 private:
  std::unique_ptr<ZSTD_DCtx, size_t (*)(ZSTD_DCtx*)> zstd_;
};

}  // namespace residue
