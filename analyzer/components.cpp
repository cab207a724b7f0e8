#include "analyzer/components.h"

#include <algorithm>

namespace residue {
namespace {

// Tarjan's algorithm (SIAM J. Computing 1, 1972) with an explicit stack of frames.
class Tarjan {
 public:
  explicit Tarjan(const Digraph& graph)
      : graph_(graph), index_(graph.size(), kUnseen), low_(graph.size()) {
    result_.of_node.assign(graph.size(), kUnseen);
  }

  Components run() {
    for (uint32_t root = 0; root < graph_.size(); ++root) {
      if (index_[root] != kUnseen) continue;
      enter(root);
      while (!frames_.empty()) step();
    }
    return std::move(result_);
  }

 private:
  static constexpr uint32_t kUnseen = ~uint32_t{0};
  struct Frame {
    uint32_t node;
    uint32_t next_edge;
  };

  void enter(uint32_t node) {
    index_[node] = low_[node] = next_index_++;
    stack_.push_back(node);
    frames_.push_back({node, graph_.offset[node]});
  }

  void step() {
    Frame& frame = frames_.back();
    const uint32_t node = frame.node;
    if (frame.next_edge == graph_.offset[node + 1]) {
      leave(node);
      return;
    }
    const uint32_t target = graph_.target[frame.next_edge++];
    if (index_[target] == kUnseen) {
      enter(target);
    } else if (result_.of_node[target] == kUnseen) {
      low_[node] = std::min(low_[node], index_[target]);
    }
  }

  void leave(uint32_t node) {
    frames_.pop_back();
    if (!frames_.empty()) {
      uint32_t& above = low_[frames_.back().node];
      above = std::min(above, low_[node]);
    }
    if (low_[node] != index_[node]) return;
    uint32_t popped = 0;
    do {
      popped = stack_.back();
      stack_.pop_back();
      result_.of_node[popped] = result_.count;
    } while (popped != node);
    ++result_.count;
  }

  const Digraph& graph_;
  std::vector<uint32_t> index_;
  std::vector<uint32_t> low_;
  std::vector<uint32_t> stack_;
  std::vector<Frame> frames_;
  uint32_t next_index_ = 0;
  Components result_;
};

}  // namespace

Components strongly_connected(const Digraph& graph) { return Tarjan(graph).run(); }

}  // namespace residue
