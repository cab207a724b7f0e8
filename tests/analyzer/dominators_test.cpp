// Dominators against their definition: what cannot be reached any more when a node is taken away is
// what that node dominates. Thousands of small random graphs, and large ones of known shape.
#include "analyzer/dominators.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>

namespace residue {
namespace {

using Rows = std::vector<std::vector<uint32_t>>;

// The graph under test, in the plainest form.
struct Heap {
  Rows edges;                // chunk to chunks
  std::vector<Reach> reach;  // of each chunk
  // Per phase and owner, the chunks it refers to.
  std::vector<std::map<uint32_t, std::vector<uint32_t>>> owners;

  uint32_t size() const { return static_cast<uint32_t>(edges.size()); }
};

ReferenceGraph graph_of(const Rows& edges) {
  ReferenceGraph graph;
  size_t count = 0;
  for (const auto& row : edges) count += row.size();
  graph.targets = Column<Edge>(count + 1);
  for (size_t i = 0; i <= edges.size(); ++i) {
    if (i % ReferenceGraph::kBlock == 0) graph.base.push_back(graph.targets.size());
    graph.offset.push_back(static_cast<uint32_t>(graph.targets.size() - graph.base.back()));
    if (i == edges.size()) break;
    for (const uint32_t target : edges[i]) {
      graph.targets.push_back(Edge(ChunkId(target), target % 3 == 0));
    }
  }
  return graph;
}

Holders holders_of(const Heap& heap) {
  Holders holders;
  for (const auto& owners : heap.owners) {
    std::map<uint32_t, std::set<uint32_t>> by_chunk;
    for (const auto& [owner, chunks] : owners) {
      for (const uint32_t chunk : chunks) by_chunk[chunk].insert(owner);
    }
    Holders::Phase phase;
    for (const auto& [chunk, who] : by_chunk) {
      if (who.size() > 1) phase.shared.push_back(chunk);
    }
    for (const auto& [owner, chunks] : owners) {
      const size_t before = phase.chunk.size();
      for (const uint32_t chunk : std::set<uint32_t>(chunks.begin(), chunks.end())) {
        if (by_chunk[chunk].size() == 1) phase.chunk.push_back(chunk);
      }
      if (phase.chunk.size() == before) continue;
      phase.owner.push_back(owner);
      phase.begin.push_back(static_cast<uint32_t>(phase.chunk.size()));
    }
    holders.phases.push_back(std::move(phase));
  }
  return holders;
}

// ---- the definition, executed ----

// Nodes are chunks, and owners as kOwner + id.
constexpr uint32_t kOwner = 1000;
constexpr uint32_t kNothing = ~uint32_t{0};

// What can be reached in one phase without `removed`: from these roots, only over `within`.
std::set<uint32_t> reachable(const Heap& heap,
                             const std::map<uint32_t, std::vector<uint32_t>>& from,
                             const std::set<uint32_t>& within, uint32_t removed) {
  std::set<uint32_t> seen;
  std::vector<uint32_t> todo;
  const auto enter = [&](uint32_t chunk) {
    if (chunk != removed && within.contains(chunk) && seen.insert(chunk).second) {
      todo.push_back(chunk);
    }
  };
  for (const auto& [owner, chunks] : from) {
    if (owner + kOwner == removed) continue;
    for (const uint32_t chunk : chunks) enter(chunk);
  }
  while (!todo.empty()) {
    const uint32_t at = todo.back();
    todo.pop_back();
    for (const uint32_t target : heap.edges[at]) enter(target);
  }
  return seen;
}

// For each node, what it dominates (itself not).
std::map<uint32_t, std::set<uint32_t>> dominated_by_definition(const Heap& heap) {
  std::map<uint32_t, std::set<uint32_t>> result;
  std::set<uint32_t> open;
  for (uint32_t i = 0; i < heap.size(); ++i) {
    if (heap.reach[i] == Reach::kReachable) open.insert(i);
  }
  const auto add_phase = [&](const std::map<uint32_t, std::vector<uint32_t>>& from,
                             bool owners_count) {
    const std::set<uint32_t> all = reachable(heap, from, open, kNothing);
    std::vector<uint32_t> nodes(all.begin(), all.end());
    for (const auto& [owner, chunks] : from) {
      if (owners_count) nodes.push_back(owner + kOwner);
    }
    for (const uint32_t node : nodes) {
      const std::set<uint32_t> left = reachable(heap, from, open, node);
      for (const uint32_t chunk : all) {
        if (chunk != node && !left.contains(chunk)) result[node].insert(chunk);
      }
    }
    for (const uint32_t chunk : all) open.erase(chunk);
  };
  for (const auto& owners : heap.owners) add_phase(owners, true);
  // Leaks: the heads are roots, each for itself.
  for (uint32_t i = 0; i < heap.size(); ++i) {
    if (is_leak(heap.reach[i])) open.insert(i);
  }
  std::map<uint32_t, std::vector<uint32_t>> heads;
  for (uint32_t i = 0; i < heap.size(); ++i) {
    if (heap.reach[i] == Reach::kLeaked) heads[i] = {i};
  }
  add_phase(heads, false);
  return result;
}

std::map<uint32_t, std::set<uint32_t>> dominated_by_tree(const DominatorTree& tree) {
  std::map<uint32_t, std::set<uint32_t>> result;
  for (uint32_t v = 1; v < tree.size; ++v) {
    if (tree.is_owner(v)) continue;
    for (uint32_t up = tree.idom[v]; up != 0; up = tree.idom[up]) {
      const uint32_t name = tree.is_owner(up) ? tree.owner(up) + kOwner : tree.node[up];
      result[name].insert(tree.node[v]);
    }
  }
  return result;
}

// Marks as mark_reach() and find_clusters() would: what the owners reach is reachable; of the rest
// every chunk that nobody reaches before it is a head, in the order of their numbers.
void mark(Heap* heap) {
  heap->reach.assign(heap->size(), Reach::kReachable);
  std::map<uint32_t, std::vector<uint32_t>> all;
  for (const auto& owners : heap->owners) {
    for (const auto& [owner, chunks] : owners) {
      all[owner].insert(all[owner].end(), chunks.begin(), chunks.end());
    }
  }
  std::set<uint32_t> everything;
  for (uint32_t i = 0; i < heap->size(); ++i) everything.insert(i);
  const std::set<uint32_t> live = reachable(*heap, all, everything, kNothing);
  std::set<uint32_t> rest;
  std::set_difference(everything.begin(), everything.end(), live.begin(), live.end(),
                      std::inserter(rest, rest.end()));
  for (uint32_t i = 0; i < heap->size(); ++i) {
    if (live.contains(i)) continue;
    heap->reach[i] = Reach::kIndirect;
    if (!rest.contains(i)) continue;
    heap->reach[i] = Reach::kLeaked;
    for (const uint32_t chunk : reachable(*heap, {{0, {i}}}, rest, kNothing)) rest.erase(chunk);
  }
}

Heap random_heap(std::mt19937* random) {
  const auto below = [random](uint32_t n) { return static_cast<uint32_t>((*random)() % n); };
  Heap heap;
  const uint32_t n = 1 + below(14);
  heap.edges.resize(n);
  const uint32_t edges = below(3 * n);
  for (uint32_t i = 0; i < edges; ++i) {
    const uint32_t from = below(n);
    const uint32_t to = below(n);
    if (from != to)
      heap.edges[from].push_back(to);  // chunks' references to themselves are left out
  }
  heap.owners.resize(2);
  const uint32_t hits = 1 + below(n);
  for (uint32_t i = 0; i < hits; ++i) heap.owners[below(2)][below(4)].push_back(below(n));
  // An owner belongs to one phase.
  for (const auto& [owner, chunks] : heap.owners[0]) heap.owners[1].erase(owner);
  mark(&heap);
  return heap;
}

TEST(Dominators, AreThoseOfTheDefinitionOnRandomGraphs) {
  std::mt19937 random(7);
  size_t nontrivial = 0;
  for (int i = 0; i < 20000; ++i) {
    const Heap heap = random_heap(&random);
    // Every other time with jump pointers from the first long walk on.
    const uint64_t steps = i % 2 == 0 ? 8 : 0;
    const DominatorTree tree =
        find_dominators(graph_of(heap.edges), heap.reach, holders_of(heap), steps);
    const auto expected = dominated_by_definition(heap);
    const auto found = dominated_by_tree(tree);
    ASSERT_EQ(found, expected) << "graph " << i;
    nontrivial += expected.size() > 2 ? 1 : 0;
  }
  EXPECT_GT(nontrivial, 5000U);
}

TEST(Dominators, RetainedSizesAreWhatWouldBecomeFree) {
  std::mt19937 random(8);
  for (int i = 0; i < 5000; ++i) {
    const Heap heap = random_heap(&random);
    DominatorTree tree = find_dominators(graph_of(heap.edges), heap.reach, holders_of(heap));
    BigArray<uint64_t> own(heap.size());
    uint64_t total = 0;
    for (uint32_t k = 0; k < heap.size(); ++k) {
      own[k] = 16 + random() % 5000;
      total += own[k];
    }
    add_sizes(&tree, own);
    auto dominated = dominated_by_definition(heap);
    uint64_t roots = 0;
    for (uint32_t v = 1; v < tree.size; ++v) {
      const bool owner = tree.is_owner(v);
      uint64_t expected = owner ? 0 : own[tree.node[v]];
      const auto& below = dominated[owner ? tree.owner(v) + kOwner : tree.node[v]];
      for (const uint32_t chunk : below) expected += own[chunk];
      ASSERT_EQ(tree.bytes[v], expected) << "graph " << i;
      ASSERT_EQ(tree.count[v], below.size() + 1) << "graph " << i;
      if (tree.idom[v] == 0) roots += tree.bytes[v];
    }
    // Conservation: the super-root's children keep everything, each byte once.
    ASSERT_EQ(roots, total);
    ASSERT_EQ(tree.bytes[0], total);
  }
}

TEST(Dominators, PlacesNestAsTheTreeDoes) {
  std::mt19937 random(9);
  for (int i = 0; i < 2000; ++i) {
    const Heap heap = random_heap(&random);
    const DominatorTree tree = find_dominators(graph_of(heap.edges), heap.reach, holders_of(heap));
    std::set<uint32_t> numbers;
    for (uint32_t place = 0; place < tree.size; ++place) {
      const uint32_t v = tree.nested[place];
      numbers.insert(v);
      std::set<uint32_t> expected;
      for (uint32_t w = 1; w < tree.size; ++w) {
        if (tree.idom[w] == v) expected.insert(w);
      }
      std::set<uint32_t> found;
      tree.for_each_child(place, [&](uint32_t child, uint32_t at) {
        found.insert(child);
        ASSERT_EQ(tree.nested[at], child);
      });
      ASSERT_EQ(found, expected);
    }
    ASSERT_EQ(numbers.size(), tree.size);
  }
}

// ---- shapes ----

DominatorTree tree_of(const Rows& edges, const std::map<uint32_t, std::vector<uint32_t>>& owners,
                      Reach reach = Reach::kReachable) {
  Heap heap;
  heap.edges = edges;
  heap.owners.push_back(owners);
  heap.reach.assign(edges.size(), reach);
  DominatorTree tree = find_dominators(graph_of(edges), heap.reach, holders_of(heap));
  BigArray<uint64_t> own(edges.size());
  for (size_t i = 0; i < edges.size(); ++i) own[i] = 1;
  add_sizes(&tree, own);
  return tree;
}

// Chunks (or owners) that each chunk is immediately dominated by; kNothing for the super-root.
std::vector<uint32_t> idoms(const DominatorTree& tree, size_t chunks) {
  std::vector<uint32_t> result(chunks, kNothing);
  for (uint32_t v = 1; v < tree.size; ++v) {
    if (tree.is_owner(v)) continue;
    const uint32_t up = tree.idom[v];
    if (up != 0) {
      result[tree.node[v]] = tree.is_owner(up) ? tree.owner(up) + kOwner * 1000000 : tree.node[up];
    }
  }
  return result;
}

TEST(Dominators, OfAListOfAMillionEachKeepsTheNext) {
  constexpr uint32_t kLength = 1000000;
  Rows edges(kLength);
  for (uint32_t i = 0; i + 1 < kLength; ++i) edges[i] = {i + 1};
  const DominatorTree tree = tree_of(edges, {{0, {0}}});
  const auto up = idoms(tree, kLength);
  for (uint32_t i = 1; i < kLength; ++i) ASSERT_EQ(up[i], i - 1);
  EXPECT_EQ(tree.bytes[1], kLength);  // the owner
}

TEST(Dominators, OfADoublyLinkedListWithBothEndsKnownTheOwnerKeepsAll) {
  constexpr uint32_t kLength = 1000000;
  Rows edges(kLength);
  for (uint32_t i = 0; i < kLength; ++i) {
    if (i + 1 < kLength) edges[i].push_back(i + 1);
    if (i > 0) edges[i].push_back(i - 1);
  }
  const DominatorTree tree = tree_of(edges, {{5, {0, kLength - 1}}});
  for (uint32_t v = 2; v < tree.size; ++v) ASSERT_EQ(tree.idom[v], 1U);
}

// Where the walks of semi-NCA are longest: a list whose payloads a table refers to as well. The
// table dominates every payload, half a list away. Quadratic, this would take hours.
TEST(Dominators, ALongListBesideATableOfTheSameThingsTakesNoQuadraticTime) {
  constexpr uint32_t kLength = 500000;
  // 0: an object with the list's head and the table; 1: the table; then nodes, then payloads.
  Rows edges(2 + 2 * kLength);
  edges[0] = {2, 1};
  for (uint32_t i = 0; i < kLength; ++i) {
    const uint32_t node = 2 + i;
    const uint32_t payload = 2 + kLength + i;
    if (i + 1 < kLength) edges[node].push_back(node + 1);
    edges[node].push_back(payload);
    edges[1].push_back(payload);
  }
  const DominatorTree tree = tree_of(edges, {{0, {0}}});
  const auto up = idoms(tree, edges.size());
  for (uint32_t i = 0; i < kLength; ++i) {
    ASSERT_EQ(up[2 + kLength + i], 0U);
    ASSERT_EQ(up[2 + i], i == 0 ? 0U : 1 + i);
  }
}

TEST(Dominators, OfAStarTheMiddleKeepsAll) {
  constexpr uint32_t kLeaves = 1000000;
  Rows edges(kLeaves + 1);
  for (uint32_t i = 1; i <= kLeaves; ++i) edges[0].push_back(i);
  const DominatorTree tree = tree_of(edges, {{3, {0}}});
  const auto up = idoms(tree, edges.size());
  for (uint32_t i = 1; i <= kLeaves; ++i) ASSERT_EQ(up[i], 0U);
  EXPECT_EQ(tree.bytes[1], kLeaves + 1);
}

TEST(Dominators, AMillionOwnersOfOneChunkKeepNothing) {
  std::map<uint32_t, std::vector<uint32_t>> owners;
  for (uint32_t i = 0; i < 1000000; ++i) owners[i] = {0};
  const DominatorTree tree = tree_of({{1}, {}}, owners);
  EXPECT_EQ(idoms(tree, 2), (std::vector<uint32_t>{kNothing, 0}));
}

TEST(Dominators, ALeakedCycleThatNothingEntersIsKeptByOneOfItsOwn) {
  // Only stale chunks, so that there is no head: 0 -> 1 -> 2 -> 1, and 2 -> 3; all in two cycles.
  const Rows edges = {{1}, {2}, {1, 3}, {}, {0, 5}, {4}};
  const DominatorTree tree = tree_of(edges, {}, Reach::kStale);
  const auto up = idoms(tree, edges.size());
  // 4 and 5 refer to each other, and nothing else leads there: one of them keeps everything.
  EXPECT_EQ((up[4] == kNothing) + (up[5] == kNothing), 1);
  EXPECT_EQ(up[0], 4U);
  EXPECT_EQ(up[1], 0U);
  EXPECT_EQ(up[2], 1U);
  EXPECT_EQ(up[3], 2U);
  EXPECT_EQ(tree.live, 1U);
}

TEST(Dominators, WhatIsAliveForAnUnknownReasonHangsOnTheRoot) {
  const Rows edges = {{1}, {}};
  const DominatorTree tree = tree_of(edges, {});
  EXPECT_EQ(idoms(tree, 2), (std::vector<uint32_t>{kNothing, 0}));
  EXPECT_EQ(tree.live, 3U);
}

TEST(Dominators, OfNothingIsOnlyTheRoot) {
  const DominatorTree tree = tree_of({}, {});
  EXPECT_EQ(tree.size, 1U);
}

}  // namespace
}  // namespace residue
