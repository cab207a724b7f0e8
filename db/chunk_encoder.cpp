#include "db/chunk_encoder.h"

#include <array>
#include <cstring>
#include <string>

namespace residue {

using namespace block_format;

namespace {

constexpr uint32_t kNoId = ~uint32_t{0};

uint32_t id_limit(size_t rows) { return rows < kNoId ? static_cast<uint32_t>(rows) : kNoId; }

}  // namespace

ChunkEncoder::ChunkEncoder(const Snapshot& snapshot)
    : chunks_(snapshot.chunks),
      shift_(snapshot.chunks.map.granule_shift()),
      spans_(size_t{2} * kBlockChunks),
      addresses_(kBlockChunks),
      sizes_(kBlockChunks) {
  const auto column = [&](const char* name, const std::vector<uint32_t>& values, size_t rows) {
    const uint32_t limit = id_limit(rows);
    ids_.push_back({name, &values, limit, std::vector<uint64_t>(size_t{limit} + 1), {}, {}});
  };
  column("type", chunks_.type, snapshot.types.size());
  column("owner", chunks_.owner, snapshot.owners.size());
  column("cluster", chunks_.cluster, snapshot.clusters.size());
}

Result<void> ChunkEncoder::check() const {
  const size_t count = chunks_.map.size();
  const auto fits = [count](size_t size) { return size == count || size == 0; };
  // Reach, types and the rest may be absent: then nothing is known of them.
  if (chunks_.state.size() == count && fits(chunks_.reach.size()) && fits(chunks_.type.size()) &&
      fits(chunks_.owner.size()) && fits(chunks_.cluster.size()) && fits(chunks_.retained.size()) &&
      fits(chunks_.dominator.size()) && fits(chunks_.slack.size())) {
    return {};
  }
  return Error{
      ErrorCode::kInternal,
      "the columns of the chunk table differ in length (" + std::to_string(count) + " chunks)",
      {}};
}

void ChunkEncoder::begin_segment(Address address, const Run& run) {
  run_ = &run;
  segments_.push_back({address.value(), address.value(), 0, 0, run.heap.value(), run.gap});
}

Result<void> ChunkEncoder::index_ids(IdColumn& column) {
  column.dictionary.clear();
  if (column.values->empty()) {
    column.dictionary.push_back(kNoId);
    return {};
  }
  column.indexes.resize(count_);
  const std::span<const uint32_t> values(column.values->data() + first_id_, count_);
  for (size_t i = 0; i < values.size(); ++i) {
    const uint32_t value = values[i];
    if (value >= column.limit && value != kNoId) {
      return Error{ErrorCode::kInternal,
                   "chunk " + std::to_string(first_id_ + i) + " has " + column.name + " " +
                       std::to_string(value) + " of " + std::to_string(column.limit),
                   {}};
    }
    uint64_t& slot = column.slots[value == kNoId ? column.limit : value];
    if (slot >> 32 != epoch_) {
      slot = epoch_ << 32 | column.dictionary.size();
      column.dictionary.push_back(value);
    }
    column.indexes[i] = static_cast<uint16_t>(slot);
  }
  return {};
}

Result<ChunkEncoder::Block> ChunkEncoder::finish() {
  ++epoch_;
  columns_.clear();
  std::array<size_t, kColumns> sizes{};
  RESIDUE_ASSIGN(sizes[kSpans], append_spans(columns_));
  RESIDUE_ASSIGN(sizes[kFlags], append_flags(columns_));
  for (size_t i = 0; i < ids_.size(); ++i) {
    RESIDUE_TRY(index_ids(ids_[i]));
    RESIDUE_ASSIGN(sizes[kTypes + i], append_ids(ids_[i], columns_));
  }
  RESIDUE_ASSIGN(sizes[kRetained], append_retained(columns_));
  RESIDUE_ASSIGN(sizes[kDominators], append_dominators(columns_));
  RESIDUE_ASSIGN(sizes[kSlack], append_slack(columns_));
  write_header(sizes);
  out_.assign(kPrefix.begin(), kPrefix.end());
  out_.resize(kPrefixBytes);
  RESIDUE_ASSIGN(const size_t header_size, packer_.append(header_, out_));
  for (size_t i = 0; i < 4; ++i) {
    out_[kPrefix.size() + i] = static_cast<std::byte>(header_size >> (8 * i));
  }
  out_.insert(out_.end(), columns_.begin(), columns_.end());

  const Block block{first_id_, count_, segments_.front().begin, last_address_, out_};
  first_id_ += count_;
  count_ = 0;
  run_ = nullptr;
  segments_.clear();
  long_spans_.clear();
  return block;
}

void ChunkEncoder::put(uint64_t value) {
  for (; value >= 0x80; value >>= 7) header_.push_back(static_cast<uint8_t>(value | 0x80));
  header_.push_back(static_cast<uint8_t>(value));
}

void ChunkEncoder::write_header(std::span<const size_t> sizes) {
  header_.clear();
  put(count_);
  put(shift_);
  put(segments_.size());
  uint64_t end = 0;
  for (const Segment& segment : segments_) {
    put(segment.begin - end);
    put(segment.count);
    put(segment.heap + 1);  // wraps to 0 for none
    put(segment.gap);
    put(segment.tail);
    end = segment.end;
  }
  put(long_spans_.size());
  uint32_t index = 0;
  for (const LongSpan& span : long_spans_) {
    put(span.index - index);
    put(span.granules);
    index = span.index;
  }
  for (const IdColumn& column : ids_) write_dictionary(column);
  for (const size_t size : sizes) put(size);
}

void ChunkEncoder::write_dictionary(const IdColumn& column) {
  put(column.dictionary.size());
  uint32_t last = 0;
  for (const uint32_t id : column.dictionary) {
    const uint32_t value = id + 1;
    const int64_t delta = static_cast<int64_t>(value) - static_cast<int64_t>(last);
    put(delta < 0 ? (static_cast<uint64_t>(-delta) << 1) - 1 : static_cast<uint64_t>(delta) << 1);
    last = value;
  }
}

Result<size_t> ChunkEncoder::append_spans(std::vector<std::byte>& out) {
  // A short last block leaves a hole between its two planes.
  if (count_ < kBlockChunks) {
    std::memmove(spans_.data() + count_, spans_.data() + kBlockChunks, count_);
  }
  return packer_.append(std::span(spans_).first(size_t{2} * count_), out);
}

Result<size_t> ChunkEncoder::append_flags(std::vector<std::byte>& out) {
  raw_.resize(count_);
  for (uint32_t i = 0; i < count_; ++i) {
    const auto state = static_cast<uint8_t>(chunks_.state[first_id_ + i]);
    const auto reach =
        chunks_.reach.empty() ? uint8_t{0} : static_cast<uint8_t>(chunks_.reach[first_id_ + i]);
    raw_[i] = static_cast<uint8_t>(state | reach << kReachShift);
  }
  return packer_.append(raw_, out);
}

Result<size_t> ChunkEncoder::append_ids(const IdColumn& column, std::vector<std::byte>& out) {
  if (column.dictionary.size() == 1) return size_t{0};
  const bool wide = column.dictionary.size() > 256;
  raw_.resize(wide ? size_t{2} * count_ : count_);
  for (uint32_t i = 0; i < count_; ++i) raw_[i] = static_cast<uint8_t>(column.indexes[i]);
  if (wide) {
    for (uint32_t i = 0; i < count_; ++i) {
      raw_[count_ + i] = static_cast<uint8_t>(column.indexes[i] >> 8);
    }
  }
  return packer_.append(raw_, out);
}

// `number(i)`: the short form of chunk i, and the long one, which counts if the short one is
// kFarNumber or more.
template <typename Number>
Result<size_t> ChunkEncoder::append_numbers(Number&& number, std::vector<std::byte>& out) {
  raw_.assign(size_t{2} * count_, 0);
  for (uint32_t i = 0; i < count_; ++i) {
    auto [near, far] = number(i);
    if (near >= kFarNumber) {
      near = kFarNumber;
      for (; far >= 0x80; far >>= 7) raw_.push_back(static_cast<uint8_t>(far | 0x80));
      raw_.push_back(static_cast<uint8_t>(far));
    }
    raw_[i] = static_cast<uint8_t>(near);
    raw_[count_ + i] = static_cast<uint8_t>(near >> 8);
  }
  return packer_.append(raw_, out);
}

Result<size_t> ChunkEncoder::append_retained(std::vector<std::byte>& out) {
  if (chunks_.retained.empty()) return size_t{0};
  return append_numbers(
      [this](uint32_t i) {
        const uint64_t retained = chunks_.retained[first_id_ + i];
        const uint64_t more = retained - std::min(retained, sizes_[i]);
        const uint64_t near = more % kRetainedUnit == 0 ? more / kRetainedUnit : kFarNumber;
        return std::pair(near, more);
      },
      out);
}

Result<size_t> ChunkEncoder::append_dominators(std::vector<std::byte>& out) {
  if (chunks_.dominator.empty()) return size_t{0};
  const auto zigzag = [](int64_t value) {
    return static_cast<uint64_t>(value) << 1 ^ static_cast<uint64_t>(value >> 63);
  };
  const uint64_t odd = (uint64_t{1} << shift_) - 1;
  return append_numbers(
      [&](uint32_t i) {
        const uint32_t dominator = chunks_.dominator[first_id_ + i];
        if (dominator >= ChunkTable::kDominatedByOwner) return std::pair(uint64_t{0}, uint64_t{0});
        const uint64_t distance = dominator_address(dominator) - addresses_[i];
        const auto signed_distance = static_cast<int64_t>(distance);
        const uint64_t near =
            (distance & odd) == 0 ? zigzag(signed_distance >> shift_) : kFarNumber;
        return std::pair(near, zigzag(signed_distance));
      },
      out);
}

Result<size_t> ChunkEncoder::append_slack(std::vector<std::byte>& out) {
  if (chunks_.slack.empty()) return size_t{0};
  return append_numbers(
      [this](uint32_t i) {
        const uint32_t slack = chunks_.slack[first_id_ + i];
        const uint64_t more = slack == ChunkTable::kUnknownSlack ? 0 : uint64_t{slack} + 1;
        return std::pair(more, more);
      },
      out);
}

// Most are in the same block.
uint64_t ChunkEncoder::dominator_address(uint32_t dominator) const {
  const uint32_t index = dominator - first_id_;
  return index < count_ ? addresses_[index] : chunks_.map.address(ChunkId(dominator)).value();
}

}  // namespace residue
