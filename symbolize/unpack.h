// Unpacking of compressed ELF sections and of .gnu_debugdata, into memory, with bounds.
//
// A section's header says how large the contents are; nothing is reserved before that claim has
// been held against what the packed bytes can possibly yield and against an absolute limit, so that
// a file of a few kilobytes cannot ask for terabytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "formats/base/result.h"

namespace residue {

// Bytes on the heap, not zeroed before they are filled.
struct UnpackedBytes {
  std::unique_ptr<std::byte[]> data;
  size_t size = 0;
  std::span<const std::byte> bytes() const { return {data.get(), size}; }
};

// Each fails with kCorrupt if the packed bytes are damaged, do not yield exactly `size` bytes, or
// cannot yield that many; with kUnsupported if `size` is beyond what is unpacked at all.
Result<UnpackedBytes> unpack_zlib(std::span<const std::byte> packed, uint64_t size);
Result<UnpackedBytes> unpack_zstd(std::span<const std::byte> packed, uint64_t size);

// An .xz stream, whose size is known only at its end.
Result<UnpackedBytes> unpack_xz(std::span<const std::byte> packed);

}  // namespace residue
