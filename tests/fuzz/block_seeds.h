// Seeds for the fuzz targets of stored blocks, made by the encoders.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace residue::testing {

struct BlockSeed {
  std::string target;  // 'fuzz_chunk_block', …
  std::string name;
  std::vector<std::byte> bytes;
};

std::vector<BlockSeed> block_seeds();

}  // namespace residue::testing
