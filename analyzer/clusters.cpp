// A leaked object takes what it owns with it: one lost Session is its name, its buffer and its
// request too. What an engineer wants to see is the Session.
//
// Model. The leaked chunks and the references among them are a graph; its strongly connected
// components form a graph without cycles (the condensation). A component that no other one enters
// is where a leak begins: it has one head, and everything reachable is reachable from some head.
// Most such components are a single chunk to which nothing points: those are found by one pass
// over the references. Components are computed (Tarjan's algorithm, iterative) only for what these
// heads do not lead to, which is cycles that nothing enters and what hangs on them.
//
// The head of a cycle is its member of the first type by name, else the largest; the address
// decides only between equals.
//
// Sharing. A chunk that exactly one head leads to belongs to it. What several lead to belongs to
// the first of them in the order above (type, size, address), is counted as shared there, and does
// not take part in the shape: 1,000 Sessions that refer to one Config are still one line, whichever
// of them comes first. To tell the two apart every head claims what it leads to; where a claim
// meets another head's, the chunk and all behind it become shared. Each chunk is so visited at most
// twice.
//
// Suppressed chunks are a world of their own: references between them and others do not count here
// (suppress.cpp has followed them already).
//
// Cost: linear in the leaked chunks and their references; 4 bytes and a bit for each chunk.
#include "analyzer/clusters.h"

#include <algorithm>

#include "analyzer/cluster_shapes.h"
#include "analyzer/components.h"

namespace residue {
namespace {

class ClusterFinder {
 public:
  ClusterFinder(const ReferenceGraph& graph, const SuppressedChunks& suppressed, ShapeTable* shapes,
                ChunkTable* chunks)
      : graph_(graph), suppressed_(suppressed), shapes_(*shapes), chunks_(*chunks) {}

  // Leaves the number of its shape in each leaked chunk's cluster.
  void run() {
    chunks_.cluster.assign(chunks_.reach.size(), kUnclaimed);
    std::vector<uint32_t> dead = dead_chunks();
    if (dead.empty()) return;
    const std::vector<bool> referenced = referenced_by(dead);
    for (const uint32_t id : dead) {
      if (!referenced[id]) claim(id);
    }
    std::erase_if(dead, [this](uint32_t id) { return chunks_.cluster[id] != kUnclaimed; });
    for (const uint32_t head : cycle_heads(dead)) claim(head);
    fold();
  }

 private:
  // While heads claim chunks, ChunkTable::cluster holds the claim: the index of a head, or one of
  // these. Afterwards it holds the shape of those in taken_.
  static constexpr uint32_t kUnclaimed = ChunkTable::kNoCluster;
  static constexpr uint32_t kShared = kUnclaimed - 1;

  bool is_dead(uint32_t id) const {
    return chunks_.reach[id] == Reach::kLeaked || chunks_.reach[id] == Reach::kStale ||
           chunks_.reach[id] == Reach::kIndirect;
  }

  // The chunks of a leak that `source`, of the same leak, refers to; itself left out.
  template <typename Visit>
  void for_each_target(uint32_t source, Visit&& visit) const {
    const uint32_t rule = suppressed_.of(source);
    for (const Edge edge : graph_.edges(ChunkId(source))) {
      const uint32_t target = edge.target().value();
      if (target != source && is_dead(target) && suppressed_.of(target) == rule) visit(target);
    }
  }

  std::vector<uint32_t> dead_chunks() const {
    std::vector<uint32_t> dead;
    for (uint32_t i = 0; i < chunks_.reach.size(); ++i) {
      if (is_dead(i)) dead.push_back(i);
    }
    return dead;
  }

  std::vector<bool> referenced_by(const std::vector<uint32_t>& dead) const {
    std::vector<bool> referenced(chunks_.reach.size());
    for (const uint32_t source : dead) {
      for_each_target(source, [&](uint32_t target) { referenced[target] = true; });
    }
    return referenced;
  }

  // Marks everything that a new head leads to as its own, or as shared.
  void claim(uint32_t head) {
    const auto index = static_cast<uint32_t>(heads_.size());
    heads_.push_back(head);
    shares_.push_back(false);
    chunks_.cluster[head] = index;
    queue_.assign(1, head);
    for (size_t i = 0; i < queue_.size(); ++i) {
      for_each_target(queue_[i], [&](uint32_t target) {
        const uint32_t claimed = chunks_.cluster[target];
        if (claimed == index) return;
        if (claimed == kUnclaimed) {
          chunks_.cluster[target] = index;
          queue_.push_back(target);
          return;
        }
        shares_[index] = true;
        if (claimed != kShared) share(target);
      });
    }
  }

  void share(uint32_t first) {
    shared_queue_.assign(1, first);
    const auto mark = [this](uint32_t id) {
      const uint32_t claimed = chunks_.cluster[id];
      if (claimed != kUnclaimed) shares_[claimed] = true;
      chunks_.cluster[id] = kShared;
    };
    mark(first);
    for (size_t i = 0; i < shared_queue_.size(); ++i) {
      for_each_target(shared_queue_[i], [&](uint32_t target) {
        if (chunks_.cluster[target] == kShared) return;
        mark(target);
        shared_queue_.push_back(target);
      });
    }
  }

