// Dominators of ten million nodes.
//
// The algorithm is semi-NCA (Georgiadis, Tarjan, Werneck, "Finding Dominators in Practice", 2006):
// number the nodes by a depth-first search; walking the numbers down, find for each node its
// *semidominator* s, the smallest number from which a path leads to it over larger numbers only (a
// union-find forest with path compression gives the minimum over the path already walked); walking
// the numbers up, the immediate dominator is the nearest ancestor of the node's parent in the tree
// made so far whose number is at most s.
//
// That last walk may be long: a list of a million nodes whose payloads a hash table refers to as
// well walks half a million steps for each payload. After a budget of steps the tree gets jump
// pointers (Myers, "An applicative random-access stack", 1983), with which a walk takes O(log n).
// So the whole is O(m log n) whatever the heap looks like. Rejected: Cooper, Harvey and Kennedy's
// iteration has the same walks and repeats them until nothing changes; Lengauer and Tarjan's
// buckets need two more arrays.
//
// Memory. Everything is an array of 4 bytes a node, and dropped when it is not needed any more: 40
// MB each for ten million chunks, at most eight at a time. Predecessors would be the largest part.
// Most references need no list of predecessors: one to a larger number (a tree edge, or one that
// skips generations) can only make the source itself the semidominator, so that the search takes
// the minimum on the way. Only references to smaller numbers are stored, by counting sort.
//
// The search keeps its own stack: lists of millions of nodes are as deep. What a phase has reached
// is closed to later ones: their references to it are told by the number of the target, which is
// below the phase's first.
#include "analyzer/dominators.h"

#include <algorithm>
#include <utility>

namespace residue {
namespace {

// What stands in place of a number that a chunk does not have.
constexpr uint32_t kUnseen = 0;
constexpr uint32_t kClosed = ~uint32_t{0};  // not to be entered, and references to it do not count
constexpr uint32_t kLeaf = kClosed - 1;     // unseen, and it refers to nothing: most chunks do not

constexpr bool is_unseen(uint32_t number) { return number == kUnseen || number == kLeaf; }

constexpr uint64_t kMaxCross = ~uint32_t{0};

class DominatorFinder {
 public:
  DominatorFinder(const ReferenceGraph& graph, std::span<const Reach> reach, const Holders& holders,
                  uint64_t steps_per_node)
      : graph_(graph), reach_(reach), holders_(holders), steps_per_node_(steps_per_node) {
    size_t limit = reach.size() + 1;
    for (const auto& phase : holders.phases) limit += phase.owner.size();
    number_ = BigArray<uint32_t>(reach.size());
    node_ = BigArray<uint32_t>(limit);
    parent_ = BigArray<uint32_t>(limit);
    semi_ = BigArray<uint32_t>(limit);
    cross_begin_ = BigArray<uint32_t>(limit + 1);
    stack_ = BigArray<Frame>(limit);
  }

  DominatorTree find() {
    search();
    DominatorTree tree;
    if (cross_count_ >= kMaxCross) return tree;
    tree.live = live_;
    collect_cross_edges();
    find_semidominators();
    find_immediate();
    tree.node = std::move(node_);
    tree.idom = std::move(idom_);
    tree.size = count_;
    return tree;
  }

 private:
  struct Frame {
    const Edge* next;
    uint32_t left;
    uint32_t number;
  };

  // ---- depth-first search ----

  static bool is_live(Reach r) { return r == Reach::kReachable || r == Reach::kInterior; }

  void search() {
    for (size_t i = 0; i < reach_.size(); ++i) {
      number_[i] = is_live(reach_[i]) ? fresh(i) : kClosed;
    }
    count_ = 1;  // the super-root
    for (const auto& phase : holders_.phases) {
      begin_phase();
      search_from(phase);
    }
    begin_phase();
    cover(is_live);
    live_ = count_;
    begin_phase();
    for (size_t i = 0; i < reach_.size(); ++i) {
      if (is_leak(reach_[i])) number_[i] = fresh(i);
    }
    for (size_t i = 0; i < reach_.size(); ++i) {
      if (reach_[i] == Reach::kLeaked) from_root(static_cast<uint32_t>(i));
    }
    cover(is_leak);
    stack_.reset();
  }

  uint32_t fresh(size_t chunk) const {
    return graph_.edges(ChunkId(static_cast<uint32_t>(chunk))).empty() ? kLeaf : kUnseen;
  }

