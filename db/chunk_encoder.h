// ChunkEncoder: the chunks of a snapshot to stored blocks (format: block_format.h), one pass in id
// order.
//
// REQUIRES: the table outlives the encoder; add() gets every chunk in the order of for_each(), and
// finish() is called after each kBlockChunks of them and after the last one.
// Cost: about 10 ns a chunk, most of it zstd's.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "analyzer/snapshot.h"
#include "db/block_format.h"
#include "db/chunk_block.h"
#include "db/zstd_frames.h"
#include "formats/base/result.h"

namespace residue {

class ChunkEncoder {
 public:
  struct Block {
    uint32_t first_id = 0;
    uint32_t count = 0;
    uint64_t first_address = 0;
    uint64_t last_address = 0;        // where the last chunk begins
    std::span<const std::byte> data;  // lives until the next finish()
  };

  // The sizes of the tables that the columns point into bound the ids.
  explicit ChunkEncoder(const Snapshot& snapshot);

  // Fails with kInternal if the table's columns differ in length: a bug of the analysis.
  Result<void> check() const;

  void add(Address address, ByteCount usable, const Run& run) {
    if (&run != run_) begin_segment(address, run);
    const uint64_t span = usable.value() + run.gap;
    const uint64_t granules = span >> shift_;
    const auto stored = static_cast<uint32_t>(std::min(granules, block_format::kLongestSpan));
    if (granules > stored) long_spans_.push_back({count_, granules});
    spans_[count_] = static_cast<uint8_t>(stored);
    spans_[kBlockChunks + count_] = static_cast<uint8_t>(stored >> 8);
    Segment& segment = segments_.back();
    ++segment.count;
    segment.end = address.value() + span;
    segment.tail = span & ((uint64_t{1} << shift_) - 1);
    last_address_ = address.value();
    addresses_[count_] = last_address_;
    sizes_[count_] = usable.value();
    ++count_;
  }
  uint32_t pending() const { return count_; }

  // Encodes what was added since the last finish(). Fails with kInternal on an id out of bounds.
  Result<Block> finish();

 private:
  struct Segment {
    uint64_t begin = 0, end = 0, tail = 0;
    uint32_t count = 0, heap = 0, gap = 0;
  };
  struct LongSpan {
    uint32_t index = 0;
    uint64_t granules = 0;
  };
  // A column of ids, and the numbering of those that the current block uses.
  struct IdColumn {
    const char* name;
    const std::vector<uint32_t>* values;
    uint32_t limit;               // ids are below it
    std::vector<uint64_t> slots;  // per id, last for "none": epoch << 32 | index
    std::vector<uint32_t> dictionary;
    std::vector<uint16_t> indexes;
  };

  void begin_segment(Address address, const Run& run);
  Result<void> index_ids(IdColumn& column);
  void write_header(std::span<const size_t> sizes);
  void write_dictionary(const IdColumn& column);
  Result<size_t> append_spans(std::vector<std::byte>& out);
  Result<size_t> append_flags(std::vector<std::byte>& out);
  Result<size_t> append_ids(const IdColumn& column, std::vector<std::byte>& out);
  template <typename Number>
  Result<size_t> append_numbers(Number&& number, std::vector<std::byte>& out);
  Result<size_t> append_retained(std::vector<std::byte>& out);
  Result<size_t> append_dominators(std::vector<std::byte>& out);
  Result<size_t> append_slack(std::vector<std::byte>& out);
  uint64_t dominator_address(uint32_t dominator) const;
  void put(uint64_t value);

  const ChunkTable& chunks_;
  unsigned shift_;
  FramePacker packer_;
  std::vector<IdColumn> ids_;
  uint64_t epoch_ = 0;

  const Run* run_ = nullptr;
  uint32_t first_id_ = 0;
  uint32_t count_ = 0;
  uint64_t last_address_ = 0;
  std::vector<uint8_t> spans_;       // kBlockChunks low bytes, then as many high bytes
  std::vector<uint64_t> addresses_;  // of the pending chunks
  std::vector<uint64_t> sizes_;
  std::vector<Segment> segments_;
  std::vector<LongSpan> long_spans_;

  std::vector<uint8_t> raw_;     // a column before compression
  std::vector<uint8_t> header_;  // before compression
  std::vector<std::byte> columns_;
  std::vector<std::byte> out_;
};

}  // namespace residue
