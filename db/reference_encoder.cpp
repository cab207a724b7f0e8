#include "db/reference_encoder.h"

#include <algorithm>
#include <array>
#include <bit>

#include "db/varints.h"

namespace residue {

using namespace reference_format;

namespace {

// To find frequent targets it is enough to look at every fourth reference. One that is in the
// dictionary breaks the regularity of the others, so it has to come often.
constexpr size_t kLookAtEvery = 4;
constexpr uint32_t kFrequent = 4;

constexpr unsigned bits_of(uint32_t number) {
  return static_cast<unsigned>(std::bit_width(number));
}

}  // namespace

// Counts as Misra and Gries do, in a table that is hashed: a target that is rarer than what shares
// its slot gives way.
void ReferenceEncoder::choose_dictionary(const ReferenceBlock& block) {
  table_.assign(size_t{1} << kTableBits, {});
  for (size_t i = 0; i < block.target.size(); i += kLookAtEvery) {
    const uint32_t target = block.target[i];
    Slot& slot = slot_of(target);
    if (slot.count == 0) {
      slot = {target, 1};
    } else if (slot.target == target) {
      ++slot.count;
    } else {
      --slot.count;
    }
  }
  std::vector<Slot> frequent;
  for (const Slot& slot : table_) {
    if (slot.count >= kFrequent) frequent.push_back(slot);
  }
  if (frequent.size() > kMaxDictionary) {
    const auto rarer = [](const Slot& a, const Slot& b) {
      return a.count != b.count ? a.count > b.count : a.target < b.target;
    };
    std::nth_element(frequent.begin(), frequent.begin() + kMaxDictionary, frequent.end(), rarer);
    frequent.resize(kMaxDictionary);
  }
  dictionary_.clear();
  for (const Slot& slot : frequent) dictionary_.push_back(slot.target);
  std::sort(dictionary_.begin(), dictionary_.end());
  std::fill(table_.begin(), table_.end(), Slot{});
  for (size_t i = 0; i < dictionary_.size(); ++i) {
    slot_of(dictionary_[i]) = {dictionary_[i], static_cast<uint32_t>(i) + 1};
  }
}

// Calls f(context, {number for each mode}) for each reference that the dictionary does not hold,
// and notes the index of the others in indexes_.
template <typename F>
void ReferenceEncoder::for_each_number(const ReferenceBlock& block, F&& f) {
  std::array<uint32_t, kContexts> fields;
  fields.fill(block.first_id);
  uint32_t last = block.first_id;
  const bool use_dictionary = !dictionary_.empty();
  for (uint32_t s = 0; s < block.sources(); ++s) {
    const uint32_t begin = block.begin[s];
    const uint32_t degree = block.begin[s + 1] - begin;
    const uint32_t source = block.first_id + s;
    for (uint32_t field = 0; field < degree; ++field) {
      const uint32_t target = block.target[begin + field];
      if (use_dictionary) {
        const Slot& slot = slot_of(target);
        const bool found = slot.count != 0 && slot.target == target;
        indexes_[begin + field] = static_cast<uint8_t>(found ? slot.count : 0);
        if (found) continue;
      }
      const uint32_t context = context_of(field, degree);
      f(context, std::array<uint32_t, kModes>{zigzag(target - source), zigzag(target - last),
                                              zigzag(target - fields[context]), target});
      fields[context] = target;
      last = target;
    }
  }
}

void ReferenceEncoder::choose_modes(const ReferenceBlock& block) {
  std::array<std::array<uint32_t, kModes>, kContexts> bits{};
  for_each_number(block, [&bits](uint32_t context, const std::array<uint32_t, kModes>& numbers) {
    for (size_t mode = 0; mode < kModes; ++mode) bits[context][mode] += bits_of(numbers[mode]);
  });
  for (uint32_t context = 0; context < kContexts; ++context) {
    const auto& costs = bits[context];
    modes_[context] =
        static_cast<uint8_t>(std::min_element(costs.begin(), costs.end()) - costs.begin());
  }
}

void ReferenceEncoder::split(const ReferenceBlock& block) {
  indexes_.resize(block.target.size());
  modes_.resize(kContexts);
  choose_dictionary(block);
  choose_modes(block);
  for (auto& numbers : numbers_) numbers.clear();
  for_each_number(block, [this](uint32_t context, const std::array<uint32_t, kModes>& numbers) {
    const uint8_t mode = modes_[context];
    numbers_[mode].push_back(numbers[mode]);
  });
}

Result<EncodedReferences> ReferenceEncoder::encode(const ReferenceBlock& block) {
  columns_.clear();
  sizes_.fill(0);
  split(block);
  RESIDUE_TRY(append_degrees(block));
  const auto kind = [](ReferenceKind k) { return static_cast<uint8_t>(static_cast<int>(k) << 1); };
  RESIDUE_TRY(append_bits(block, kInterior, 1, 1));
  RESIDUE_TRY(append_bits(block, kFree, 6, kind(ReferenceKind::kFree)));
  RESIDUE_TRY(append_bits(block, kSpare, 6, kind(ReferenceKind::kSpare)));
  if (!dictionary_.empty()) RESIDUE_TRY(append_column(kIndexes, indexes_));
  RESIDUE_TRY(append_numbers());
  write_header(block);

  EncodedReferences encoded;
  encoded.data.assign(kPrefix.begin(), kPrefix.end());
  encoded.data.resize(kPrefixBytes);
  RESIDUE_ASSIGN(const size_t header_size, packer_.append(header_, encoded.data));
  for (size_t i = 0; i < 4; ++i) {
    encoded.data[kPrefix.size() + i] = static_cast<std::byte>(header_size >> (8 * i));
  }
  encoded.data.insert(encoded.data.end(), columns_.begin(), columns_.end());
  if (!block.target.empty()) {
    const auto [low, high] = std::minmax_element(block.target.begin(), block.target.end());
    encoded.lowest_target = *low;
    encoded.highest_target = *high;
  }
  return encoded;
}

void ReferenceEncoder::write_header(const ReferenceBlock& block) {
  header_.clear();
  const auto put = [this](uint64_t value) { put_varint(value, header_); };
  put(block.first_id);
  put(block.sources());
  put(block.references());
  std::vector<uint32_t> longs;
  for (uint32_t s = 0; s < block.sources(); ++s) {
    if (block.begin[s + 1] - block.begin[s] >= kLongDegree) longs.push_back(s);
  }
  put(longs.size());
  uint32_t last = 0;
  for (const uint32_t s : longs) {
    put(s - last);
    put(block.begin[s + 1] - block.begin[s]);
    last = s;
  }
  put(static_cast<uint64_t>(std::count_if(modes_.begin(), modes_.end(),
                                          [](uint8_t mode) { return mode != kFromSource; })));
  last = 0;
  for (uint32_t context = 0; context < kContexts; ++context) {
    if (modes_[context] == kFromSource) continue;
    put(context - last);
    put(modes_[context]);
    last = context;
  }
  put(dictionary_.size());
  last = 0;
  for (const uint32_t target : dictionary_) {
    put(zigzag(target - last));
    last = target;
  }
  for (const auto& numbers : numbers_) put(numbers.size());
  for (const size_t size : sizes_) put(size);
}

// A column of zeros is left out.
Result<void> ReferenceEncoder::append_column(StoredColumn column, std::span<const uint8_t> raw) {
  if (std::all_of(raw.begin(), raw.end(), [](uint8_t byte) { return byte == 0; })) return {};
  RESIDUE_ASSIGN(sizes_[column], packer_.append(raw, columns_));
  return {};
}

Result<void> ReferenceEncoder::append_degrees(const ReferenceBlock& block) {
  raw_.resize(block.sources());
  for (uint32_t s = 0; s < block.sources(); ++s) {
    raw_[s] = static_cast<uint8_t>(std::min(block.begin[s + 1] - block.begin[s], kLongDegree));
  }
  return append_column(kDegrees, raw_);
}

Result<void> ReferenceEncoder::append_bits(const ReferenceBlock& block, StoredColumn column,
                                           uint8_t mask, uint8_t value) {
  raw_.assign((block.flags.size() + 7) / 8, 0);
  for (size_t i = 0; i < block.flags.size(); ++i) {
    const unsigned bit = (block.flags[i] & mask) == value ? 1 : 0;
    raw_[i / 8] = static_cast<uint8_t>(raw_[i / 8] | bit << (i % 8));
  }
  return append_column(column, raw_);
}

Result<void> ReferenceEncoder::append_numbers() {
  for (size_t mode = 0; mode < kModes; ++mode) {
    const std::vector<uint32_t>& numbers = numbers_[mode];
    raw_.resize(numbers.size());
    for (size_t plane = 0; plane < kPlanesEach; ++plane) {
      for (size_t i = 0; i < numbers.size(); ++i) {
        raw_[i] = static_cast<uint8_t>(numbers[i] >> (8 * plane));
      }
      RESIDUE_TRY(
          append_column(static_cast<StoredColumn>(kPlanes + mode * kPlanesEach + plane), raw_));
    }
  }
  return {};
}

}  // namespace residue
