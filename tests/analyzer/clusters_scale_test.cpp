// Clusters of many chunks: graphs made by hand, because a synthetic process of this size would take
// longer than what it tests.
#include <gtest/gtest.h>

#include "analyzer/cluster_shapes.h"
#include "analyzer/clusters.h"

namespace residue {
namespace {

constexpr uint64_t kBase = 0x100000;

// Leaked chunks, one behind the other, with their references in the order of their sources.
class LeakedHeap {
 public:
  // Adds a chunk of 16 n + 8 usable bytes.
  uint32_t add(uint64_t n) {
    starts_.push_back(end_);
    end_ += n + 1;

    edges_.emplace_back();
    return static_cast<uint32_t>(starts_.size() - 1);
  }
  void point(uint32_t from, uint32_t to) { edges_[from].push_back(to); }

  std::vector<ClusterRow> clusters() {
    Run run;
    run.begin = Address(kBase);
    run.end = Address(kBase + 16 * end_);
    run.heap = HeapId(0);
    run.gap = 8;
    table_.map = ChunkMap(4);
    run.words = 0;
    std::vector<uint64_t> bits(end_ / 64 + 1);
    for (const uint64_t start : starts_) bits[start / 64] |= uint64_t{1} << start % 64;
    table_.map.add_run(run, std::move(bits));
    table_.map.finish();
    const size_t n = starts_.size();
    table_.state.assign(n, ChunkState::kUsed);
    table_.reach.assign(n, Reach::kLeaked);
    table_.type.assign(n, kNone<TypeId>.value());
    table_.owner.assign(n, kNone<OwnerId>.value());
    size_t count = 0;
    for (const auto& targets : edges_) count += targets.size();
    graph_.targets = Column<Edge>(count + 1);
    for (uint32_t i = 0; i <= n; ++i) {
      if (i % ReferenceGraph::kBlock == 0) graph_.base.push_back(graph_.targets.size());
      graph_.offset.push_back(static_cast<uint32_t>(graph_.targets.size() - graph_.base.back()));
      if (i == n) break;
      for (const uint32_t to : edges_[i]) graph_.targets.push_back(Edge(ChunkId(to), false));
    }
    return find_clusters(graph_, {}, {}, "", &table_);
  }
  uint64_t address(uint32_t id) const { return kBase + 16 * starts_[id]; }
  const ChunkTable& table() const { return table_; }

 private:
  std::vector<uint64_t> starts_;
  uint64_t end_ = 0;
  std::vector<std::vector<uint32_t>> edges_;
  ReferenceGraph graph_;
  ChunkTable table_;
};

void expect_totals(const std::vector<ClusterRow>& rows, uint64_t count, uint64_t chunks) {
  uint64_t sum = 0, all = 0;
  for (const ClusterRow& row : rows) {
    sum += row.count;
    all += row.chunks;
  }
  EXPECT_EQ(sum, count);
  EXPECT_EQ(all, chunks);
}

TEST(ClustersScale, AListOfAMillionNodesIsOneCluster) {
  constexpr uint32_t kNodes = 1000000;
  LeakedHeap heap;
  for (uint32_t i = 0; i < kNodes; ++i) heap.add(i == kNodes / 2 ? 2 : 1);
  for (uint32_t i = 0; i + 1 < kNodes; ++i) {
    heap.point(i, i + 1);
    heap.point(i + 1, i);  // and back: all of it is one strongly connected component
  }
  const auto rows = heap.clusters();
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(rows[0].count, 1U);
  EXPECT_EQ(rows[0].chunks, kNodes);
  EXPECT_EQ(rows[0].head.value(), heap.address(kNodes / 2)) << "the largest";
  EXPECT_EQ(rows[0].shape, "{40 bytes, 999999 × 24 bytes}");
}

TEST(ClustersScale, AChainThatRunsBackwardsInMemoryHasItsLastChunkAsHead) {
  constexpr uint32_t kNodes = 1000000;
  LeakedHeap heap;
  for (uint32_t i = 0; i < kNodes; ++i) heap.add(1);
  for (uint32_t i = 1; i < kNodes; ++i) heap.point(i, i - 1);
  const auto rows = heap.clusters();
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(rows[0].head.value(), heap.address(kNodes - 1));
  EXPECT_EQ(rows[0].chunks, kNodes);
}

// Every head meets everything that the others have claimed: each chunk is shared once all the same.
TEST(ClustersScale, ManyHeadsOfOneListShareItInLinearTime) {
  constexpr uint32_t kHeads = 300000, kNodes = 300000;
  LeakedHeap heap;
  for (uint32_t i = 0; i < kHeads; ++i) heap.add(3);
  for (uint32_t i = 0; i < kNodes; ++i) heap.add(1);
  for (uint32_t i = 0; i < kHeads; ++i) heap.point(i, kHeads + i);
  for (uint32_t i = 0; i + 1 < kNodes; ++i) heap.point(kHeads + i, kHeads + i + 1);
  const auto rows = heap.clusters();
  // The first head alone leads to the list's first node.
  ASSERT_EQ(rows.size(), 2U);
  expect_totals(rows, kHeads, kHeads + kNodes);
  EXPECT_EQ(rows[0].shared + rows[1].shared, kNodes - 1);
}

TEST(ClustersScale, OfTooManyShapesTheLargestAreToldApart) {
  LeakedHeap heap;
  constexpr uint32_t kShapes = 30000;
  for (uint32_t i = 0; i < kShapes; ++i) heap.add(i + 1);  // the largest comes last
  const auto rows = heap.clusters();
  ASSERT_EQ(rows.size(), ShapeTable::kMaxClusters + 1);
  expect_totals(rows, kShapes, kShapes);
  size_t folded = 0;
  for (const ClusterRow& row : rows) folded += row.count > 1 ? 1 : 0;
  EXPECT_EQ(folded, 1U);
  EXPECT_EQ(rows[0].count, kShapes - ShapeTable::kMaxClusters) << "the rest is the largest row";
  EXPECT_EQ(rows[1].head.value(), heap.address(kShapes - 1));
  uint64_t in_rest = 0;
  for (const uint32_t cluster : heap.table().cluster) in_rest += cluster == 0 ? 1 : 0;
  EXPECT_EQ(in_rest, rows[0].count);
}

TEST(ClustersScale, MoreShapesThanAreToldApartStillAddUp) {
  LeakedHeap heap;
  uint32_t instances = 0, chunks = 0;
  for (uint32_t a = 1; a <= 500; ++a) {
    for (uint32_t b = 1; b <= 500; ++b) {
      const uint32_t head = heap.add(a);
      heap.point(head, heap.add(b));
      ++instances;
      chunks += 2;
    }
  }
  ASSERT_GT(instances, ShapeTable::kMaxShapes);
  const auto rows = heap.clusters();
  EXPECT_LE(rows.size(), ShapeTable::kMaxClusters + 1);
  EXPECT_GE(rows.size(), ShapeTable::kMaxClusters);
  expect_totals(rows, instances, chunks);
}

TEST(ClustersScale, FiveMillionLeakedChunksAreFourShapes) {
  LeakedHeap heap;
  for (uint32_t i = 0; i < 5000000; ++i) heap.add(1 + i % 4);
  for (uint32_t i = 0; i < 5000000; i += 5) {
    for (uint32_t k = 1; k < 5; ++k) heap.point(i, i + k);
  }
  const auto rows = heap.clusters();
  ASSERT_EQ(rows.size(), 4U);
  expect_totals(rows, 1000000, 5000000);
}

}  // namespace
}  // namespace residue
