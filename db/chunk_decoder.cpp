#include "db/chunk_decoder.h"

#include <algorithm>
#include <array>
#include <string>

#include "analyzer/snapshot.h"
#include "db/block_format.h"
#include "db/varints.h"
#include "formats/base/byte_cursor.h"

namespace residue {

using namespace block_format;

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
    return corrupt_block("bad counts in the header");
  }
  count = static_cast<uint32_t>(chunks);
  shift = static_cast<unsigned>(granule_shift);
  RESIDUE_TRY(parse_lists(in));
  for (size_t i = 0; i < kColumns && (i < kFirstColumns || !in.at_end()); ++i) {
    sizes[i] = in.next();
  }
  if (!in.ok() || !in.at_end()) return corrupt_block("the header ends in the wrong place");
  return {};
}

Result<void> ChunkDecoder::Header::parse_lists(Varints& in) {
  segments.resize(in.count(kBlockChunks));
  uint64_t left = count;
  for (Segment& s : segments) {
    s = {in.next(), in.next(), in.next(), in.next(), in.next()};
    if (s.count == 0 || s.count > left) return corrupt_block("segments and chunks do not match");
    left -= s.count;
  }
  if (left != 0) return corrupt_block("segments and chunks do not match");
  long_spans.resize(in.count(kBlockChunks));
  uint64_t index = 0;
  for (LongSpan& span : long_spans) {
    const uint64_t delta = in.next();
    span.granules = in.next();
    if (delta >= count - index) return corrupt_block("a long span has no chunk");
    index += delta;
    span.index = index;
  }
  for (auto& dictionary : dictionaries) {
    dictionary.resize(in.count(kBlockChunks));
    if (dictionary.empty()) return corrupt_block("an empty dictionary");
    uint64_t value = 0;
    for (uint32_t& id : dictionary) {
      const uint64_t zigzag = in.next();
      value += (zigzag & 1) != 0 ? ~(zigzag >> 1) : zigzag >> 1;
      if (value > ~uint32_t{0}) return corrupt_block("a dictionary value out of range");
      id = static_cast<uint32_t>(value) - 1;
    }
  }
  return {};
}

Result<void> ChunkDecoder::decode(std::span<const std::byte> data, uint32_t columns,
                                  ChunkBlock& block) {
  if (data.size() < kPrefixBytes || !std::equal(kPrefix.begin(), kPrefix.end(), data.begin())) {
    return corrupt_block("not a block of chunks");
  }
  const size_t header_size = load<uint32_t>(data.subspan(kPrefix.size()));
  auto rest = data.subspan(kPrefixBytes);
  if (header_size > rest.size()) return corrupt_block("the header is cut");
  Header header;
  RESIDUE_TRY(unpacker_.unpack_any(rest.first(header_size), 1, kMaxHeaderBytes, raw_));
  RESIDUE_TRY(header.parse(raw_));
  rest = rest.subspan(header_size);
  std::array<std::span<const std::byte>, kColumns> frames;
  for (size_t i = 0; i < kColumns; ++i) {
    if (header.sizes[i] > rest.size()) return corrupt_block("a column is cut");
    frames[i] = rest.first(static_cast<size_t>(header.sizes[i]));
    rest = rest.subspan(frames[i].size());
  }
  if (!rest.empty()) return corrupt_block("bytes after the last column");

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
  RESIDUE_TRY(unpacker_.unpack(frame, 2 * count, raw_));
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
    return corrupt_block("addresses do not ascend");
  }
  return {};
}

Result<void> ChunkDecoder::decode_flags(std::span<const std::byte> frame, ChunkBlock& block) {
  RESIDUE_TRY(unpacker_.unpack(frame, block.count, raw_));
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
    return corrupt_block("a chunk's state has no name");
  }
  return {};
}

// A column of numbers: calls f(chunk, number) with the short ones as they are and the long ones
// where kFarNumber stands for them, or with `absent` not at all.
template <typename Near, typename Far>
Result<void> ChunkDecoder::decode_numbers(std::span<const std::byte> frame, uint32_t count,
                                          Near&& near, Far&& far) {
  const size_t shorts = size_t{2} * count;
  RESIDUE_TRY(unpacker_.unpack_any(frame, shorts, shorts + kLongestVarint * count, raw_));
  Varints in(std::span<const uint8_t>(raw_).subspan(shorts));
  for (size_t i = 0; i < count; ++i) {
    const auto number = static_cast<uint64_t>(raw_[i] | raw_[count + i] << 8);
    if (number == kFarNumber) {
      far(i, in.next());
    } else {
      near(i, number);
    }
  }
  if (!in.ok() || !in.at_end()) {
    return corrupt_block("a column of numbers ends in the wrong place");
  }
  return {};
}

Result<void> ChunkDecoder::decode_retained(std::span<const std::byte> frame, ChunkBlock& block) {
  block.retained.clear();
  if (frame.empty()) return {};
  block.retained.resize(block.count);
  const auto put = [&block](size_t i, uint64_t more) { block.retained[i] = block.size[i] + more; };
  return decode_numbers(
      frame, block.count, [&](size_t i, uint64_t near) { put(i, near * kRetainedUnit); }, put);
}

Result<void> ChunkDecoder::decode_dominators(const Header& header, std::span<const std::byte> frame,
                                             ChunkBlock& block) {
  block.dominator.clear();
  if (frame.empty()) return {};
  block.dominator.resize(block.count);
  const auto put = [&block](size_t i, uint64_t distance) {
    block.dominator[i] = distance == 0 ? 0 : block.address[i] + distance;
  };
  return decode_numbers(
      frame, block.count, [&](size_t i, uint64_t near) { put(i, unzigzag(near) << header.shift); },
      [&](size_t i, uint64_t far) { put(i, unzigzag(far)); });
}

Result<void> ChunkDecoder::decode_slack(std::span<const std::byte> frame, ChunkBlock& block) {
  block.slack.clear();
  if (frame.empty()) return {};
  block.slack.resize(block.count);
  uint64_t worst = 0;
  const auto put = [&](size_t i, uint64_t more) {
    worst = std::max(worst, more);
    block.slack[i] = more == 0 ? ChunkTable::kUnknownSlack : static_cast<uint32_t>(more - 1);
  };
  RESIDUE_TRY(decode_numbers(frame, block.count, put, put));
  if (worst > ChunkTable::kUnknownSlack) return corrupt_block("a request out of range");
  return {};
}

Result<void> ChunkDecoder::decode_ids(std::span<const std::byte> frame,
                                      std::span<const uint32_t> dictionary, uint32_t count,
                                      std::vector<uint32_t>& ids) {
  if (frame.empty()) {
    if (dictionary.size() != 1) return corrupt_block("a column is missing");
    ids.assign(count, dictionary[0]);
    return {};
  }
  const bool wide = dictionary.size() > 256;
  RESIDUE_TRY(unpacker_.unpack(frame, wide ? size_t{2} * count : count, raw_));
  ids.resize(count);
  for (size_t i = 0; i < count; ++i) {
    const size_t index = wide ? static_cast<size_t>(raw_[i] | raw_[count + i] << 8) : raw_[i];
    if (index >= dictionary.size()) return corrupt_block("a chunk's id is not in the dictionary");
    ids[i] = dictionary[index];
  }
  return {};
}

}  // namespace residue
