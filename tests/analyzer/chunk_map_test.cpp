// ChunkMap against a naive model: every look-up a std::map can answer, it must answer alike.
#include "analyzer/chunk_map.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

namespace residue {
namespace {

// What the model knows of one chunk.
struct Known {
  uint64_t end;  // the next chunk's start, or the run's end
  uint64_t gap;
  uint32_t heap;
};

class Model {
 public:
  explicit Model(unsigned granule_shift) : map(granule_shift), shift(granule_shift) {}

  // A run of chunks with these spans (multiples of the granule), from `begin` on.
  void add_run(uint64_t begin, const std::vector<uint64_t>& spans, uint32_t gap, uint32_t heap) {
    uint64_t end = begin;
    for (const uint64_t span : spans) end += span;
    Run run;
    run.begin = Address(begin);
    run.end = Address(end);
    run.heap = HeapId(heap);
    run.gap = gap;
    std::vector<uint64_t> bits(map.words_for(run));
    uint64_t at = begin;
    for (const uint64_t span : spans) {
      const uint64_t granule = (at - begin) >> shift;
      bits.at(granule / 64) |= uint64_t{1} << (granule % 64);
      chunks[at] = {at + span, gap, heap};
      at += span;
    }
    map.add_run(run, std::move(bits));
  }

  // The chunk whose span holds `a`.
  std::map<uint64_t, Known>::const_iterator find(uint64_t a) const {
    auto it = chunks.upper_bound(a);
    if (it == chunks.begin()) return chunks.end();
    --it;
    return a < it->second.end ? it : chunks.end();
  }

  void expect_find_agrees(uint64_t a) const {
    uint64_t start = 0;
    const ChunkId id = map.find(a, &start);
    const auto expected = find(a);
    if (expected == chunks.end()) {
      ASSERT_EQ(id, kNone<ChunkId>) << std::hex << a;
      return;
    }
    ASSERT_NE(id, kNone<ChunkId>) << std::hex << a;
    ASSERT_EQ(start, expected->first) << std::hex << a;
    ASSERT_EQ(map.address(id).value(), expected->first) << std::hex << a;
  }

  // Ids, addresses, sizes and runs of all chunks, one by one and by for_each().
  void expect_all_agree() const {
    ASSERT_EQ(map.size(), chunks.size());
    uint32_t id = 0;
    for (const auto& [user, known] : chunks) {
      uint64_t start = 0;
      ASSERT_EQ(map.find(user, &start), ChunkId(id));
      ASSERT_EQ(start, user);
      ASSERT_EQ(map.address(ChunkId(id)).value(), user);
      ASSERT_EQ(map.usable(ChunkId(id)).value(), known.end - user - known.gap);
      ASSERT_EQ(map.run_of(ChunkId(id)).heap.value(), known.heap);
      ++id;
    }
    auto it = chunks.begin();
    uint32_t next = 0;
    map.for_each([&](ChunkId each, Address user, ByteCount usable, const residue::Run& run) {
      ASSERT_NE(it, chunks.end());
      ASSERT_EQ(each.value(), next++);
      ASSERT_EQ(user.value(), it->first);
      ASSERT_EQ(usable.value(), it->second.end - it->first - it->second.gap);
      ASSERT_EQ(run.heap.value(), it->second.heap);
      ++it;
    });
    ASSERT_EQ(it, chunks.end());
  }

  void expect_range_agrees(uint32_t first, uint32_t last) const {
    const auto size = static_cast<uint32_t>(chunks.size());
    std::vector<uint32_t> seen;
    map.for_each(first, last, [&](ChunkId id, Address user, ByteCount usable, const residue::Run&) {
      seen.push_back(id.value());
      ASSERT_EQ(user, map.address(id));
      ASSERT_EQ(usable, map.usable(id));
    });
    std::vector<uint32_t> expected;
    for (uint32_t id = first; id < std::min(last, size); ++id) expected.push_back(id);
    ASSERT_EQ(seen, expected) << first << ".." << last;
  }

