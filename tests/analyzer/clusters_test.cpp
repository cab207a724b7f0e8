// Clusters: which leaked chunk is the head, what belongs to it, and what is folded together.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <numeric>
#include <random>

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

TEST_F(ClustersTest, AShapeNamesTypesAndSizes) {
  const test::ClassInfo session = process.add_class("7Session");
  const test::ClassInfo request = process.add_class("7Request");
  for (int i = 0; i < 3; ++i) {
    const uint64_t head = alloc(104), name = alloc(56), owned = alloc(40);
    point(head, session.primary);
    point(owned, request.primary);
    process.memory().put_text(name, std::string(50, 'n'));
    point(head + 8, name);
    point(head + 16, owned);
    for (uint64_t k = 0; k < 2; ++k) point(head + 24 + 8 * k, alloc(24));
  }
  const Snapshot snapshot = process.analyze();
  ASSERT_EQ(snapshot.clusters.size(), 1U);
  const ClusterRow& row = snapshot.clusters[0];
  EXPECT_EQ(row.shape, "{Session, 56 bytes of text, 2 × 24 bytes, Request}");
  EXPECT_EQ(row.count, 3U);
  EXPECT_EQ(row.bytes_each, 104U + 56U + 40U + 2 * 24U);
  EXPECT_EQ(row.bytes, 3 * row.bytes_each);
  EXPECT_EQ(row.shared, 0U);
}

TEST_F(ClustersTest, MembersLikeTheHeadAreNamedWithIt) {
  const test::ClassInfo node = process.add_class("4Node");
  const uint64_t a = alloc(56), b = alloc(56), c = alloc(56);
  for (const uint64_t user : {a, b, c}) point(user, node.primary);
  point(a + 8, b);
  point(b + 8, c);
  point(c + 8, a);
  const uint64_t d = alloc(200), e = alloc(200);
  point(d, e);
  const Snapshot snapshot = process.analyze();
  ASSERT_EQ(snapshot.clusters.size(), 2U);
  EXPECT_EQ(snapshot.clusters[0].shape, "{2 × 200 bytes}");
  EXPECT_EQ(snapshot.clusters[1].shape, "{3 × Node}");
}

TEST_F(ClustersTest, BuffersOfTypedHeadsMayDifferInSizeAndTheShapeSaysSo) {
  const test::ClassInfo session = process.add_class("7Session");
  for (const uint64_t size : {56U, 24U, 72U}) {
    const uint64_t head = alloc(104);
    point(head, session.primary);
    point(head + 8, alloc(size));
    point(head + 16, alloc(200));
  }
  const Snapshot snapshot = process.analyze();
  ASSERT_EQ(snapshot.clusters.size(), 1U);
  EXPECT_EQ(snapshot.clusters[0].shape, "{Session, 200 bytes, 24-72 bytes}");
  EXPECT_EQ(snapshot.clusters[0].bytes_each, (3 * 304 + 56 + 24 + 72 + 1) / 3U);
}

TEST_F(ClustersTest, UntypedMembersOfUntypedHeadsAreToldApartBySize) {
  for (const uint64_t size : {40U, 40U, 56U}) point(alloc(104), alloc(size));
  const Snapshot snapshot = process.analyze();
  ASSERT_EQ(snapshot.clusters.size(), 2U);
  EXPECT_EQ(snapshot.clusters[0].shape, "{104 bytes, 40 bytes}");
  EXPECT_EQ(snapshot.clusters[0].count, 2U);
  EXPECT_EQ(snapshot.clusters[1].shape, "{104 bytes, 56 bytes}");
}

TEST_F(ClustersTest, TextHasTheLengthItHas) {
  for (const uint64_t size : {40U, 56U, 88U}) {
    const uint64_t head = alloc(104), text = alloc(size);
    process.memory().put_text(text, std::string(size - 2, 't'));
    point(head, text);
  }
  const Snapshot snapshot = process.analyze();
  ASSERT_EQ(snapshot.clusters.size(), 1U);
  EXPECT_EQ(snapshot.clusters[0].shape, "{104 bytes, 40-88 bytes of text}");
}

TEST_F(ClustersTest, AThousandHeadsThatShareOneChunkAreOneLine) {
  const test::ClassInfo session = process.add_class("7Session");
  const test::ClassInfo config = process.add_class("6Config");
  const uint64_t shared = alloc(56), below = alloc(40);
  point(shared, config.primary);
  point(shared + 8, below);
  for (int i = 0; i < 1000; ++i) {
    const uint64_t head = alloc(104);
    point(head, session.primary);
    point(head + 8, shared);
  }
  const Snapshot snapshot = process.analyze();
  ASSERT_EQ(snapshot.clusters.size(), 1U);
  const ClusterRow& row = snapshot.clusters[0];
  EXPECT_EQ(row.count, 1000U);
  EXPECT_EQ(row.chunks, 1002U);
  EXPECT_EQ(row.shared, 2U);
  EXPECT_EQ(row.bytes_each, 104U);
  EXPECT_EQ(row.bytes, 1000 * 104U + 56 + 40);
  EXPECT_EQ(row.shape, "{Session} sharing {Config, 40 bytes}");
  expect_sums(snapshot);
}

