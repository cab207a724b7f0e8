// The stored form of chunks: what goes in comes out, it is small, and damage is an error.
#include <gtest/gtest.h>

#include <functional>

#include "db/block_format.h"
#include "db/chunk_decoder.h"
#include "db/chunk_encoder.h"
#include "tests/db/synthetic_snapshot.h"

namespace residue {
namespace {

using testing::SyntheticHeap;

constexpr uint32_t kAllColumns = kPlaceColumns | kStateColumns | kTypeColumn | kOwnerColumn |
                                 kClusterColumn | kRetainedColumn | kDominatorColumn;

std::vector<std::vector<std::byte>> encode(const Snapshot& snapshot) {
  std::vector<std::vector<std::byte>> blocks;
  ChunkEncoder encoder(snapshot);
  EXPECT_TRUE(encoder.check());
  const auto flush = [&] {
    const auto block = encoder.finish();
    ASSERT_TRUE(block) << block.error().message;
    blocks.emplace_back(block->data.begin(), block->data.end());
  };
  snapshot.chunks.map.for_each([&](ChunkId, Address a, ByteCount n, const Run& run) {
    encoder.add(a, n, run);
    if (encoder.pending() == kBlockChunks) flush();
  });
  if (encoder.pending() > 0) flush();
  return blocks;
}

SyntheticHeap small_heap() {
  SyntheticHeap heap;
  testing::add_tables(heap.snapshot, 2, 1, 1);
  heap.begin_run(0x1000, 0, 8);
  heap.add(2, {ChunkState::kUsed, Reach::kLeaked, 1, 0, 0});
  heap.add(0x12345, {ChunkState::kFree, Reach::kNone});
  heap.add(4, {ChunkState::kCached, Reach::kNone});
  heap.end_run();
  heap.finish();
  return heap;
}

bool same(const ChunkBlock& a, const ChunkBlock& b) {
  return a.count == b.count && a.address == b.address && a.size == b.size && a.heap == b.heap &&
         a.state == b.state && a.reach == b.reach && a.type == b.type && a.owner == b.owner &&
         a.cluster == b.cluster && a.retained == b.retained && a.dominator == b.dominator;
}

TEST(ChunkBlock, RoundTripsEveryChunk) {
  const SyntheticHeap heap = testing::make_varied_heap();
  const auto blocks = encode(heap.snapshot);
  ASSERT_EQ(blocks.size(), (heap.expected.size() + 65535) / 65536);
  ChunkDecoder decoder;
  size_t id = 0;
  for (const auto& data : blocks) {
    ChunkBlock block;
    ASSERT_TRUE(decoder.decode(data, kAllColumns, block));
    for (size_t i = 0; i < block.count; ++i, ++id) {
      const auto& chunk = heap.expected[id];
      ASSERT_EQ(block.address[i], chunk.address) << id;
      ASSERT_EQ(block.size[i], chunk.size) << id;
      ASSERT_EQ(block.heap[i], chunk.heap) << id;
      ASSERT_EQ(block.state[i], static_cast<uint8_t>(chunk.state)) << id;
      ASSERT_EQ(block.reach[i], static_cast<uint8_t>(chunk.reach)) << id;
      ASSERT_EQ(block.type[i], chunk.type) << id;
      ASSERT_EQ(block.owner[i], chunk.owner) << id;
      ASSERT_EQ(block.cluster[i], chunk.cluster) << id;
      // Of a chunk that is not in use what it retains means nothing.
      if (chunk.state == ChunkState::kUsed) {
        ASSERT_EQ(block.retained[i], chunk.retained) << id;
      }
      ASSERT_EQ(block.dominator[i], chunk.dominator) << id;
    }
  }
  EXPECT_EQ(id, heap.expected.size());
}

TEST(ChunkBlock, HoldsAsManyTypesAsChunks) {
  SyntheticHeap heap;
  testing::add_tables(heap.snapshot, 65536, 1, 1);
  heap.begin_run(0x10000, 0, 8);
  for (uint32_t i = 0; i < 65536; ++i)
    heap.add(2, {ChunkState::kUsed, Reach::kReachable, 65535 - i});
  heap.end_run();
  heap.finish();
  const auto blocks = encode(heap.snapshot);
  ASSERT_EQ(blocks.size(), 1U);
  ChunkBlock block;
  ASSERT_TRUE(ChunkDecoder().decode(blocks[0], kTypeColumn, block));
  for (uint32_t i = 0; i < 65536; ++i) ASSERT_EQ(block.type[i], 65535 - i);
}

TEST(ChunkBlock, WhatNobodyAskedForIsAbsentRatherThanZero) {
  const auto blocks = encode(small_heap().snapshot);
  ChunkBlock block;
  ASSERT_TRUE(ChunkDecoder().decode(blocks[0], kAllColumns, block));
  EXPECT_TRUE(block.retained.empty());
  EXPECT_TRUE(block.dominator.empty());
}

TEST(ChunkBlock, RetainedSizesOfARegularHeapTakeLessThanAByteAChunk) {
  // Of five chunks one keeps the other four, as in a map of sessions.
  constexpr uint32_t kChunks = 1000000;
  SyntheticHeap heap;
  testing::add_tables(heap.snapshot, 1, 1, 1);
  heap.begin_run(0x10000, 0, 8);
  for (uint32_t i = 0; i < kChunks; ++i) heap.add(2 + i % 5, {});
  heap.end_run();
  heap.finish();
  const size_t without = [&] {
    size_t bytes = 0;
    for (const auto& data : encode(heap.snapshot)) bytes += data.size();
    return bytes;
  }();
  ChunkTable& chunks = heap.snapshot.chunks;
  chunks.retained = SizeColumn(kChunks);
  chunks.dominator.assign(kChunks, ChunkTable::kNoDominator);
  for (uint32_t i = 0; i < kChunks; ++i) {
    if (i % 5 == 0) chunks.retained.set(i, heap.expected[i].size + 248);
    if (i % 5 != 0) chunks.dominator[i] = i - i % 5;
  }
  size_t with = 0;
  for (const auto& data : encode(heap.snapshot)) with += data.size();
  EXPECT_LT(with - without, kChunks);
}

TEST(ChunkBlock, UnpacksOnlyTheColumnsAskedFor) {
  const auto blocks = encode(small_heap().snapshot);
  ChunkBlock block;
  ASSERT_TRUE(ChunkDecoder().decode(blocks[0], kStateColumns, block));
  EXPECT_EQ(block.count, 3U);
  EXPECT_EQ(block.state.size(), 3U);
  EXPECT_TRUE(block.address.empty());
  EXPECT_TRUE(block.type.empty());
}

TEST(ChunkBlock, TakesLessThanAByteAChunkOfARegularHeap) {
  // Ten million regular chunks are to stay well under 80 MB: a tenth of it.
  SyntheticHeap heap;
  testing::add_tables(heap.snapshot, 10, 1, 1);
  heap.begin_run(0x10000, 0, 8);
  for (uint32_t i = 0; i < 1000000; ++i) {
    heap.add(2 + i % 7,
             {ChunkState::kUsed, i % 5 == 0 ? Reach::kLeaked : Reach::kReachable, i % 7});
  }
  heap.end_run();
  heap.finish();
  size_t bytes = 0;
  for (const auto& data : encode(heap.snapshot)) bytes += data.size();
  EXPECT_LT(bytes, 800000U);
}

TEST(ChunkBlock, RefusesAnIdBeyondItsTable) {
  SyntheticHeap heap = small_heap();
  heap.snapshot.chunks.type[0] = 2;  // there are two types
  ChunkEncoder encoder(heap.snapshot);
  heap.snapshot.chunks.map.for_each(
      [&](ChunkId, Address a, ByteCount n, const auto& run) { encoder.add(a, n, run); });
  const auto block = encoder.finish();
  ASSERT_FALSE(block);
  EXPECT_EQ(block.error().code, ErrorCode::kInternal);
}

TEST(ChunkBlock, RefusesColumnsOfUnequalLength) {
  SyntheticHeap heap = small_heap();
  heap.snapshot.chunks.state.pop_back();
  EXPECT_FALSE(ChunkEncoder(heap.snapshot).check());
}

TEST(ChunkBlock, NoFlippedBitChangesWhatIsRead) {
  const SyntheticHeap heap = small_heap();
  auto data = encode(heap.snapshot)[0];
  ChunkBlock original;
  ASSERT_TRUE(ChunkDecoder().decode(data, kAllColumns, original));
  ChunkDecoder decoder;
  size_t refused = 0;
  for (size_t bit = 0; bit < data.size() * 8; ++bit) {
    data[bit / 8] ^= std::byte{1} << (bit % 8);
    ChunkBlock block;
    // zstd ignores one reserved bit of a frame's header; all else must be noticed.
    if (!decoder.decode(data, kAllColumns, block)) {
      ++refused;
    } else {
      EXPECT_TRUE(same(block, original)) << "bit " << bit;
    }
    data[bit / 8] ^= std::byte{1} << (bit % 8);
  }
  EXPECT_GT(refused, data.size() * 8 - 64);
}

TEST(ChunkBlock, EveryCutIsAnError) {
  const auto data = encode(small_heap().snapshot)[0];
  ChunkDecoder decoder;
  for (size_t size = 0; size < data.size(); ++size) {
    ChunkBlock block;
    const auto decoded = decoder.decode(std::span(data).first(size), kStateColumns, block);
    ASSERT_FALSE(decoded) << size;
    EXPECT_EQ(decoded.error().code, ErrorCode::kCorrupt);
  }
  auto longer = data;
  longer.push_back(std::byte{0});
  ChunkBlock block;
  EXPECT_FALSE(decoder.decode(longer, kStateColumns, block));
}

// A block whose frames are sound but whose header says what it likes, written from the format.
std::vector<std::byte> forge(const std::vector<uint64_t>& numbers,
                             const std::vector<std::vector<uint8_t>>& columns) {
  const auto compress = [](const std::vector<uint8_t>& raw) {
    std::vector<std::byte> frame(ZSTD_compressBound(raw.size()));
    frame.resize(ZSTD_compress(frame.data(), frame.size(), raw.data(), raw.size(), 1));
    return frame;
  };
  std::vector<std::byte> body;
  std::vector<uint64_t> all = numbers;
  for (const auto& column : columns) {
    const auto frame = column.empty() ? std::vector<std::byte>() : compress(column);
    all.push_back(frame.size());
    body.insert(body.end(), frame.begin(), frame.end());
  }
  std::vector<uint8_t> raw;
  for (uint64_t n : all) {
    for (; n >= 128; n >>= 7) raw.push_back(static_cast<uint8_t>(n | 128));
    raw.push_back(static_cast<uint8_t>(n));
  }
  const auto header = compress(raw);
  std::vector<std::byte> data = {std::byte{'R'}, std::byte{'C'}, std::byte{1}, std::byte{0}};
  for (unsigned i = 0; i < 4; ++i) data.push_back(static_cast<std::byte>(header.size() >> (8 * i)));
  data.insert(data.end(), header.begin(), header.end());
  data.insert(data.end(), body.begin(), body.end());
  return data;
}

TEST(ChunkBlock, LyingHeadersAreErrors) {
  ChunkDecoder decoder;
  ChunkBlock block;
  const std::vector<std::vector<uint8_t>> columns = {{2, 3, 0, 0}, {0, 1}, {0, 1}, {}, {}};
  //                              chunks, shift | segments: begin, chunks, heap, gap, tail
  //                              | long spans | three dictionaries
  const std::vector<uint64_t> sound = {2, 4, 1, 0x1000, 2, 1, 8, 0, 0, 2, 0, 4, 1, 0, 1, 0};
  ASSERT_TRUE(decoder.decode(forge(sound, columns), kAllColumns, block));
  EXPECT_EQ(block.address, (std::vector<uint64_t>{0x1000, 0x1020}));
  EXPECT_EQ(block.size, (std::vector<uint64_t>{24, 40}));
  EXPECT_EQ(block.type, (std::vector<uint32_t>{testing::kNoId, 1}));

  struct Lie {
    const char* what;
    size_t at;
    uint64_t value;
  };
  const std::vector<Lie> lies = {{"no chunks", 0, 0},
                                 {"more chunks than the columns", 0, 3},
                                 {"more chunks than a block has", 0, 1ULL << 40},
                                 {"shift", 1, 60},
                                 {"no segments", 2, 0},
                                 {"endless segments", 2, ~0ULL},
                                 {"a segment with too many chunks", 4, 3},
                                 {"a segment with too few chunks", 4, 1},
                                 {"an empty segment", 4, 0},
                                 {"long spans that are not there", 8, 60000},
                                 {"an empty dictionary", 9, 0},
                                 {"a dictionary too short for its indexes", 9, 1},
                                 {"a value out of range", 11, 1ULL << 40}};
  for (const Lie& lie : lies) {
    auto numbers = sound;
    numbers[lie.at] = lie.value;
    const auto decoded = decoder.decode(forge(numbers, columns), kAllColumns, block);
    EXPECT_FALSE(decoded) << lie.what;
  }
  auto bad_index = columns;
  bad_index[2] = {0, 2};
  EXPECT_FALSE(decoder.decode(forge(sound, bad_index), kAllColumns, block));
  auto bad_state = columns;
  bad_state[1] = {0, 3};
  EXPECT_FALSE(decoder.decode(forge(sound, bad_state), kAllColumns, block));
  auto missing = columns;
  missing[2] = {};
  EXPECT_FALSE(decoder.decode(forge(sound, missing), kAllColumns, block));
}

TEST(ChunkBlock, RandomHeadersDoNoHarm) {
  // Sound frames around nonsense, so that the checks behind the checksums are reached: run with the
  // address sanitizer.
  ChunkDecoder decoder;
  std::mt19937_64 random(1);
  const std::vector<uint64_t> sound = {2, 4,     1, 0x1000, 2, 1, 8, 0, 1,
                                       1, 70000, 2, 0,      4, 1, 0, 1, 0};
  size_t accepted = 0;
  for (int round = 0; round < 20000; ++round) {
    auto numbers = sound;
    for (uint64_t n = 1 + random() % 3; n > 0; --n) {
      numbers[random() % numbers.size()] = random() >> (random() % 64);
    }
    ChunkBlock block;
    const std::vector<std::vector<uint8_t>> columns = {{2, 3, 0, 0}, {0, 1}, {0, 1}, {}, {}};
    const auto decoded = decoder.decode(forge(numbers, columns), kAllColumns, block);
    if (!decoded) continue;
    ++accepted;
    EXPECT_EQ(block.address.size(), block.count);
    EXPECT_EQ(block.type.size(), block.count);
    EXPECT_LE(block.address[0], block.address[block.count - 1]);
  }
  EXPECT_GT(accepted, 0U);
}

TEST(ChunkBlock, AFrameThatUnpacksToGigabytesIsRefusedBeforeItIsUnpacked) {
  const std::vector<uint8_t> zeros(size_t{64} << 20);
  std::vector<std::byte> frame(ZSTD_compressBound(zeros.size()));
  frame.resize(ZSTD_compress(frame.data(), frame.size(), zeros.data(), zeros.size(), 1));
  std::vector<std::byte> data = {std::byte{'R'}, std::byte{'C'}, std::byte{1}, std::byte{0}};
  for (unsigned i = 0; i < 4; ++i) data.push_back(static_cast<std::byte>(frame.size() >> (8 * i)));
  data.insert(data.end(), frame.begin(), frame.end());
  ChunkBlock block;
  EXPECT_FALSE(ChunkDecoder().decode(data, kAllColumns, block));
}

}  // namespace
}  // namespace residue