  ChunkMap map;
  unsigned shift;
  std::map<uint64_t, Known> chunks;
};

TEST(ChunkMap, KnowsNothingWhenEmpty) {
  ChunkMap map;
  map.finish();
  uint64_t start = 0;
  EXPECT_EQ(map.size(), 0U);
  EXPECT_EQ(map.find(0, &start), kNone<ChunkId>);
  EXPECT_EQ(map.find(0x1000, &start), kNone<ChunkId>);
  EXPECT_EQ(map.find_run(0x1000), -1);
  map.for_each([](ChunkId, Address, ByteCount, const residue::Run&) { FAIL(); });
}

TEST(ChunkMap, FindsAChunkFromItsStartToTheNextStart) {
  Model model(4);
  model.add_run(0x1010, {0x20, 0x30, 0x40}, 8, 0);
  model.map.finish();
  uint64_t start = 0;
  EXPECT_EQ(model.map.find(0x100f, &start), kNone<ChunkId>);
  EXPECT_EQ(model.map.find(0x1010, &start), ChunkId(0));
  EXPECT_EQ(model.map.find(0x102f, &start), ChunkId(0));
  EXPECT_EQ(start, 0x1010U);
  EXPECT_EQ(model.map.find(0x1030, &start), ChunkId(1));
  EXPECT_EQ(model.map.find(0x109f, &start), ChunkId(2));
  EXPECT_EQ(start, 0x1060U);
  EXPECT_EQ(model.map.find(0x10a0, &start), kNone<ChunkId>);
  EXPECT_EQ(model.map.usable(ChunkId(1)).value(), 0x28U);
}

TEST(ChunkMap, LeavesGapsBetweenRunsToNobody) {
  Model model(4);
  model.add_run(0x1000, {0x20, 0x20}, 8, 0);
  model.add_run(0x1050, {0x20}, 8, 1);
  model.map.finish();
  uint64_t start = 0;
  EXPECT_EQ(model.map.find(0x1040, &start), kNone<ChunkId>);
  EXPECT_EQ(model.map.find(0x104f, &start), kNone<ChunkId>);
  EXPECT_EQ(model.map.find(0x1050, &start), ChunkId(2));
  EXPECT_EQ(model.map.find_run(0x103f), 0);
  EXPECT_EQ(model.map.find_run(0x1040), -1);
  EXPECT_EQ(model.map.find_run(0x1050), 1);
}

TEST(ChunkMap, NumbersChunksInAddressOrderHoweverRunsWereAdded) {
  Model model(4);
  model.add_run(0x9000, {0x20, 0x40}, 8, 2);
  model.add_run(0x1000, {0x20, 0x20, 0x20}, 0, 0);
  model.add_run(0x5000, {0x1000}, 16, 1);
  model.map.finish();
  model.expect_all_agree();
  EXPECT_EQ(model.map.address(ChunkId(3)).value(), 0x5000U);
  EXPECT_EQ(model.map.run_of(ChunkId(5)).heap, HeapId(2));
}

TEST(ChunkMap, RunsThatTouchStayApart) {
  Model model(4);
  model.add_run(0x1000, {0x400}, 8, 0);
  model.add_run(0x1400, {0x400}, 8, 1);
  model.map.finish();
  model.expect_all_agree();
  for (uint64_t a = 0xff0; a < 0x1810; ++a) model.expect_find_agrees(a);
}

TEST(ChunkMap, FindsTheStartBeforeAPointerIntoAHugeChunk) {
  // 1 GiB of granules: 2^20 bitmap words, 2^14 words of the first summary, 2^8 of the second.
  constexpr uint64_t kHuge = uint64_t{1} << 30;
  Model model(4);
  model.add_run(0x100000010, {0x20, kHuge, 0x20, kHuge + 0x70, 0x20}, 8, 0);
  model.map.finish();
  model.expect_all_agree();
  std::mt19937_64 random(1);
  const uint64_t span = 2 * kHuge + 0x100;
  for (int i = 0; i < 20000; ++i) model.expect_find_agrees(0x100000000 + random() % span);
  for (uint64_t a = 0; a < 0x80; ++a) {
    model.expect_find_agrees(0x100000010 + 0x20 + kHuge - 0x40 + a);
    model.expect_find_agrees(0x100000010 + 0x20 + kHuge + 0x20 + kHuge + 0x70 - 0x40 + a);
  }
}

// A chunk of a sparse core can be far larger than all that is in the dump.
TEST(ChunkMap, AChunkOfAHundredGigabytesTakesOneWord) {
  constexpr uint64_t kBegin = 0x7d0000000010, kSize = uint64_t{100} << 30;
  ChunkMap map;
  residue::Run run;
  run.begin = Address(kBegin);
  run.end = Address(kBegin + kSize);
  run.gap = 8;
  // The first chunk has 32 bytes, the second the rest.
  std::vector<uint64_t> starts(100);
  starts[0] = 0b101;
  map.add_run(run, starts);
  map.finish();
  EXPECT_EQ(map.runs()[0].words, 1U);
  ASSERT_EQ(map.size(), 2U);
  uint64_t start = 0;
  for (const uint64_t at : {uint64_t{32}, uint64_t{5000}, kSize / 2, kSize - 1}) {
    EXPECT_EQ(map.find(kBegin + at, &start), ChunkId(1)) << at;
    EXPECT_EQ(start, kBegin + 32);
  }
  EXPECT_EQ(map.find(kBegin + 31, &start), ChunkId(0));
  EXPECT_EQ(map.find(kBegin + kSize, &start), kNone<ChunkId>);
  EXPECT_EQ(map.usable(ChunkId(1)).value(), kSize - 32 - 8);
  uint64_t total = 0;
  map.for_each(
      [&](ChunkId, Address, ByteCount usable, const residue::Run&) { total += usable.value(); });
  EXPECT_EQ(total, kSize - 2 * 8);
}

TEST(ChunkMap, ReachesTheEndOfTheAddressSpace) {
  Model model(4);
  model.add_run(0xffffffffff600000, {0x20, 0x9fffc0}, 8, 0);
  model.add_run(0x10, {0x20}, 8, 0);
  model.map.finish();
  model.expect_all_agree();
  model.expect_find_agrees(~uint64_t{0});
  model.expect_find_agrees(0xffffffffffffffd0);
  model.expect_find_agrees(0);
}

TEST(ChunkMap, IteratesOverAnySubRangeAsOverAll) {
  Model model(4);
  std::mt19937_64 random(2);
  for (uint64_t run = 0; run < 5; ++run) {
    std::vector<uint64_t> spans(40);
    for (uint64_t& span : spans) span = 16 * (1 + random() % 100);
    model.add_run(0x10000 * (run + 1), spans, 8, static_cast<uint32_t>(run));
  }
  model.map.finish();
  model.expect_all_agree();
  for (uint32_t first = 0; first <= 201; first += 3) {
    for (uint32_t last = first; last <= 201; ++last) model.expect_range_agrees(first, last);
  }
  model.expect_range_agrees(5, ~uint32_t{0});
  model.expect_range_agrees(300, 400);
}

// One random shape: how long spans are, how many, with what gaps between runs.
struct Shape {
  unsigned granule_shift;
  size_t runs, chunks_per_run;
  uint64_t max_granules;  // of one span; sizes are skewed towards small ones
};

class RandomChunkMap : public ::testing::TestWithParam<Shape> {};

TEST_P(RandomChunkMap, AgreesWithTheModel) {
  const Shape& shape = GetParam();
  const uint64_t granule = uint64_t{1} << shape.granule_shift;
  std::mt19937_64 random(shape.chunks_per_run * 31 + shape.granule_shift);
  Model model(shape.granule_shift);
  uint64_t at = 0x555500000000 + granule;
  for (size_t r = 0; r < shape.runs; ++r) {
    std::vector<uint64_t> spans;
    uint64_t length = 0;
    const size_t count = 1 + random() % shape.chunks_per_run;
    for (size_t i = 0; i < count; ++i) {
      const uint64_t limit = random() % 8 == 0 ? shape.max_granules : 8;
      spans.push_back(granule * (1 + random() % limit));
      length += spans.back();
    }
    model.add_run(at, spans, 0, static_cast<uint32_t>(r));
    at += length + granule * (random() % 3 == 0 ? 0 : random() % 5000);
  }
  model.map.finish();
  model.expect_all_agree();
  const uint64_t low = model.chunks.begin()->first - 64;
  for (int i = 0; i < 50000; ++i) model.expect_find_agrees(low + random() % (at - low + 128));
  const auto size = static_cast<uint32_t>(model.chunks.size());
  for (int i = 0; i < 50; ++i) {
    const auto first = static_cast<uint32_t>(random() % size);
    model.expect_range_agrees(first, first + static_cast<uint32_t>(random() % 2000));
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, RandomChunkMap,
                         ::testing::Values(Shape{4, 1, 10, 4}, Shape{4, 50, 3, 300},
                                           Shape{3, 50, 3, 300}, Shape{4, 20, 5000, 2000},
                                           Shape{3, 20, 5000, 2000}, Shape{4, 3, 100, 3'000'000},
                                           Shape{3, 3, 100, 3'000'000}, Shape{4, 2000, 4, 70},
                                           Shape{4, 12, 80'000, 50}, Shape{3, 12, 80'000, 50}));

TEST(ChunkMap, HoldsMoreThanThreeHundredThousandChunks) {
  for (const unsigned shift : {3U, 4U}) {
    Model model(shift);
    std::mt19937_64 random(shift);
    std::vector<uint64_t> spans(350'000);
    for (uint64_t& span : spans) span = (2 + random() % 6) << shift;
    model.add_run(0x7f0000000000, spans, 8, 0);
    model.map.finish();
    model.expect_all_agree();
    model.expect_range_agrees(299'990, 300'123);
    model.expect_range_agrees(349'990, 360'000);
  }
}

}  // namespace
}  // namespace residue
