// ReferenceEncoder: blocks of references to their stored form (format: reference_format.h).
//
// Each thread needs one of its own. Cost: about 20 ns a reference, a third of it zstd's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "db/reference_block.h"
#include "db/reference_format.h"
#include "db/zstd_frames.h"
#include "formats/base/result.h"

namespace residue {

struct EncodedReferences {
  uint32_t lowest_target = 0, highest_target = 0;  // ids of chunks; both 0 if there are none
  std::vector<std::byte> data;
};

class ReferenceEncoder {
 public:
  // REQUIRES: no more sources and references than a block may have. Fails with kInternal (zstd).
  Result<EncodedReferences> encode(const ReferenceBlock& block);

 private:
  static constexpr unsigned kTableBits = 13;

  // A value that a hash table of the block's most frequent targets holds, if `count` is not 0.
  struct Slot {
    uint32_t target = 0;
    uint32_t count = 0;  // while counting; then its index in the dictionary and one more
  };

  Slot& slot_of(uint32_t target) {
    return table_[target * uint32_t{2654435761} >> (32 - kTableBits)];
  }
  void choose_dictionary(const ReferenceBlock& block);
  void choose_modes(const ReferenceBlock& block);
  template <typename F>
  void for_each_number(const ReferenceBlock& block, F&& f);
  void split(const ReferenceBlock& block);
  void write_header(const ReferenceBlock& block);
  Result<void> append_column(reference_format::StoredColumn column, std::span<const uint8_t> raw);
  Result<void> append_degrees(const ReferenceBlock& block);
  Result<void> append_bits(const ReferenceBlock& block, reference_format::StoredColumn column,
                           uint8_t mask, uint8_t value);
  Result<void> append_numbers();

  FramePacker packer_;
  std::vector<Slot> table_;
  std::vector<uint32_t> dictionary_;
  std::vector<uint8_t> modes_;  // by context
  std::vector<uint8_t> indexes_;
  std::array<std::vector<uint32_t>, reference_format::kModes> numbers_;
  std::array<size_t, reference_format::kColumns> sizes_{};
  std::vector<uint8_t> raw_;     // a column before compression
  std::vector<uint8_t> header_;  // before compression
  std::vector<std::byte> columns_;
};

}  // namespace residue
