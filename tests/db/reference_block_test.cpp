// The stored form of references: what goes in comes out, it is small, and damage is an error.
#include <gtest/gtest.h>
#include <zstd.h>

#include "db/reference_decoder.h"
#include "db/reference_encoder.h"
#include "tests/db/synthetic_references.h"

namespace residue {
namespace {

using testing::ExpectedReference;
using testing::SyntheticHeap;
using Bytes = std::vector<std::byte>;

Bytes encode(const Snapshot& snapshot, const ReferenceRange& range) {
  ReferenceBlock block;
  gather_references(snapshot, range, block);
  auto encoded = ReferenceEncoder().encode(block);
  EXPECT_TRUE(encoded);
  return encoded->data;
}

struct Sample {
  SyntheticHeap heap;
  std::vector<ExpectedReference> rows;

  explicit Sample(uint32_t chunks, uint32_t largest) : heap(testing::make_varied_heap(chunks)) {
    rows = testing::make_references(heap, largest);
    testing::set_references(heap.snapshot, rows);
  }
  uint32_t chunks() const { return heap.snapshot.chunks.map.size(); }
};

bool same(const ReferenceBlock& a, const ReferenceBlock& b) {
  return a.first_id == b.first_id && a.begin == b.begin && a.target == b.target &&
         a.flags == b.flags;
}

TEST(ReferenceBlock, RoundTripsEveryReference) {
  const Sample sample(150000, 600000);
  const Snapshot& snapshot = sample.heap.snapshot;
  ASSERT_TRUE(check_references(snapshot));
  ReferenceDecoder decoder;
  size_t row = 0;
  for (const ReferenceRange& range : divide_references(snapshot)) {
    ReferenceBlock block;
    ASSERT_TRUE(decoder.decode(encode(snapshot, range), sample.chunks(), block));
    for (uint32_t s = 0; s < block.sources(); ++s) {
      for (uint32_t i = block.begin[s]; i < block.begin[s + 1]; ++i, ++row) {
        const ExpectedReference& expected = sample.rows[row];
        ASSERT_EQ(block.first_id + s, expected.source) << row;
        ASSERT_EQ(block.target[i], expected.target) << row;
        ASSERT_EQ(block.interior(i), expected.interior) << row;
        ASSERT_STREQ(kReferenceKindNames[static_cast<size_t>(block.kind(i))], expected.kind) << row;
      }
    }
  }
  EXPECT_EQ(row, sample.rows.size());
  EXPECT_EQ(count_references(snapshot), sample.rows.size());
}

TEST(ReferenceBlock, BlocksHoldEveryChunkOnceAndNoMoreThanTheyMay) {
  const Sample sample(150000, 600000);
  uint32_t end = 0;
  uint64_t left_of_one = 0;
  size_t parts = 0;
  for (const ReferenceRange& range : divide_references(sample.heap.snapshot)) {
    EXPECT_LE(range.count, kBlockSources);
    EXPECT_LE(range.references, kBlockReferences);
    if (range.skip > 0) {
      EXPECT_EQ(range.first_id, end - 1);
      EXPECT_EQ(range.skip, left_of_one);
      ++parts;
    } else {
      EXPECT_EQ(range.first_id, end);
      left_of_one = 0;
    }
    left_of_one += range.references;
    end = range.first_id + range.count;
  }
  EXPECT_EQ(end, sample.chunks());
  EXPECT_EQ(parts, 2U);  // 600,000 references and some, of 262,144 each
}

TEST(ReferenceBlock, TakesLittleForARegularHeap) {
  // A million chunks, five for each of a list of records.
  SyntheticHeap heap;
  testing::add_tables(heap.snapshot, 1, 1, 1);
  heap.begin_run(0x10000, 0, 8);
  for (uint32_t i = 0; i < 1000000; ++i) heap.add(2, {});
  heap.end_run();
  heap.finish();
  std::vector<ExpectedReference> rows;
  for (uint32_t i = 0; i + 5 < 1000000; i += 5) {
    for (const uint32_t target : {i + 1, i + 2, i + 2, i + 5, 4U}) rows.push_back({i, target});
  }
  testing::set_references(heap.snapshot, rows);
  size_t bytes = 0;
  for (const auto& range : divide_references(heap.snapshot)) {
    bytes += encode(heap.snapshot, range).size();
  }
  EXPECT_LT(bytes, 100000U);  // a tenth of a byte a reference
}

TEST(ReferenceBlock, TakesLittleMoreThanTheEntropyOfAGraphAtRandom) {
  SyntheticHeap heap;
  testing::add_tables(heap.snapshot, 1, 1, 1);
  heap.begin_run(0x10000, 0, 8);
  constexpr uint32_t kChunks = 1 << 18;
  for (uint32_t i = 0; i < kChunks; ++i) heap.add(2, {});
  heap.end_run();
  heap.finish();
  std::mt19937 random(3);
  std::vector<ExpectedReference> rows;
  for (uint32_t i = 0; i < kChunks; ++i)
    rows.push_back({i, static_cast<uint32_t>(random() % kChunks)});
  testing::set_references(heap.snapshot, rows);
  size_t bytes = 0;
  for (const auto& range : divide_references(heap.snapshot)) {
    bytes += encode(heap.snapshot, range).size();
  }
  EXPECT_LT(static_cast<double>(bytes), 1.05 * 18 / 8 * kChunks);
}

TEST(ReferenceBlock, RefusesWhatContradictsTheChunks) {
  Sample sample(100, 10);
  auto& references = sample.heap.snapshot.references;
  ASSERT_TRUE(check_references(sample.heap.snapshot));
  references.from_free.push_back({Edge(ChunkId(sample.chunks()), false), sample.chunks() - 1});
  EXPECT_FALSE(check_references(sample.heap.snapshot));
  references.from_free.back() = {Edge(ChunkId(0), false), 0};  // not in order
  EXPECT_FALSE(check_references(sample.heap.snapshot));
  references.from_free.pop_back();
  EXPECT_TRUE(check_references(sample.heap.snapshot));
  sample.rows.back().target = sample.chunks();
  testing::set_references(sample.heap.snapshot, sample.rows);
  EXPECT_FALSE(check_references(sample.heap.snapshot));
}

TEST(ReferenceBlock, NoFlippedBitChangesWhatIsRead) {
  const Sample sample(40, 300);
  const auto ranges = divide_references(sample.heap.snapshot);
  ASSERT_EQ(ranges.size(), 1U);
  Bytes data = encode(sample.heap.snapshot, ranges[0]);
  ReferenceDecoder decoder;
  ReferenceBlock original;
  ASSERT_TRUE(decoder.decode(data, sample.chunks(), original));
  size_t refused = 0;
  for (size_t bit = 0; bit < data.size() * 8; ++bit) {
    data[bit / 8] ^= std::byte{1} << (bit % 8);
    ReferenceBlock block;
    // A frame has a few bits that mean nothing: a reserved one, padding, those of what is unused.
    if (!decoder.decode(data, sample.chunks(), block)) {
      ++refused;
    } else {
      EXPECT_TRUE(same(block, original)) << "bit " << bit;
    }
    data[bit / 8] ^= std::byte{1} << (bit % 8);
  }
  EXPECT_GT(refused, data.size() * 8 * 98 / 100);
}

TEST(ReferenceBlock, EveryCutIsAnError) {
  const Sample sample(40, 10);
  const Bytes data = encode(sample.heap.snapshot, divide_references(sample.heap.snapshot)[0]);
  ReferenceDecoder decoder;
  ReferenceBlock block;
  for (size_t size = 0; size < data.size(); ++size) {
    const auto decoded = decoder.decode(std::span(data).first(size), sample.chunks(), block);
    ASSERT_FALSE(decoded) << size;
    EXPECT_EQ(decoded.error().code, ErrorCode::kCorrupt);
  }
  Bytes longer = data;
  longer.push_back(std::byte{0});
  EXPECT_FALSE(decoder.decode(longer, sample.chunks(), block));
  EXPECT_FALSE(decoder.decode(data, sample.chunks() - 1, block));
}

// A block whose frames are sound but whose header says what it likes, written from the format.
Bytes forge(const std::vector<uint64_t>& numbers,
            const std::vector<std::vector<uint8_t>>& columns) {
  const auto compress = [](const std::vector<uint8_t>& raw) {
    Bytes frame(ZSTD_compressBound(raw.size()));
    frame.resize(ZSTD_compress(frame.data(), frame.size(), raw.data(), raw.size(), 1));
    return frame;
  };
  Bytes body;
  std::vector<uint64_t> all = numbers;
  for (size_t i = 0; i < 21; ++i) {
    const Bytes frame = i >= columns.size() || columns[i].empty() ? Bytes() : compress(columns[i]);
    all.push_back(frame.size());
    body.insert(body.end(), frame.begin(), frame.end());
  }
  std::vector<uint8_t> raw;
  for (uint64_t n : all) {
    for (; n >= 128; n >>= 7) raw.push_back(static_cast<uint8_t>(n | 128));
    raw.push_back(static_cast<uint8_t>(n));
  }
  const Bytes header = compress(raw);
  Bytes data = {std::byte{'R'}, std::byte{'R'}, std::byte{1}, std::byte{0}};
  for (unsigned i = 0; i < 4; ++i) data.push_back(static_cast<std::byte>(header.size() >> (8 * i)));
  data.insert(data.end(), header.begin(), header.end());
  data.insert(data.end(), body.begin(), body.end());
  return data;
}

// Chunks 10, 11 and 12 with 2, 0 and 3 references. Field 0 of two (context 2) is plain, field 0 of
// three (context 3) is foretold by the field, the others come from the source or, as one of the
// fields of three (context 35), from the last target. The dictionary is {7, 5}.
const std::vector<uint64_t> kSound = {10,
                                      3,
                                      5,
                                      /*long*/ 0,
                                      /*contexts*/ 3,
                                      2,
                                      3,
                                      1,
                                      2,
                                      32,
                                      1,
                                      /*dictionary*/ 2,
                                      14,
                                      3,
                                      /*numbers*/ 0,
                                      1,
                                      1,
                                      1};
const std::vector<std::vector<uint8_t>> kColumns = {
    {2, 0, 3}, {0b00010}, {}, {0b00001}, {0, 2, 0, 1, 0}, {}, {}, {}, {}, {3}, {}, {}, {}, {6},
    {},        {},        {}, {20}};

TEST(ReferenceBlock, ReadsWhatTheFormatSays) {
  ReferenceBlock block;
  const auto decoded = ReferenceDecoder().decode(forge(kSound, kColumns), 100, block);
  ASSERT_TRUE(decoded) << decoded.error().message;
  EXPECT_EQ(block.first_id, 10U);
  EXPECT_EQ(block.begin, (std::vector<uint32_t>{0, 2, 2, 5}));
  // 20 as it is; 5 from the dictionary; field 0 of three before: 10, and 3 more; 7 from the
  // dictionary; two less than the last one that did not come from there.
  EXPECT_EQ(block.target, (std::vector<uint32_t>{20, 5, 13, 7, 11}));
  EXPECT_EQ(block.flags, (std::vector<uint8_t>{4, 1, 0, 0, 0}));
}

TEST(ReferenceBlock, LyingHeadersAreErrors) {
  struct Lie {
    const char* what;
    size_t at;
    uint64_t value;
  };
  const std::vector<Lie> lies = {{"chunks that do not exist", 0, 98},
                                 {"an id out of range", 0, 1ULL << 40},
                                 {"no chunks", 1, 0},
                                 {"fewer chunks than degrees", 1, 2},
                                 {"more chunks than a block has", 1, 1ULL << 40},
                                 {"fewer references than degrees say", 2, 4},
                                 {"more references than degrees say", 2, 6},
                                 {"more references than a block has", 2, 1ULL << 40},
                                 {"long degrees that are not there", 3, 1000},
                                 {"endless long degrees", 3, ~0ULL},
                                 {"endless contexts", 4, ~0ULL},
                                 {"a context that does not exist", 5, 1024},
                                 {"a mode that does not exist", 6, 4},
                                 {"an endless dictionary", 11, ~0ULL},
                                 {"a dictionary too short for its indexes", 11, 1},
                                 {"a target out of range", 12, 1ULL << 40},
                                 {"a target that is no chunk", 12, 400},
                                 {"numbers that are left over", 14, 1},
                                 {"numbers that are missing", 15, 0},
                                 {"endless numbers", 17, ~0ULL}};
  ReferenceDecoder decoder;
  ReferenceBlock block;
  for (const Lie& lie : lies) {
    auto numbers = kSound;
    numbers[lie.at] = lie.value;
    EXPECT_FALSE(decoder.decode(forge(numbers, kColumns), 100, block)) << lie.what;
  }
  const auto with = [](size_t column, std::vector<uint8_t> bytes) {
    auto columns = kColumns;
    columns[column] = std::move(bytes);
    return columns;
  };
  EXPECT_FALSE(decoder.decode(forge(kSound, with(0, {2, 1, 3})), 100, block));
  EXPECT_FALSE(decoder.decode(forge(kSound, with(0, {255, 0, 3})), 100, block));
  EXPECT_FALSE(decoder.decode(forge(kSound, with(0, {2, 0, 3, 0})), 100, block));
  EXPECT_FALSE(decoder.decode(forge(kSound, with(2, {0b00001})), 100, block)) << "two kinds";
  EXPECT_FALSE(decoder.decode(forge(kSound, with(4, {0, 3, 0, 1, 0})), 100, block));
  EXPECT_FALSE(decoder.decode(forge(kSound, with(17, {100})), 100, block)) << "no chunk";
  EXPECT_FALSE(decoder.decode(forge(kSound, with(9, {27})), 100, block)) << "before chunk 0";
  auto more = kColumns;
  more.resize(21);
  more[20] = {1};  // the highest plane of mode 3: far beyond all chunks
  EXPECT_FALSE(decoder.decode(forge(kSound, more), 100, block));
}

TEST(ReferenceBlock, RandomHeadersDoNoHarm) {
  // Sound frames around nonsense, so that the checks behind the checksums are reached: run with the
  // address sanitizer.
  ReferenceDecoder decoder;
  std::mt19937_64 random(1);
  size_t accepted = 0;
  for (int round = 0; round < 20000; ++round) {
    auto numbers = kSound;
    auto columns = kColumns;
    for (uint64_t n = 1 + random() % 3; n > 0; --n) {
      if (random() % 4 == 0) {
        auto& column = columns[random() % columns.size()];
        if (!column.empty()) column[random() % column.size()] = static_cast<uint8_t>(random());
      } else {
        numbers[random() % numbers.size()] = random() >> (random() % 64);
      }
    }
    ReferenceBlock block;
    if (!decoder.decode(forge(numbers, columns), 100, block)) continue;
    ++accepted;
    ASSERT_EQ(block.begin.back(), block.target.size());
    ASSERT_EQ(block.flags.size(), block.target.size());
    for (const uint32_t target : block.target) ASSERT_LT(target, 100U);
  }
  EXPECT_GT(accepted, 0U);
}

TEST(ReferenceBlock, AFrameThatUnpacksToGigabytesIsRefusedBeforeItIsUnpacked) {
  auto columns = kColumns;
  columns[17].assign(size_t{64} << 20, 0);
  ReferenceBlock block;
  EXPECT_FALSE(ReferenceDecoder().decode(forge(kSound, columns), 100, block));
}

}  // namespace
}  // namespace residue
