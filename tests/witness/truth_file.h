// Reads what malloc_witness wrote (truth.h describes the format).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace witness {

struct Range {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

struct Block {
  std::uint64_t address = 0;
  std::uint64_t requested = 0;
  std::uint64_t usable = 0;  // malloc_usable_size's
  bool planted = false;
};

struct Truth {
  Range table;                // the witness's own memory
  std::vector<Block> blocks;  // sorted by address
};

// Throws std::runtime_error when the file cannot be read, is malformed or is cut short.
Truth read_truth(const std::string& path);

}  // namespace witness
