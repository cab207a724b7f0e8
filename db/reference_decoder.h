// ReferenceDecoder: a stored block of references back to columns (format: reference_format.h).
//
// The bytes come from a file and are not trusted: every size is checked against the limits of a
// block before memory is reserved, every target against the number of chunks.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "db/reference_block.h"
#include "db/reference_format.h"
#include "db/zstd_frames.h"
#include "formats/base/result.h"

namespace residue {

class ReferenceDecoder {
 public:
  // Overwrites `block`, whose memory is used again. `chunks`: of the snapshot, all sources and
  // targets are below it. Fails with kCorrupt; `block` is then unspecified.
  Result<void> decode(std::span<const std::byte> data, uint32_t chunks, ReferenceBlock& block);

 private:
  struct Header;
  using Frames = std::array<std::span<const std::byte>, reference_format::kColumns>;

  Result<void> decode_degrees(const Header& header, std::span<const std::byte> frame,
                              ReferenceBlock& block);
  Result<void> decode_flags(const Frames& frames, ReferenceBlock& block);
  Result<void> decode_bits(std::span<const std::byte> frame, uint8_t value, ReferenceBlock& block);
  Result<void> decode_indexes(const Header& header, std::span<const std::byte> frame,
                              size_t references);
  Result<void> decode_numbers(const Header& header, const Frames& frames);
  Result<void> join(const Header& header, uint32_t chunks, ReferenceBlock& block);

  FrameUnpacker unpacker_;
  std::vector<uint8_t> raw_;
  std::vector<uint8_t> indexes_;
  std::array<std::vector<uint32_t>, reference_format::kModes> numbers_;
};

}  // namespace residue