  // Heads that share nothing as they were found; the others in an order that says who is first.
  std::vector<uint32_t> order_of_heads() const {
    std::vector<uint32_t> order, sharing;
    for (uint32_t h = 0; h < heads_.size(); ++h) (shares_[h] ? sharing : order).push_back(h);
    std::sort(sharing.begin(), sharing.end(),
              [this](uint32_t a, uint32_t b) { return shapes_.better_head(heads_[a], heads_[b]); });
    order.insert(order.end(), sharing.begin(), sharing.end());
    return order;
  }

  void fold() {
    taken_.assign(chunks_.reach.size(), false);
    for (const uint32_t h : order_of_heads()) {
      const uint32_t head = heads_[h];
      collect(h);
      for (size_t i = 0; i < own_.size() + shared_.size(); ++i) {
        Reach& reach = chunks_.reach[i < own_.size() ? own_[i] : shared_[i - own_.size()]];
        if (reach == Reach::kLeaked) reach = Reach::kIndirect;
      }
      const uint32_t shape = shapes_.add({head, own_, shared_, suppressed_.of(head)});
      chunks_.cluster[head] = shape;
      for (const uint32_t id : own_) chunks_.cluster[id] = shape;
      for (const uint32_t id : shared_) chunks_.cluster[id] = shape;
    }
  }

  // What head number h claims, and what it shares and nobody before it has taken.
  void collect(uint32_t h) {
    own_.clear();
    shared_.clear();
    taken_[heads_[h]] = true;
    const auto visit = [&](uint32_t target) {
      if (taken_[target]) return;
      taken_[target] = true;
      (chunks_.cluster[target] == h ? own_ : shared_).push_back(target);
    };
    for_each_target(heads_[h], visit);
    size_t own = 0, shared = 0;
    while (own < own_.size() || shared < shared_.size()) {
      for_each_target(own < own_.size() ? own_[own++] : shared_[shared++], visit);
    }
  }

  Digraph subgraph(const std::vector<uint32_t>& rest);
  std::vector<uint32_t> cycle_heads(const std::vector<uint32_t>& rest);

  const ReferenceGraph& graph_;
  const SuppressedChunks& suppressed_;
  ShapeTable& shapes_;
  ChunkTable& chunks_;
  std::vector<uint32_t> heads_;
  std::vector<bool> shares_;  // per head: whether it leads to something shared
  std::vector<bool> taken_;   // per chunk: in a cluster
  std::vector<uint32_t> queue_, shared_queue_, own_, shared_;
};

// References among the chunks of `rest`, as a graph of its own.
Digraph ClusterFinder::subgraph(const std::vector<uint32_t>& rest) {
  // The place of each, where claims will stand.
  for (uint32_t i = 0; i < rest.size(); ++i) chunks_.cluster[rest[i]] = i;
  Digraph graph;
  graph.offset.reserve(rest.size() + 1);
  for (const uint32_t source : rest) {
    for_each_target(source, [&](uint32_t target) {
      // The rest may lead to what a head has claimed; nothing claimed leads to the rest.
      const uint32_t place = chunks_.cluster[target];
      if (place < rest.size() && rest[place] == target) graph.target.push_back(place);
    });
    graph.offset.push_back(static_cast<uint32_t>(graph.target.size()));
  }
  for (const uint32_t id : rest) chunks_.cluster[id] = kUnclaimed;
  return graph;
}

// One head for each component of `rest` that no other one enters.
std::vector<uint32_t> ClusterFinder::cycle_heads(const std::vector<uint32_t>& rest) {
  constexpr uint32_t kNobody = ~uint32_t{0};
  const Digraph graph = subgraph(rest);
  const Components components = strongly_connected(graph);
  std::vector<bool> entered(components.count);
  std::vector<uint32_t> head(components.count, kNobody);
  for (uint32_t node = 0; node < graph.size(); ++node) {
    const uint32_t component = components.of_node[node];
    uint32_t& best = head[component];
    if (best == kNobody || shapes_.better_head(rest[node], best)) best = rest[node];
    for (uint32_t e = graph.offset[node]; e < graph.offset[node + 1]; ++e) {
      const uint32_t other = components.of_node[graph.target[e]];
      if (other != component) entered[other] = true;
    }
  }
  std::vector<uint32_t> heads;
  for (uint32_t c = 0; c < components.count; ++c) {
    if (!entered[c]) heads.push_back(head[c]);
  }
  std::sort(heads.begin(), heads.end());
  return heads;
}

}  // namespace

std::vector<ClusterRow> find_clusters(const ReferenceGraph& graph,
                                      const std::vector<TypeRow>& types,
                                      const SuppressedChunks& suppressed, const std::string& caveat,
                                      ChunkTable* chunks) {
  ShapeTable shapes(*chunks, types);
  ClusterFinder(graph, suppressed, &shapes, chunks).run();
  std::vector<uint32_t> row_of_shape;
  std::vector<ClusterRow> rows = shapes.finish(caveat, &row_of_shape);
  for (uint32_t& cluster : chunks->cluster) {
    if (cluster != ChunkTable::kNoCluster) cluster = row_of_shape[cluster];
  }
  return rows;
}

}  // namespace residue