TEST_F(ClustersTest, WhatTwoTypesShareGoesToTheFirstNameWhereverItLies) {
  const test::ClassInfo alpha = process.add_class("5Alpha"), beta = process.add_class("4Beta");
  for (const bool alpha_first : {true, false}) {
    const uint64_t one = alloc(104), two = alloc(104), shared = alloc(40);
    point(one, alpha_first ? alpha.primary : beta.primary);
    point(two, alpha_first ? beta.primary : alpha.primary);
    point(one + 8, shared);
    point(two + 8, shared);
  }
  const Snapshot snapshot = process.analyze();
  ASSERT_EQ(snapshot.clusters.size(), 2U);
  EXPECT_EQ(snapshot.clusters[0].shape, "{Alpha} sharing {2 × 40 bytes}");
  EXPECT_EQ(snapshot.clusters[0].shared, 2U);
  EXPECT_EQ(snapshot.clusters[1].shape, "{Beta}");
}

TEST_F(ClustersTest, TheHeadOfACycleIsItsLargestWhereverItLies) {
  for (const bool large_first : {true, false}) {
    const uint64_t a = alloc(large_first ? 200 : 40), b = alloc(large_first ? 40 : 200);
    point(a, b);
    point(b, a);
  }
  const Snapshot snapshot = process.analyze();
  ASSERT_EQ(snapshot.clusters.size(), 1U);
  EXPECT_EQ(snapshot.clusters[0].shape, "{200 bytes, 40 bytes}");
  EXPECT_EQ(snapshot.clusters[0].count, 2U);
}

// A random graph of leaked chunks against what the definition says, computed by closure.
class RandomGraphTest : public ::testing::TestWithParam<unsigned> {
 protected:
  static constexpr size_t kNodes = 24;
  using Matrix = std::array<std::array<bool, kNodes>, kNodes>;

  struct Built {
    ProcessBuilder process;
    std::array<uint64_t, kNodes> user{};

    // The nodes lie in memory in the order `place`; the later ones are the larger ones.
    Built(const Matrix& edges, const std::vector<size_t>& place) {
      for (const size_t node : place) user[node] = process.heap().alloc(200 + 16 * node);
      for (size_t from = 0; from < kNodes; ++from) {
        uint64_t at = user[from];
        for (size_t to = 0; to < kNodes; ++to) {
          if (!edges[from][to]) continue;
          process.memory().put64(at, user[to] + (to % 3 == 0 ? 8 : 0));
          at += 8;
        }
      }
    }
  };
  static Matrix random_edges(std::mt19937& random) {
    Matrix edges{};
    const size_t count = random() % (2 * kNodes);
    for (size_t e = 0; e < count; ++e) edges[random() % kNodes][random() % kNodes] = true;
    return edges;
  }
  static Matrix closure(Matrix reach) {
    for (size_t i = 0; i < kNodes; ++i) reach[i][i] = true;
    for (size_t k = 0; k < kNodes; ++k)
      for (size_t i = 0; i < kNodes; ++i)
        for (size_t j = 0; j < kNodes; ++j) reach[i][j] |= reach[i][k] && reach[k][j];
    return reach;
  }
};

TEST_P(RandomGraphTest, HeadsAndSharesAreThoseOfTheDefinition) {
  std::mt19937 random(GetParam());
  const Matrix edges = random_edges(random);
  std::vector<size_t> place(kNodes);
  std::iota(place.begin(), place.end(), 0);
  std::shuffle(place.begin(), place.end(), random);
  Built built(edges, place);
  const auto& user = built.user;
  const Snapshot snapshot = built.process.analyze();
  expect_sums(snapshot);

  // A head for each strongly connected component that no other chunk leads into: its largest.
  const Matrix reach = closure(edges);
  std::vector<size_t> heads;
  for (size_t i = 0; i < kNodes; ++i) {
    bool is_head = true;
    for (size_t j = 0; j < kNodes; ++j) {
      if (!reach[j][i]) continue;
      is_head = is_head && reach[i][j] && j <= i;
    }
    if (is_head) heads.push_back(i);
    EXPECT_EQ(reach_of(snapshot, user[i]), is_head ? "leaked" : "indirect") << i;
  }
  // What exactly one head leads to is its own; the rest is shared, and with the largest of them.
  size_t shared = 0;
  for (size_t i = 0; i < kNodes; ++i) {
    std::vector<size_t> keepers;
    for (const size_t head : heads) {
      if (reach[head][i]) keepers.push_back(head);
    }
    ASSERT_FALSE(keepers.empty());
    shared += keepers.size() > 1 ? 1U : 0U;
    EXPECT_EQ(cluster_of(snapshot, user[i]), cluster_of(snapshot, user[keepers.back()])) << i;
  }
  uint64_t said = 0;
  for (const ClusterRow& row : snapshot.clusters) said += row.shared;
  EXPECT_EQ(said, shared);
}

TEST_P(RandomGraphTest, TheOrderInMemoryChangesNothing) {
  std::mt19937 random(GetParam());
  const Matrix edges = random_edges(random);
  std::vector<size_t> place(kNodes);
  std::iota(place.begin(), place.end(), 0);
  std::vector<std::string> seen;
  for (int order = 0; order < 2; ++order) {
    Built built(edges, place);
    const Snapshot snapshot = built.process.analyze();
    std::string text;
    for (const ClusterRow& row : snapshot.clusters) {
      text += row.shape + " " + std::to_string(row.count) + " " + std::to_string(row.chunks) + " " +
              std::to_string(row.bytes) + " " + std::to_string(row.shared) + "\n";
    }
    seen.push_back(text);
    std::shuffle(place.begin(), place.end(), random);
  }
  EXPECT_EQ(seen[0], seen[1]);
}

INSTANTIATE_TEST_SUITE_P(Clusters, RandomGraphTest, ::testing::Range(1U, 61U));

}  // namespace
}  // namespace residue
