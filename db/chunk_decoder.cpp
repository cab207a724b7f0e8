#include "db/chunk_decoder.h"

#include <algorithm>
#include <array>
#include <string>

#include "analyzer/snapshot.h"
#include "db/block_format.h"
#include "formats/base/byte_cursor.h"

namespace residue {

using namespace block_format;

namespace {

Error corrupt(std::string what) { return {ErrorCode::kCorrupt, std::move(what), {}}; }

class Varints {
 public:
  explicit Varints(std::span<const uint8_t> bytes) : bytes_(bytes) {}

  // After a varint that is cut or too long everything reads as 0 and ok() is false.
  uint64_t next() {
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && at_ < bytes_.size(); shift += 7) {
      const uint64_t byte = bytes_[at_++];
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    ok_ = false;
    at_ = bytes_.size();
    return 0;
  }
  // A count of items that take at least a byte each, and of which a block has at most one a chunk.
  size_t count() {
    const uint64_t value = next();
    if (value > kBlockChunks || value > bytes_.size() - at_) {
      ok_ = false;
      return 0;
    }
    return static_cast<size_t>(value);
  }
  bool ok() const { return ok_; }
  bool at_end() const { return at_ == bytes_.size(); }

 private:
  std::span<const uint8_t> bytes_;
  size_t at_ = 0;
  bool ok_ = true;
};

}  // namespace

class ChunkDecoder::Header {
 public:
  struct Segment {
    uint64_t begin_delta, count, heap, gap, tail;
  };
  struct LongSpan {
    uint64_t index, granules;
  };

  Result<void> parse(std::span<const uint8_t> bytes);

  uint32_t count = 0;
  unsigned shift = 0;
  std::vector<Segment> segments;
  std::vector<LongSpan> long_spans;
  std::array<std::vector<uint32_t>, kDictionaries> dictionaries;
  std::array<uint64_t, kColumns> sizes{};

