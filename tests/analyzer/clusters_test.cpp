// Clusters: which leaked chunk is the head, what belongs to it, and what is folded together.
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/analyzer/process_builder.h"
#include "tests/analyzer/snapshot_checks.h"

namespace residue {
namespace {

using test::chunk_at;
using test::cluster_of;
using test::ProcessBuilder;
using test::reach_of;

class ClustersTest : public ::testing::Test {
 protected:
  uint64_t alloc(uint64_t size = 100) { return process.heap().alloc(size); }
  void point(uint64_t from, uint64_t to) { process.memory().put64(from, to); }
  ProcessBuilder process;
};

// Every leak is in a cluster and nothing else is; clusters add up to the leaks.
void expect_sums(const Snapshot& snapshot) {
  uint64_t chunks = 0, bytes = 0;
  snapshot.chunks.map.for_each(
      [&](ChunkId id, Address user, ByteCount usable, const residue::Run&) {
        const bool leak = is_leak(snapshot.chunks.reach[id.value()]);
        EXPECT_EQ(leak, cluster_of(snapshot, user.value()) != nullptr) << std::hex << user.value();
        chunks += leak ? 1U : 0U;
        bytes += leak ? usable.value() : 0U;
      });
  uint64_t cluster_chunks = 0, cluster_bytes = 0, before = ~uint64_t{0};
  for (const ClusterRow& row : snapshot.clusters) {
    cluster_chunks += row.chunks;
    cluster_bytes += row.bytes;
    EXPECT_LE(row.bytes, before) << "most bytes first";
    EXPECT_GE(row.chunks, row.count);
    EXPECT_FALSE(row.evidence.empty());
    before = row.bytes;
  }
  EXPECT_EQ(cluster_chunks, chunks);
  EXPECT_EQ(cluster_bytes, bytes);
}

TEST_F(ClustersTest, ASingleLostChunkIsAClusterOfItsOwn) {
  const uint64_t user = alloc(104);
  const Snapshot snapshot = process.analyze();
  ASSERT_EQ(snapshot.clusters.size(), 1U);
  EXPECT_EQ(snapshot.clusters[0].head.value(), user);
  EXPECT_EQ(snapshot.clusters[0].count, 1U);
  EXPECT_EQ(snapshot.clusters[0].chunks, 1U);
  EXPECT_EQ(snapshot.clusters[0].bytes, 104U);
  EXPECT_EQ(snapshot.clusters[0].verdict, "leaked");
  expect_sums(snapshot);
}

TEST_F(ClustersTest, AChainOfTwoHasAHeadAndAFollower) {
  const uint64_t second = alloc(), first = alloc();
  point(first, second);
  const Snapshot snapshot = process.analyze();
  EXPECT_EQ(reach_of(snapshot, first), "leaked");
  EXPECT_EQ(reach_of(snapshot, second), "indirect");
  ASSERT_EQ(snapshot.clusters.size(), 1U);
  EXPECT_EQ(snapshot.clusters[0].head.value(), first);
  EXPECT_EQ(snapshot.clusters[0].chunks, 2U);
  expect_sums(snapshot);
}

TEST_F(ClustersTest, AnInteriorPointerToTheFollowerBindsItToo) {
  const uint64_t second = alloc(), first = alloc();
  point(first + 16, second + 40);
  const Snapshot snapshot = process.analyze();
  EXPECT_EQ(reach_of(snapshot, first), "leaked");
  EXPECT_EQ(reach_of(snapshot, second), "indirect");
  expect_sums(snapshot);
}

TEST_F(ClustersTest, ACycleOfTwoHasExactlyOneHead) {
  const uint64_t a = alloc(), b = alloc();
  point(a, b);
  point(b + 8, a);
  const Snapshot snapshot = process.analyze();
  std::vector<std::string> classes = {reach_of(snapshot, a), reach_of(snapshot, b)};
  std::sort(classes.begin(), classes.end());
  EXPECT_EQ(classes, (std::vector<std::string>{"indirect", "leaked"}));
  ASSERT_EQ(snapshot.clusters.size(), 1U);
  EXPECT_EQ(snapshot.clusters[0].chunks, 2U);
  EXPECT_EQ(snapshot.clusters[0].count, 1U);
  EXPECT_EQ(reach_of(snapshot, snapshot.clusters[0].head.value()), "leaked");
  expect_sums(snapshot);
}

TEST_F(ClustersTest, TheTailOfACycleDoesNotBecomeItsHead) {
  const uint64_t tail = alloc(), a = alloc(), b = alloc(), far = alloc();
  point(a, b);
  point(b, a);
  point(a + 8, tail);
  point(tail, far);
  const Snapshot snapshot = process.analyze();
  EXPECT_EQ(reach_of(snapshot, tail), "indirect");
  EXPECT_EQ(reach_of(snapshot, far), "indirect");
  ASSERT_EQ(snapshot.clusters.size(), 1U);
  EXPECT_EQ(snapshot.clusters[0].chunks, 4U);
  expect_sums(snapshot);
}

TEST_F(ClustersTest, AHeadInFrontOfACycleIsTheOnlyHead) {
  const uint64_t a = alloc(), b = alloc(), head = alloc();
  point(a, b);
  point(b, a);
  point(head, b);
  const Snapshot snapshot = process.analyze();
  EXPECT_EQ(reach_of(snapshot, head), "leaked");
  EXPECT_EQ(reach_of(snapshot, a), "indirect");
  EXPECT_EQ(reach_of(snapshot, b), "indirect");
  expect_sums(snapshot);
}

TEST_F(ClustersTest, AChunkThatPointsOnlyToItselfIsLeaked) {
  const uint64_t user = alloc();
  point(user, user);
  point(user + 8, user + 16);
  const Snapshot snapshot = process.analyze();
  EXPECT_EQ(reach_of(snapshot, user), "leaked");
  expect_sums(snapshot);
}

TEST_F(ClustersTest, TwoEqualInstancesFoldIntoOneRow) {
  std::vector<uint64_t> heads;
  for (int i = 0; i < 2; ++i) {
    const uint64_t head = alloc(200), child = alloc(40);
    point(head, child);
    heads.push_back(head);
  }
  const Snapshot snapshot = process.analyze();
  ASSERT_EQ(snapshot.clusters.size(), 1U);
  EXPECT_EQ(snapshot.clusters[0].count, 2U);
  EXPECT_EQ(snapshot.clusters[0].chunks, 4U);
  EXPECT_EQ(snapshot.clusters[0].bytes, 2 * (200U + 40U));
  EXPECT_EQ(snapshot.clusters[0].head.value(), heads[0]);
  EXPECT_EQ(reach_of(snapshot, heads[0]), "leaked");
  EXPECT_EQ(reach_of(snapshot, heads[1]), "leaked");
  expect_sums(snapshot);
}

TEST_F(ClustersTest, DifferentShapesStayApart) {
  alloc(200);
  const uint64_t head = alloc(200);
  point(head, alloc(40));
  alloc(300);
  const Snapshot snapshot = process.analyze();
  EXPECT_EQ(snapshot.clusters.size(), 3U);
  expect_sums(snapshot);
}

TEST_F(ClustersTest, ManyEqualInstancesFoldAndAddUp) {
  for (int i = 0; i < 1000; ++i) {
    const uint64_t head = alloc(200);
    for (uint64_t child = 0; child < 3; ++child) point(head + 8 * child, alloc(56));
  }
  const Snapshot snapshot = process.analyze();
  ASSERT_EQ(snapshot.clusters.size(), 1U);
  EXPECT_EQ(snapshot.clusters[0].count, 1000U);
  EXPECT_EQ(snapshot.clusters[0].chunks, 4000U);
  EXPECT_EQ(snapshot.clusters[0].bytes, 1000 * (200U + 3 * 56U));
  expect_sums(snapshot);
}

TEST_F(ClustersTest, AChunkSharedByTwoHeadsIsIndirectAndCountedOnce) {
  const uint64_t shared = alloc(40), a = alloc(200), b = alloc(200);
  point(a, shared);
  point(b, shared);
  const Snapshot snapshot = process.analyze();
  EXPECT_EQ(reach_of(snapshot, a), "leaked");
  EXPECT_EQ(reach_of(snapshot, b), "leaked");
  EXPECT_EQ(reach_of(snapshot, shared), "indirect");
  expect_sums(snapshot);
}

TEST_F(ClustersTest, PointersFromLeakedToLiveChunksChangeNothing) {
  const uint64_t live = alloc(40), lost = alloc(200);
  point(process.global(), live);
  point(lost, live);
  const Snapshot snapshot = process.analyze();
  EXPECT_EQ(reach_of(snapshot, live), "reachable");
  EXPECT_EQ(reach_of(snapshot, lost), "leaked");
  ASSERT_EQ(snapshot.clusters.size(), 1U);
  EXPECT_EQ(snapshot.clusters[0].chunks, 1U);
  expect_sums(snapshot);
}

TEST_F(ClustersTest, StaleChunksAreClustersWithTheirOwnVerdict) {
  const uint64_t head = alloc(200), child = alloc(40), freed = alloc(600);
  alloc(24);
  point(head, child);
  point(freed + 64, head);
  process.heap().free_to_unsorted(freed);
  const Snapshot snapshot = process.analyze();
  const ClusterRow* cluster = cluster_of(snapshot, head);
  ASSERT_NE(cluster, nullptr);
  EXPECT_EQ(cluster->verdict, "stale");
  EXPECT_EQ(cluster->chunks, 2U);
  EXPECT_EQ(cluster, cluster_of(snapshot, child));
  expect_sums(snapshot);
}

TEST_F(ClustersTest, ALongLeakedChainHasOneHead) {
  const uint64_t head = alloc(24);
  uint64_t last = head;
  for (int i = 0; i < 30000; ++i) {
    const uint64_t next = alloc(24);
    point(last, next);
    last = next;
  }
  point(last, head + 8);  // and back into the head
  const Snapshot snapshot = process.analyze();
  ASSERT_EQ(snapshot.clusters.size(), 1U);
  EXPECT_EQ(snapshot.clusters[0].chunks, 30001U);
  expect_sums(snapshot);
}

TEST_F(ClustersTest, MoreShapesThanAnybodyReadsStillAddUp) {
  for (uint64_t i = 0; i < 150; ++i) {
    for (uint64_t j = 0; j < 150; ++j) {
      const uint64_t head = alloc(24 + 16 * i);
      point(head, alloc(24 + 16 * j));
    }
  }
  expect_sums(process.analyze());
}

TEST_F(ClustersTest, TheHeadsClassIsTheClustersType) {
  const test::ClassInfo session = process.add_class("N3app7SessionE");
  const uint64_t head = alloc(64);
  point(head, session.primary);
  point(head + 8, alloc(40));
  const Snapshot snapshot = process.analyze();
  ASSERT_EQ(snapshot.clusters.size(), 1U);
  EXPECT_EQ(snapshot.clusters[0].type, "app::Session");
  EXPECT_EQ(snapshot.clusters[0].module, "server");
  EXPECT_NE(snapshot.clusters[0].shape.find("app::Session"), std::string::npos);
}

}  // namespace
}  // namespace residue
