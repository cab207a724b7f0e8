// ChunkDecoder: a stored block of chunks back to columns (format: block_format.h).
//
// The bytes come from a file and are not trusted: every size is checked against what is left and
// against the block's chunk count before memory is reserved. Only the columns asked for are
// unpacked.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "db/chunk_block.h"
#include "db/zstd_frames.h"
#include "formats/base/result.h"

namespace residue {

class ChunkDecoder {
 public:
  // Overwrites `block`, whose memory is used again. `columns`: a mask of the groups in
  // chunk_block.h. Fails with kCorrupt; `block` is then unspecified.
  Result<void> decode(std::span<const std::byte> data, uint32_t columns, ChunkBlock& block);

 private:
  class Header;
  Result<void> decode_places(const Header& header, std::span<const std::byte> frame,
                             ChunkBlock& block);
  Result<void> decode_flags(std::span<const std::byte> frame, ChunkBlock& block);
  template <typename Near, typename Far>
  Result<void> decode_numbers(std::span<const std::byte> frame, uint32_t count, Near&& near,
                              Far&& far);
  Result<void> decode_retained(std::span<const std::byte> frame, ChunkBlock& block);
  Result<void> decode_dominators(const Header& header, std::span<const std::byte> frame,
                                 ChunkBlock& block);
  Result<void> decode_slack(std::span<const std::byte> frame, ChunkBlock& block);
  Result<void> decode_ids(std::span<const std::byte> frame, std::span<const uint32_t> dictionary,
                          uint32_t count, std::vector<uint32_t>& ids);

  FrameUnpacker unpacker_;
  std::vector<uint8_t> raw_;
};

}  // namespace residue