 private:
  Result<void> parse_lists(Varints& in);
};

Result<void> ChunkDecoder::Header::parse(std::span<const uint8_t> bytes) {
  Varints in(bytes);
  const uint64_t chunks = in.next();
  const uint64_t granule_shift = in.next();
  if (!in.ok() || chunks == 0 || chunks > kBlockChunks || granule_shift > kMaxGranuleShift) {
    return corrupt("bad counts in the header");
  }
  count = static_cast<uint32_t>(chunks);
  shift = static_cast<unsigned>(granule_shift);
  RESIDUE_TRY(parse_lists(in));
  for (size_t i = 0; i < kColumns && (i < kFirstColumns || !in.at_end()); ++i) {
    sizes[i] = in.next();
  }
  if (!in.ok() || !in.at_end()) return corrupt("the header ends in the wrong place");
  return {};
}

Result<void> ChunkDecoder::Header::parse_lists(Varints& in) {
  segments.resize(in.count());
  uint64_t left = count;
  for (Segment& s : segments) {
    s = {in.next(), in.next(), in.next(), in.next(), in.next()};
    if (s.count == 0 || s.count > left) return corrupt("segments and chunks do not match");
    left -= s.count;
  }
  if (left != 0) return corrupt("segments and chunks do not match");
  long_spans.resize(in.count());
  uint64_t index = 0;
  for (LongSpan& span : long_spans) {
    const uint64_t delta = in.next();
    span.granules = in.next();
    if (delta >= count - index) return corrupt("a long span has no chunk");
    index += delta;
    span.index = index;
  }
  for (auto& dictionary : dictionaries) {
    dictionary.resize(in.count());
    if (dictionary.empty()) return corrupt("an empty dictionary");
    uint64_t value = 0;
    for (uint32_t& id : dictionary) {
      const uint64_t zigzag = in.next();
      value += (zigzag & 1) != 0 ? ~(zigzag >> 1) : zigzag >> 1;
      if (value > ~uint32_t{0}) return corrupt("a dictionary value out of range");
      id = static_cast<uint32_t>(value) - 1;
    }
  }
  return {};
}

ChunkDecoder::ChunkDecoder() : zstd_(ZSTD_createDCtx(), ZSTD_freeDCtx) {}

Result<void> ChunkDecoder::unpack(std::span<const std::byte> frame, size_t size,
                                  std::vector<uint8_t>& raw) {
  if (ZSTD_getFrameContentSize(frame.data(), frame.size()) != size) {
    return corrupt("a column has the wrong size");
  }
  raw.resize(size);
  const size_t got =
      ZSTD_decompressDCtx(zstd_.get(), raw.data(), raw.size(), frame.data(), frame.size());
  if (ZSTD_isError(got) != 0) return corrupt(std::string("zstd: ") + ZSTD_getErrorName(got));
  if (got != size) return corrupt("a column has the wrong size");
  return {};
}

Result<void> ChunkDecoder::decode_header(std::span<const std::byte> data, Header& header) {
  const auto size = ZSTD_getFrameContentSize(data.data(), data.size());
  // ZSTD_CONTENTSIZE_UNKNOWN and _ERROR are the two largest values.
  if (size == 0 || size > kMaxHeaderBytes) return corrupt("the header has a senseless size");
  RESIDUE_TRY(unpack(data, static_cast<size_t>(size), raw_));
  return header.parse(raw_);
}

Result<void> ChunkDecoder::decode(std::span<const std::byte> data, uint32_t columns,
                                  ChunkBlock& block) {
  if (data.size() < kPrefixBytes || !std::equal(kPrefix.begin(), kPrefix.end(), data.begin())) {
    return corrupt("not a block of chunks");
  }
  const size_t header_size = load<uint32_t>(data.subspan(kPrefix.size()));
  auto rest = data.subspan(kPrefixBytes);
  if (header_size > rest.size()) return corrupt("the header is cut");
  Header header;
  RESIDUE_TRY(decode_header(rest.first(header_size), header));
  rest = rest.subspan(header_size);
  std::array<std::span<const std::byte>, kColumns> frames;
  for (size_t i = 0; i < kColumns; ++i) {
    if (header.sizes[i] > rest.size()) return corrupt("a column is cut");
    frames[i] = rest.first(static_cast<size_t>(header.sizes[i]));
    rest = rest.subspan(frames[i].size());
  }
  if (!rest.empty()) return corrupt("bytes after the last column");

  block.count = header.count;
  if ((columns & kPlaceColumns) != 0) RESIDUE_TRY(decode_places(header, frames[kSpans], block));
  if ((columns & kStateColumns) != 0) RESIDUE_TRY(decode_flags(frames[kFlags], block));
  const std::array<std::vector<uint32_t>*, kDictionaries> ids = {&block.type, &block.owner,
                                                                 &block.cluster};
  for (size_t i = 0; i < kDictionaries; ++i) {
    if ((columns & (kTypeColumn << i)) == 0) continue;
    RESIDUE_TRY(decode_ids(frames[kTypes + i], header.dictionaries[i], block.count, *ids[i]));
  }
  if ((columns & kRetainedColumn) != 0) RESIDUE_TRY(decode_retained(frames[kRetained], block));
  if ((columns & kDominatorColumn) != 0) {
    RESIDUE_TRY(decode_dominators(header, frames[kDominators], block));
  }
  if ((columns & kSlackColumn) != 0) RESIDUE_TRY(decode_slack(frames[kSlack], block));
  return {};
}

Result<void> ChunkDecoder::decode_places(const Header& header, std::span<const std::byte> frame,
                                         ChunkBlock& block) {
  const size_t count = header.count;
  RESIDUE_TRY(unpack(frame, 2 * count, raw_));
  block.address.resize(count);
  block.size.resize(count);
  block.heap.resize(count);
  // Spans first, in place of the sizes; then addresses and sizes by segment.
  for (size_t i = 0; i < count; ++i) {
    const auto granules = static_cast<uint64_t>(raw_[i] | raw_[count + i] << 8);
    block.size[i] = granules << header.shift;
  }
  for (const Header::LongSpan& span : header.long_spans) {
    block.size[static_cast<size_t>(span.index)] = span.granules << header.shift;
  }
  uint64_t address = 0;
  size_t i = 0;
  for (const Header::Segment& segment : header.segments) {
    address += segment.begin_delta;
    const size_t end = i + static_cast<size_t>(segment.count);
    block.size[end - 1] += segment.tail;
    for (; i < end; ++i) {
      const uint64_t span = block.size[i];
      block.address[i] = address;
      block.size[i] = span - segment.gap;
      block.heap[i] = static_cast<uint32_t>(segment.heap) - 1;
      address += span;
    }
  }
  // Searching the block relies on it.
  if (!std::is_sorted(block.address.begin(), block.address.end())) {
    return corrupt("addresses do not ascend");
  }
  return {};
}

Result<void> ChunkDecoder::decode_flags(std::span<const std::byte> frame, ChunkBlock& block) {
  RESIDUE_TRY(unpack(frame, block.count, raw_));
  block.state.resize(block.count);
  block.reach.resize(block.count);
  uint8_t worst_state = 0;
  uint8_t worst_reach = 0;
  for (size_t i = 0; i < block.count; ++i) {
    block.state[i] = raw_[i] & ((1U << kReachShift) - 1);
    block.reach[i] = static_cast<uint8_t>(raw_[i] >> kReachShift);
    worst_state = std::max(worst_state, block.state[i]);
    worst_reach = std::max(worst_reach, block.reach[i]);
  }
  if (worst_state >= kChunkStateNames.size() || worst_reach >= kReachNames.size()) {
    return corrupt("a chunk's state has no name");
  }
  return {};
}

// A column of numbers into raw_, and of each far one the value, in order.
Result<void> ChunkDecoder::unpack_numbers(std::span<const std::byte> frame, uint32_t count,
                                          std::vector<uint64_t>& far) {
  constexpr size_t kLongestVarint = 10;
  const auto size = ZSTD_getFrameContentSize(frame.data(), frame.size());
  if (size < size_t{2} * count || size > (2 + kLongestVarint) * size_t{count}) {
    return corrupt("a column has the wrong size");
  }
  RESIDUE_TRY(unpack(frame, static_cast<size_t>(size), raw_));
  far.clear();
  Varints in(std::span<const uint8_t>(raw_).subspan(size_t{2} * count));
  for (size_t i = 0; i < count; ++i) {
    if (raw_[i] == 0xff && raw_[count + i] == 0xff) far.push_back(in.next());
  }
  if (!in.ok() || !in.at_end()) return corrupt("a column of numbers ends in the wrong place");
  return {};
}

Result<void> ChunkDecoder::decode_retained(std::span<const std::byte> frame, ChunkBlock& block) {
  block.retained.clear();
  if (frame.empty()) return {};
  std::vector<uint64_t> far;
  RESIDUE_TRY(unpack_numbers(frame, block.count, far));
  block.retained.resize(block.count);
  size_t next = 0;
  for (size_t i = 0; i < block.count; ++i) {
    const auto near = static_cast<uint64_t>(raw_[i] | raw_[block.count + i] << 8);
    const uint64_t more = near == kFarNumber ? far[next++] : near * kRetainedUnit;
    block.retained[i] = block.size[i] + more;
  }
  return {};
}

Result<void> ChunkDecoder::decode_dominators(const Header& header, std::span<const std::byte> frame,
                                             ChunkBlock& block) {
  block.dominator.clear();
  if (frame.empty()) return {};
  std::vector<uint64_t> far;
  RESIDUE_TRY(unpack_numbers(frame, block.count, far));
  block.dominator.resize(block.count);
  const auto straight = [](uint64_t zigzag) { return zigzag >> 1 ^ (~(zigzag & 1) + 1); };
  size_t next = 0;
  for (size_t i = 0; i < block.count; ++i) {
    const auto near = static_cast<uint64_t>(raw_[i] | raw_[block.count + i] << 8);
    const uint64_t distance =
        near == kFarNumber ? straight(far[next++]) : straight(near) << header.shift;
    block.dominator[i] = distance == 0 ? 0 : block.address[i] + distance;
  }
  return {};
}

Result<void> ChunkDecoder::decode_slack(std::span<const std::byte> frame, ChunkBlock& block) {
  block.slack.clear();
  if (frame.empty()) return {};
  std::vector<uint64_t> far;
  RESIDUE_TRY(unpack_numbers(frame, block.count, far));
  block.slack.resize(block.count);
  size_t next = 0;
  for (size_t i = 0; i < block.count; ++i) {
    const auto near = static_cast<uint64_t>(raw_[i] | raw_[block.count + i] << 8);
    const uint64_t more = near == kFarNumber ? far[next++] : near;
    if (more > ChunkTable::kUnknownSlack) return corrupt("a request out of range");
    block.slack[i] = static_cast<uint32_t>(more - 1);  // 0 wraps to unknown
  }
  return {};
}

Result<void> ChunkDecoder::decode_ids(std::span<const std::byte> frame,
                                      std::span<const uint32_t> dictionary, uint32_t count,
                                      std::vector<uint32_t>& ids) {
  if (frame.empty()) {
    if (dictionary.size() != 1) return corrupt("a column is missing");
    ids.assign(count, dictionary[0]);
    return {};
  }
  const bool wide = dictionary.size() > 256;
  RESIDUE_TRY(unpack(frame, wide ? size_t{2} * count : count, raw_));
  ids.resize(count);
  for (size_t i = 0; i < count; ++i) {
    const size_t index = wide ? static_cast<size_t>(raw_[i] | raw_[count + i] << 8) : raw_[i];
    if (index >= dictionary.size()) return corrupt("a chunk's id is not in the dictionary");
    ids[i] = dictionary[index];
  }
  return {};
}

}  // namespace residue
