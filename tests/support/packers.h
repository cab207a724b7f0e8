// Every kind of compression that a dump may come in, made by the libraries' own compressors.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace residue::testing {

struct Packer {
  const char* name;     // "ZstdSized": for names of tests
  const char* packing;  // "zstd": what residue calls it
  std::vector<std::byte> (*pack)(std::span<const std::byte> bytes);
  bool checked = true;  // a checksum covers the content
  bool sized = false;   // the header or the index says how much is inside
  bool has_end = true;  // frames have an end mark
};

std::span<const Packer> packers();
const Packer& packer(const std::string& name);

// `bytes` in `count` frames, one behind the other, with `between` after each but the last.
std::vector<std::byte> pack_in_frames(const Packer& packer, std::span<const std::byte> bytes,
                                      size_t count, std::span<const std::byte> between = {});

// A frame for foreign data of zstd and lz4 (magic 0x184d2a50, size, content).
std::vector<std::byte> skippable_frame(size_t content);

// Bytes that do not compress.
std::vector<std::byte> noise(size_t size, uint64_t seed);

}  // namespace residue::testing