  void begin_phase() {
    phase_begin_ = count_;
    phase_begins_.push_back(count_);
  }

  void search_from(const Holders::Phase& phase) {
    for (const uint32_t chunk : phase.shared) from_root(chunk);
    for (size_t i = 0; i < phase.owner.size(); ++i) {
      const uint32_t owner = enter(DominatorTree::kOwnerFlag | phase.owner[i], 0);
      for (uint32_t k = phase.begin[i]; k < phase.begin[i + 1]; ++k) {
        const uint32_t chunk = phase.chunk[k];
        if (reach_[chunk] == Reach::kSystem) {
          explore(chunk, owner);
        } else if (is_unseen(number_[chunk])) {
          explore(chunk, owner);
        } else {
          note_edge(owner, number_[chunk]);
        }
      }
    }
  }

  // A reference from the super-root itself.
  void from_root(uint32_t chunk) {
    const uint32_t number = number_[chunk];
    if (is_unseen(number)) {
      explore(chunk, 0);
    } else if (number != kClosed && number >= phase_begin_) {
      semi_[number] = 0;
    }
  }

  uint32_t enter(uint32_t node, uint32_t parent) {
    const uint32_t number = count_++;
    node_[number] = node;
    parent_[number] = parent;
    semi_[number] = parent;
    return number;
  }

  // A reference between two that have numbers.
  void note_edge(uint32_t from, uint32_t to) {
    if (to == kClosed || to < phase_begin_) return;
    if (to > from) {
      semi_[to] = std::min(semi_[to], from);
    } else if (to < from) {
      ++cross_begin_[to];
      ++cross_count_;
    }
  }

  void explore(uint32_t chunk, uint32_t parent) {
    size_t depth = 0;
    Frame frame = open(chunk, parent);
    for (;;) {
      uint32_t child = kClosed;
      while (frame.left > 0) {
        const uint32_t target = frame.next->target().value();
        ++frame.next;
        --frame.left;
        const uint32_t number = number_[target];
        if (number == kUnseen) {
          child = target;
          break;
        }
        if (number == kLeaf) {
          number_[target] = enter(target, frame.number);
          continue;
        }
        note_edge(frame.number, number);
      }
      if (child != kClosed) {
        // A frame that has nothing left is not come back to.
        if (frame.left > 0) stack_[depth++] = frame;
        frame = open(child, frame.number);
      } else if (depth > 0) {
        frame = stack_[--depth];
      } else {
        return;
      }
    }
  }

  Frame open(uint32_t chunk, uint32_t parent) {
    const uint32_t number = enter(chunk, parent);
    // The loader's own chunks belong to it whoever else refers to them: they stay closed.
    if (is_unseen(number_[chunk])) number_[chunk] = number;
    const auto edges = graph_.edges(ChunkId(chunk));
    for (const Edge edge : edges.first(std::min<size_t>(edges.size(), kLookAhead))) {
      __builtin_prefetch(&number_[edge.target().value()], 1);
      __builtin_prefetch(&graph_.offset[edge.target().value()]);
    }
    return {edges.data(), static_cast<uint32_t>(edges.size()), number};
  }

  // Enters every chunk of a kind that was not reached, from as few of them as possible: of the
  // roots of any search forest, taken last to first, each that the ones before did not reach. (Who
  // reaches an earlier root may be a later one, never the other way round.)
  template <typename Kind>
  void cover(Kind&& kind) {
    std::vector<uint32_t> roots;
    std::vector<bool> seen;
    for (size_t i = 0; i < reach_.size(); ++i) {
      if (!is_unseen(number_[i]) || !kind(reach_[i])) continue;
      if (seen.empty()) seen.resize(reach_.size());
      if (seen[i]) continue;
      roots.push_back(static_cast<uint32_t>(i));
      see_all(static_cast<uint32_t>(i), &seen);
    }
    for (size_t i = roots.size(); i > 0; --i) from_unreached(roots[i - 1]);
  }

  void from_unreached(uint32_t chunk) {
    if (is_unseen(number_[chunk])) explore(chunk, 0);
  }

