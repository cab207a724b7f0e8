// A leaked object takes what it owns with it: one lost Session is its name, its buffer and its
// request too. What an engineer wants to see is the Session.
//
// Heads. Among the leaked chunks, those to which no other leaked chunk points are heads. What is
// left after following every head are cycles that nothing enters, and what hangs on them: their
// strongly connected components are found (Tarjan's algorithm, iterative), and of each component
// that no other one points to, one chunk becomes head: the one with a type, else the first in
// memory.
//
// Folding. A million equal leaks are one line. Two instances are equal when their heads and the
// sets of typed members are; untyped members of a typed head count by number only, because buffers
// of strings differ in size. Untyped heads are told apart by size.
//
// Cost: linear in the leaked chunks and their edges.
#include "analyzer/clusters.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <unordered_map>

#include "analyzer/components.h"

namespace residue {
namespace {

constexpr size_t kMaxClusters = 20000;  // further shapes share one last line
constexpr size_t kMaxShapeParts = 6;    // kinds of members that a shape names

// splitmix64's finaliser (Steele, Lea, Flood 2014; public domain constants).
uint64_t mix(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

class ClusterFinder {
 public:
  ClusterFinder(const ReferenceGraph& graph, const std::vector<TypeRow>& types,
                const std::string& caveat, ChunkTable* chunks)
      : graph_(graph), types_(types), caveat_(caveat), chunks_(*chunks) {}

  std::vector<ClusterRow> find() {
    chunks_.cluster.assign(chunks_.reach.size(), ChunkTable::kNoCluster);
    rank_types();
    group();
    return fold();
  }

 private:
  // mark_reach() leaves no chunk indirect: all that becomes so is in a cluster already.
  bool is_dead(uint32_t id) const {
    return chunks_.reach[id] == Reach::kLeaked || chunks_.reach[id] == Reach::kStale;
  }
  bool is_free(uint32_t id) const { return chunks_.cluster[id] == ChunkTable::kNoCluster; }

  // A real type; that a chunk holds text says nothing of what it is.
  bool is_typed(uint32_t id) const {
    const uint32_t type = chunks_.type[id];
    return type != kNone<TypeId>.value() && types_[type].origin != "string";
  }

  // Types in the order of their names: ids depend on what the walk meets first.
  void rank_types() {
    std::vector<uint32_t> order(types_.size());
    for (uint32_t i = 0; i < order.size(); ++i) order[i] = i;
    std::sort(order.begin(), order.end(), [this](uint32_t a, uint32_t b) {
      return std::tie(types_[a].name, types_[a].module) <
             std::tie(types_[b].name, types_[b].module);
    });
    type_rank_.resize(types_.size());
    for (uint32_t i = 0; i < order.size(); ++i) type_rank_[order[i]] = i;
  }

  void group() {
    std::vector<uint32_t> all;
    for (uint32_t i = 0; i < chunks_.reach.size(); ++i) {
      if (is_dead(i)) all.push_back(i);
    }
    if (all.empty()) return;
    std::vector<bool> referenced(chunks_.reach.size());
    for (const uint32_t source : all) {
      for (const Edge edge : graph_.edges(ChunkId(source))) {
        referenced[edge.target().value()] = true;
      }
    }
    for (const uint32_t id : all) {
      if (!referenced[id]) collect(id);
    }
    // Cycles that no head leads into.
    std::vector<uint32_t> rest;
    std::copy_if(all.begin(), all.end(), std::back_inserter(rest),
                 [this](uint32_t id) { return is_free(id); });
    for (const uint32_t head : cycle_heads(rest)) {
      if (is_free(head)) collect(head);
    }
  }

  // The head and everything dead that it leads to and nobody took before.
  void collect(uint32_t head) {
    members_.clear();
    members_.push_back(head);
    chunks_.cluster[head] = kTaken;
    for (size_t i = 0; i < members_.size(); ++i) {
      for (const Edge edge : graph_.edges(ChunkId(members_[i]))) {
        const uint32_t target = edge.target().value();
        if (!is_dead(target) || !is_free(target)) continue;
        chunks_.cluster[target] = kTaken;
        members_.push_back(target);
      }
    }
    for (size_t i = 1; i < members_.size(); ++i) {
      Reach& reach = chunks_.reach[members_[i]];
      if (reach == Reach::kLeaked) reach = Reach::kIndirect;
    }
    add_instance(head);
  }

  uint64_t usable(uint32_t id) const { return chunks_.map.usable(ChunkId(id)).value(); }

  // What an instance is compared by.
  uint64_t shape_key(uint32_t head) const {
    const bool typed = is_typed(head);
    uint64_t key = mix(static_cast<uint64_t>(chunks_.reach[head])) ^
                   mix(typed ? chunks_.type[head] + 1 : (uint64_t{1} << 40) + usable(head));
    for (size_t i = 1; i < members_.size(); ++i) {
      const uint32_t id = members_[i];
      if (is_typed(id)) {
        key += mix((uint64_t{1} << 41) + chunks_.type[id]);  // a sum: the order does not matter
      } else {
        key += mix(typed ? uint64_t{1} << 42 : (uint64_t{1} << 43) + usable(id));
      }
    }
    return key;
  }

  void add_instance(uint32_t head) {
    const auto [it, is_new] =
        rows_by_key_.try_emplace(shape_key(head), static_cast<uint32_t>(rows_.size()));
    if (is_new) {
      if (rows_.size() >= kMaxClusters)
        it->second = other_row();
      else
        rows_.push_back(describe(head));
    }
    ClusterRow& row = rows_[it->second];
    ++row.count;
    row.chunks += members_.size();
    for (const uint32_t id : members_) {
      row.bytes += usable(id);
      chunks_.cluster[id] = it->second;
    }
  }

  uint32_t other_row() {
    if (other_ == ChunkTable::kNoCluster) {
      other_ = static_cast<uint32_t>(rows_.size());
      ClusterRow row;
      row.shape = "(further shapes, folded)";
      row.verdict = "leaked";
      row.evidence = "more than " + std::to_string(kMaxClusters) + " different shapes";
      rows_.push_back(row);
    }
    return other_;
  }

  ClusterRow describe(uint32_t head) const {
    ClusterRow row;
    row.head = chunks_.map.address(ChunkId(head));
    const bool leaked = chunks_.reach[head] == Reach::kLeaked;
    row.verdict = leaked ? "leaked" : "stale";
    row.evidence = leaked ? "no reference from registers, stacks, globals, TLS or other live memory"
                          : "referenced only from dead memory: freed chunks or stack below SP";
    if (chunks_.type[head] != kNone<TypeId>.value()) {
      const TypeRow& type = types_[chunks_.type[head]];
      row.type = type.name;
      row.module = type.module;
    }
    if (!caveat_.empty()) row.evidence += "; " + caveat_;
    row.shape = shape_text(head);
    return row;
  }

  std::string part_name(uint32_t id) const {
    const uint32_t type = chunks_.type[id];
    if (is_typed(id)) return types_[type].name;
    const bool text = type != kNone<TypeId>.value();
    return "(" + std::to_string(usable(id)) + (text ? " bytes of text)" : " bytes)");
  }

  // "Session + Request + 2 x (40 bytes)": the head, then its members, most bytes first.
  std::string shape_text(uint32_t head) const {
    struct Part {
      uint64_t count = 0, bytes = 0;
    };
    std::map<std::string, Part> parts;
    for (size_t i = 1; i < members_.size(); ++i) {
      Part& part = parts[part_name(members_[i])];
      ++part.count;
      part.bytes += usable(members_[i]);
    }
    std::vector<std::pair<std::string, Part>> order(parts.begin(), parts.end());
    std::stable_sort(order.begin(), order.end(),
                     [](const auto& a, const auto& b) { return a.second.bytes > b.second.bytes; });
    std::string text = part_name(head);
    for (size_t i = 0; i < order.size(); ++i) {
      if (i == kMaxShapeParts) {
        text += " + " + std::to_string(order.size() - i) + " more kinds";
        break;
      }
      text += " + ";
      if (order[i].second.count > 1) text += std::to_string(order[i].second.count) + " x ";
      text += order[i].first;
    }
    return text;
  }

  // The lower, the better as head of a cycle.
  uint64_t head_rank(uint32_t id) const {
    return is_typed(id) ? type_rank_[chunks_.type[id]] : types_.size();
  }

  Digraph subgraph(const std::vector<uint32_t>& rest) const;
  std::vector<uint32_t> cycle_heads(const std::vector<uint32_t>& rest) const;

  std::vector<ClusterRow> fold() {
    std::vector<uint32_t> order(rows_.size());
    for (uint32_t i = 0; i < order.size(); ++i) order[i] = i;
    std::stable_sort(order.begin(), order.end(),
                     [this](uint32_t a, uint32_t b) { return rows_[a].bytes > rows_[b].bytes; });
    std::vector<uint32_t> place(rows_.size());
    std::vector<ClusterRow> sorted;
    sorted.reserve(rows_.size());
    for (const uint32_t i : order) {
      place[i] = static_cast<uint32_t>(sorted.size());
      sorted.push_back(std::move(rows_[i]));
    }
    for (uint32_t& cluster : chunks_.cluster) {
      if (cluster != ChunkTable::kNoCluster) cluster = place[cluster];
    }
    return sorted;
  }

  static constexpr uint32_t kTaken = ChunkTable::kNoCluster - 1;

  const ReferenceGraph& graph_;
  const std::vector<TypeRow>& types_;
  const std::string& caveat_;
  ChunkTable& chunks_;
  std::vector<uint32_t> type_rank_;
  std::vector<uint32_t> members_;
  std::unordered_map<uint64_t, uint32_t> rows_by_key_;
  std::vector<ClusterRow> rows_;
  uint32_t other_ = ChunkTable::kNoCluster;
};

// References among the chunks of `rest` (sorted), as a graph of its own.
Digraph ClusterFinder::subgraph(const std::vector<uint32_t>& rest) const {
  Digraph graph;
  for (const uint32_t source : rest) {
    for (const Edge edge : graph_.edges(ChunkId(source))) {
      const auto it = std::lower_bound(rest.begin(), rest.end(), edge.target().value());
      if (it == rest.end() || *it != edge.target().value()) continue;
      graph.target.push_back(static_cast<uint32_t>(it - rest.begin()));
    }
    graph.offset.push_back(static_cast<uint32_t>(graph.target.size()));
  }
  return graph;
}

// One head for each component of `rest` (sorted) that no other one enters.
std::vector<uint32_t> ClusterFinder::cycle_heads(const std::vector<uint32_t>& rest) const {
  constexpr uint32_t kNobody = ~uint32_t{0};
  const Digraph graph = subgraph(rest);
  const Components components = strongly_connected(graph);
  std::vector<bool> entered(components.count);
  std::vector<uint32_t> head(components.count, kNobody);
  for (uint32_t node = 0; node < graph.size(); ++node) {
    const uint32_t component = components.of_node[node];
    uint32_t& best = head[component];
    if (best == kNobody || head_rank(rest[node]) < head_rank(rest[best])) best = node;
    for (uint32_t e = graph.offset[node]; e < graph.offset[node + 1]; ++e) {
      const uint32_t other = components.of_node[graph.target[e]];
      if (other != component) entered[other] = true;
    }
  }
  std::vector<uint32_t> heads;
  for (uint32_t c = 0; c < components.count; ++c) {
    if (!entered[c]) heads.push_back(rest[head[c]]);
  }
  return heads;
}

}  // namespace

std::vector<ClusterRow> find_clusters(const ReferenceGraph& graph,
                                      const std::vector<TypeRow>& types, const std::string& caveat,
                                      ChunkTable* chunks) {
  return ClusterFinder(graph, types, caveat, chunks).find();
}

}  // namespace residue
