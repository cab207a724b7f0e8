#include "db/reference_decoder.h"

#include <algorithm>

#include "db/varints.h"
#include "formats/base/byte_cursor.h"

namespace residue {

using namespace reference_format;

struct ReferenceDecoder::Header {
  struct LongDegree {
    uint32_t index, degree;
  };

  Result<void> parse(std::span<const uint8_t> bytes);

  uint32_t first_id = 0, sources = 0, references = 0;
  std::vector<LongDegree> long_degrees;
  std::array<uint8_t, kContexts> modes{};
  std::vector<uint32_t> dictionary;
  std::array<size_t, kModes> counts{};
  std::array<uint64_t, kColumns> sizes{};

 private:
  Result<void> parse_lists(Varints& in);
};

Result<void> ReferenceDecoder::Header::parse(std::span<const uint8_t> bytes) {
  Varints in(bytes);
  const uint64_t first = in.next();
  const uint64_t source_count = in.next();
  const uint64_t reference_count = in.next();
  if (!in.ok() || first > ~uint32_t{0} || source_count == 0 || source_count > kBlockSources ||
      reference_count > kBlockReferences) {
    return corrupt_block("bad counts in the header");
  }
  first_id = static_cast<uint32_t>(first);
  sources = static_cast<uint32_t>(source_count);
  references = static_cast<uint32_t>(reference_count);
  RESIDUE_TRY(parse_lists(in));
  for (size_t& count : counts) {
    const uint64_t value = in.next();
    if (value > references) return corrupt_block("more numbers than references");
    count = static_cast<size_t>(value);
  }
  for (uint64_t& size : sizes) size = in.next();
  if (!in.ok() || !in.at_end()) return corrupt_block("the header ends in the wrong place");
  return {};
}

Result<void> ReferenceDecoder::Header::parse_lists(Varints& in) {
  long_degrees.resize(in.count(kBlockReferences / kLongDegree));
  uint64_t index = 0;
  for (LongDegree& one : long_degrees) {
    const uint64_t delta = in.next();
    const uint64_t degree = in.next();
    if (delta >= sources - index || degree < kLongDegree || degree > references) {
      return corrupt_block("a long degree has no chunk");
    }
    index += delta;
    one = {static_cast<uint32_t>(index), static_cast<uint32_t>(degree)};
  }
  uint64_t context = 0;
  for (size_t left = in.count(kContexts); left > 0; --left) {
    const uint64_t delta = in.next();
    const uint64_t mode = in.next();
    if (delta >= kContexts - context || mode >= kModes) return corrupt_block("no such mode");
    context += delta;
    modes[static_cast<size_t>(context)] = static_cast<uint8_t>(mode);
  }
  dictionary.resize(in.count(kMaxDictionary));
  uint32_t target = 0;
  for (uint32_t& entry : dictionary) {
    const uint64_t delta = in.next();
    if (delta > ~uint32_t{0}) return corrupt_block("a target out of range");
    target += unzigzag(static_cast<uint32_t>(delta));
    entry = target;
  }
  return {};
}

Result<void> ReferenceDecoder::decode(std::span<const std::byte> data, uint32_t chunks,
                                      ReferenceBlock& block) {
  if (data.size() < kPrefixBytes || !std::equal(kPrefix.begin(), kPrefix.end(), data.begin())) {
    return corrupt_block("not a block of references");
  }
  const size_t header_size = load<uint32_t>(data.subspan(kPrefix.size()));
  auto rest = data.subspan(kPrefixBytes);
  if (header_size > rest.size()) return corrupt_block("the header is cut");
  RESIDUE_TRY(unpacker_.unpack_any(rest.first(header_size), 1, kMaxHeaderBytes, raw_));
  Header header;
  RESIDUE_TRY(header.parse(raw_));
  if (header.first_id >= chunks || header.sources > chunks - header.first_id) {
    return corrupt_block("it is of chunks that do not exist");
  }
  rest = rest.subspan(header_size);
  Frames frames;
  for (size_t i = 0; i < kColumns; ++i) {
    if (header.sizes[i] > rest.size()) return corrupt_block("a column is cut");
    frames[i] = rest.first(static_cast<size_t>(header.sizes[i]));
    rest = rest.subspan(frames[i].size());
  }
  if (!rest.empty()) return corrupt_block("bytes after the last column");

  block.first_id = header.first_id;
  RESIDUE_TRY(decode_degrees(header, frames[kDegrees], block));
  block.flags.assign(header.references, 0);
  RESIDUE_TRY(decode_flags(frames, block));
  RESIDUE_TRY(decode_indexes(header, frames[kIndexes], header.references));
  RESIDUE_TRY(decode_numbers(header, frames));
  return join(header, chunks, block);
}

Result<void> ReferenceDecoder::decode_degrees(const Header& header,
                                              std::span<const std::byte> frame,
                                              ReferenceBlock& block) {
  raw_.assign(header.sources, 0);
  if (!frame.empty()) RESIDUE_TRY(unpacker_.unpack(frame, header.sources, raw_));
  block.begin.resize(size_t{header.sources} + 1);
  auto next_long = header.long_degrees.begin();
  uint64_t sum = 0;
  for (uint32_t s = 0; s < header.sources; ++s) {
    block.begin[s] = static_cast<uint32_t>(sum);
    uint32_t degree = raw_[s];
    if (degree == kLongDegree) {
      if (next_long == header.long_degrees.end() || next_long->index != s) {
        return corrupt_block("a long degree is missing");
      }
      degree = next_long++->degree;
    }
    sum += degree;
    if (sum > header.references) return corrupt_block("degrees and references do not match");
  }
  block.begin[header.sources] = static_cast<uint32_t>(sum);
  if (sum != header.references || next_long != header.long_degrees.end()) {
    return corrupt_block("degrees and references do not match");
  }
  return {};
}

Result<void> ReferenceDecoder::decode_flags(const Frames& frames, ReferenceBlock& block) {
  const auto kind = [](ReferenceKind k) { return static_cast<uint8_t>(static_cast<int>(k) << 1); };
  RESIDUE_TRY(decode_bits(frames[kInterior], 1, block));
  RESIDUE_TRY(decode_bits(frames[kFree], kind(ReferenceKind::kFree), block));
  RESIDUE_TRY(decode_bits(frames[kSpare], kind(ReferenceKind::kSpare), block));
  for (const uint8_t flags : block.flags) {
    if (flags >> 1U >= kReferenceKindNames.size()) {
      return corrupt_block("a reference is of two kinds");
    }
  }
  return {};
}

Result<void> ReferenceDecoder::decode_bits(std::span<const std::byte> frame, uint8_t value,
                                           ReferenceBlock& block) {
  if (frame.empty()) return {};
  const size_t count = block.flags.size();
  RESIDUE_TRY(unpacker_.unpack(frame, (count + 7) / 8, raw_));
  for (size_t i = 0; i < count; ++i) {
    if ((raw_[i / 8] >> (i % 8) & 1) != 0) {
      block.flags[i] = static_cast<uint8_t>(block.flags[i] | value);
    }
  }
  return {};
}

Result<void> ReferenceDecoder::decode_indexes(const Header& header,
                                              std::span<const std::byte> frame, size_t references) {
  indexes_.assign(references, 0);
  if (frame.empty()) return {};
  RESIDUE_TRY(unpacker_.unpack(frame, references, indexes_));
  const bool sound = std::all_of(indexes_.begin(), indexes_.end(),
                                 [&](uint8_t index) { return index <= header.dictionary.size(); });
  if (!sound) return corrupt_block("a target is not in the dictionary");
  return {};
}

Result<void> ReferenceDecoder::decode_numbers(const Header& header, const Frames& frames) {
  for (size_t mode = 0; mode < kModes; ++mode) {
    std::vector<uint32_t>& numbers = numbers_[mode];
    numbers.assign(header.counts[mode], 0);
    for (size_t plane = 0; plane < kPlanesEach; ++plane) {
      const auto frame = frames[kPlanes + mode * kPlanesEach + plane];
      if (frame.empty()) continue;
      RESIDUE_TRY(unpacker_.unpack(frame, numbers.size(), raw_));
      for (size_t i = 0; i < numbers.size(); ++i) numbers[i] |= uint32_t{raw_[i]} << (8 * plane);
    }
  }
  return {};
}

// Every number is used up exactly: then all frames are of the right length.
Result<void> ReferenceDecoder::join(const Header& header, uint32_t chunks, ReferenceBlock& block) {
  std::array<uint32_t, kContexts> fields;
  fields.fill(block.first_id);
  std::array<size_t, kModes> used{};
  uint32_t last = block.first_id;
  uint32_t worst = 0;
  block.target.resize(header.references);
  for (uint32_t s = 0; s < header.sources; ++s) {
    const uint32_t begin = block.begin[s];
    const uint32_t degree = block.begin[s + 1] - begin;
    const uint32_t source = block.first_id + s;
    for (uint32_t field = 0; field < degree; ++field) {
      uint32_t& target = block.target[begin + field];
      const uint8_t index = indexes_[begin + field];
      if (index != 0) {
        target = header.dictionary[index - 1];
        worst = std::max(worst, target);
        continue;
      }
      const uint32_t context = context_of(field, degree);
      const uint8_t mode = header.modes[context];
      if (used[mode] == numbers_[mode].size()) return corrupt_block("numbers are missing");
      const uint32_t number = numbers_[mode][used[mode]++];
      const std::array<uint32_t, 3> bases = {source, last, fields[context]};
      target = mode == kPlain ? number : bases[mode] + unzigzag(number);
      worst = std::max(worst, target);
      fields[context] = target;
      last = target;
    }
  }
  if (worst >= chunks) return corrupt_block("a reference leads to no chunk");
  for (size_t mode = 0; mode < kModes; ++mode) {
    if (used[mode] != numbers_[mode].size()) return corrupt_block("numbers are left over");
  }
  return {};
}

}  // namespace residue