  void see_all(uint32_t from, std::vector<bool>* seen) {
    std::vector<uint32_t> todo = {from};
    (*seen)[from] = true;
    while (!todo.empty()) {
      const uint32_t at = todo.back();
      todo.pop_back();
      for (const Edge edge : graph_.edges(ChunkId(at))) {
        const uint32_t target = edge.target().value();
        if (!is_unseen(number_[target]) || (*seen)[target]) continue;
        (*seen)[target] = true;
        todo.push_back(target);
      }
    }
  }

  // ---- references to smaller numbers, by target ----

  void collect_cross_edges() {
    // Counts become ends, ends walk down to beginnings while the rows are filled.
    uint32_t sum = 0;
    for (uint32_t w = 0; w < count_; ++w) {
      sum += cross_begin_[w];
      cross_begin_[w] = sum;
    }
    cross_begin_[count_] = sum;
    cross_ = BigArray<uint32_t>(sum);
    auto next_phase = phase_begins_.begin();
    size_t phase = 0;
    size_t owner = 0;
    for (uint32_t v = 1; v < count_; ++v) {
      while (next_phase != phase_begins_.end() && *next_phase == v) {
        phase_begin_ = v;
        phase = static_cast<size_t>(next_phase - phase_begins_.begin());
        owner = 0;
        ++next_phase;
      }
      if (v + kFar < count_) look_ahead(v);
      const uint32_t node = node_[v];
      if ((node & DominatorTree::kOwnerFlag) != 0) {
        const Holders::Phase& held = holders_.phases[phase];
        for (uint32_t k = held.begin[owner]; k < held.begin[owner + 1]; ++k) {
          keep_cross(v, number_[held.chunk[k]]);
        }
        ++owner;
        continue;
      }
      for (const Edge edge : graph_.edges(ChunkId(node))) {
        keep_cross(v, number_[edge.target().value()]);
      }
    }
    number_.reset();
  }

  void keep_cross(uint32_t from, uint32_t to) {
    if (to < from && to >= phase_begin_ && to != kUnseen) cross_[--cross_begin_[to]] = from;
  }

  // Three distances, for the three look-ups that depend on each other.
  void look_ahead(uint32_t v) const {
    const uint32_t far = node_[v + kFar];
    if ((far & DominatorTree::kOwnerFlag) == 0) __builtin_prefetch(&graph_.offset[far]);
    const uint32_t mid = node_[v + kFar / 2];
    if ((mid & DominatorTree::kOwnerFlag) == 0) {
      __builtin_prefetch(graph_.edges(ChunkId(mid)).data());
    }
    const uint32_t near = node_[v + kFar / 4];
    if ((near & DominatorTree::kOwnerFlag) != 0) return;
    const auto edges = graph_.edges(ChunkId(near));
    for (const Edge edge : edges.first(std::min<size_t>(edges.size(), kLookAhead))) {
      __builtin_prefetch(&number_[edge.target().value()]);
    }
  }

  // ---- semidominators ----

  void find_semidominators() {
    idom_ = BigArray<uint32_t>(count_);
    std::copy(parent_.data(), parent_.data() + count_, idom_.data());
    label_ = BigArray<uint32_t>(count_);
    path_ = BigArray<uint32_t>(count_);
    for (uint32_t w = count_ - 1; w > 0; --w) {
      uint32_t semi = semi_[w];
      for (uint32_t i = cross_begin_[w]; i < cross_begin_[w + 1]; ++i) {
        semi = std::min(semi, least_above(cross_[i], w));
      }
      semi_[w] = semi;
      label_[w] = semi;
    }
    cross_.reset();
    cross_begin_.reset();
    path_.reset();
  }

  // The least semidominator on the way from `v` up to the first ancestor that is not above `last`,
  // which itself does not count. Shortens the way: parent_ becomes that ancestor. REQUIRES: v >
  // last.
  uint32_t least_above(uint32_t v, uint32_t last) {
    if (parent_[v] <= last) return label_[v];
    size_t length = 0;
    uint32_t at = v;
    for (; parent_[at] > last; at = parent_[at]) path_[length++] = at;
    const uint32_t top = parent_[at];
    uint32_t least = label_[at];
    while (length > 0) {
      const uint32_t node = path_[--length];
      least = std::min(least, label_[node]);
      label_[node] = least;
      parent_[node] = top;
    }
    return least;
  }

  // ---- immediate dominators ----

