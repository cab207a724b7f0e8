// Unpacking of compressed dumps: from the mapped compressed file to a mapped temporary one.
//
// See docs/formats/compressed.md. Memory is bounded by the decoders' windows; disk space by what
// the file system has to spare. What is damaged is unpacked as far as it goes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "formats/base/diagnostics.h"
#include "formats/base/mapped_file.h"
#include "formats/base/result.h"
#include "formats/packed/decoder.h"

namespace residue {

// Called now and then with how many bytes of the compressed file have been read, of how many.
using UnpackProgress = std::function<void(uint64_t done, uint64_t total)>;

namespace packed {

// The first bytes of what is inside, at most `limit`, without a file. Fewer if there are no more or
// the data is damaged.
std::vector<std::byte> unpack_head(std::span<const std::byte> packed, const Packing& packing,
                                   size_t limit);

struct Unpacked {
  MappedFile file;       // its path is that of the compressed file
  bool complete = true;  // false: cut or damaged, and reported as such
};

// Fails with kNoSpace if there is not enough room, and with the damage itself if nothing at all
// came out.
Result<Unpacked> unpack(const MappedFile& packed, const Packing& packing,
                        const UnpackProgress& progress, Diagnostics& diagnostics);

}  // namespace packed
}  // namespace residue
