// CfiBytes: the bytes that call frame information is read from, by address in the process.
//
// Two kinds: the process's memory as the Image knows it (the dump's pages, or those of matching
// files), and one section of a file, placed where the module lies. Spans live as long as the
// CfiBytes. Thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <span>
#include <vector>

#include "formats/image.h"

namespace residue {

class CfiBytes {
 public:
  // REQUIRES: the Image, or the section's bytes, outlive this.
  explicit CfiBytes(const Image& image) : image_(&image) {}
  CfiBytes(std::span<const std::byte> section, uint64_t address)
      : section_(section), address_(address) {}
  CfiBytes(const CfiBytes&) = delete;
  CfiBytes& operator=(const CfiBytes&) = delete;

  // The bytes from `address` on, at most `n`.
  std::span<const std::byte> view(uint64_t address, uint64_t n) const;

 private:
  const Image* image_ = nullptr;
  std::span<const std::byte> section_;
  uint64_t address_ = 0;
  // Entries that lie across regions whose bytes are apart.
  mutable std::mutex mutex_;
  mutable std::deque<std::vector<std::byte>> copies_;
  mutable uint64_t copied_ = 0;
};

}  // namespace residue