  void find_immediate() {
    uint64_t steps_left = steps_per_node_ * count_;
    uint32_t w = 1;
    for (; w < count_; ++w) {
      const uint32_t semi = semi_[w];
      uint32_t at = idom_[w];
      for (; at > semi && steps_left > 0; --steps_left) at = idom_[at];
      if (at > semi) break;
      idom_[w] = at;
    }
    if (w < count_) find_immediate_by_jumps(w);
    semi_.reset();
    label_.reset();
    parent_.reset();
  }

  // `first`: the first one that has none yet.
  void find_immediate_by_jumps(uint32_t first) {
    BigArray<uint32_t>& jump = label_;
    BigArray<uint32_t>& depth = parent_;
    jump[0] = 0;
    depth[0] = 0;
    const auto add = [&](uint32_t w) {
      const uint32_t up = idom_[w];
      const uint32_t over = jump[up];
      depth[w] = depth[up] + 1;
      const bool equal = depth[up] - depth[over] == depth[over] - depth[jump[over]];
      jump[w] = equal ? jump[over] : up;
    };
    for (uint32_t w = 1; w < first; ++w) add(w);
    for (uint32_t w = first; w < count_; ++w) {
      const uint32_t semi = semi_[w];
      uint32_t at = idom_[w];
      while (at > semi) at = jump[at] > semi ? jump[at] : idom_[at];
      idom_[w] = at;
      add(w);
    }
  }

  static constexpr size_t kLookAhead = 8;  // references of a chunk that are worth a prefetch
  static constexpr uint32_t kFar = 32;

  const ReferenceGraph& graph_;
  std::span<const Reach> reach_;
  const Holders& holders_;
  uint64_t steps_per_node_;
  BigArray<uint32_t> number_;  // per chunk
  // By number.
  BigArray<uint32_t> node_;
  BigArray<uint32_t> parent_;
  BigArray<uint32_t> semi_;
  BigArray<uint32_t> cross_begin_;
  BigArray<uint32_t> cross_;
  BigArray<uint32_t> idom_;
  BigArray<uint32_t> label_;
  BigArray<uint32_t> path_;
  BigArray<Frame> stack_;
  std::vector<uint32_t> phase_begins_;
  uint64_t cross_count_ = 0;
  uint32_t count_ = 0;
  uint32_t phase_begin_ = 0;
  uint32_t live_ = 0;
};

// Subtrees' counts, and the places of the nodes.
void nest(DominatorTree* tree) {
  const uint32_t n = tree->size;
  tree->count = BigArray<uint32_t>(n);
  for (uint32_t v = n - 1; v > 0; --v) {
    ++tree->count[v];
    tree->count[tree->idom[v]] += tree->count[v];
  }
  ++tree->count[0];
  tree->nested = BigArray<uint32_t>(n);
  BigArray<uint32_t> next(n);  // where the next child of a node goes
  next[0] = 1;
  for (uint32_t v = 1; v < n; ++v) {
    uint32_t& free = next[tree->idom[v]];
    tree->nested[free] = v;
    next[v] = free + 1;
    free += tree->count[v];
  }
}

void sum_up(DominatorTree* tree) {
  for (uint32_t v = tree->size - 1; v > 0; --v) {
    tree->bytes[tree->idom[v]] += tree->bytes[v];
  }
}

}  // namespace

DominatorTree find_dominators(const ReferenceGraph& graph, std::span<const Reach> reach,
                              const Holders& holders, uint64_t steps_per_node) {
  DominatorTree tree = DominatorFinder(graph, reach, holders, steps_per_node).find();
  if (tree.size > 0) nest(&tree);
  return tree;
}

void add_sizes(DominatorTree* tree, const BigArray<uint64_t>& own) {
  tree->bytes = BigArray<uint64_t>(tree->size);
  for (uint32_t v = 1; v < tree->size; ++v) {
    if (!tree->is_owner(v)) tree->bytes[v] = own[tree->node[v]];
  }
  sum_up(tree);
}

void add_sizes(DominatorTree* tree, const ChunkMap& map) {
  BigArray<uint32_t> number(map.size());
  for (uint32_t v = 1; v < tree->size; ++v) {
    if (!tree->is_owner(v)) number[tree->node[v]] = v;
  }
  tree->bytes = BigArray<uint64_t>(tree->size);
  map.for_each([&](ChunkId id, Address, ByteCount usable, const Run&) {
    tree->bytes[number[id.value()]] = usable.value();
  });
  tree->bytes[0] = 0;  // where those went that have no number
  sum_up(tree);
}

}  // namespace residue
