// Strongly connected components of a directed graph.
#pragma once

#include <cstdint>
#include <vector>

namespace residue {

// Nodes 0..size()-1 with their successors in compressed rows.
struct Digraph {
  std::vector<uint32_t> offset = {0};  // per node and one more
  std::vector<uint32_t> target;

  uint32_t size() const { return static_cast<uint32_t>(offset.size() - 1); }
};

struct Components {
  std::vector<uint32_t> of_node;
  uint32_t count = 0;
};

// Linear in nodes and edges; uses no recursion, because leaked lists are long.
Components strongly_connected(const Digraph& graph);

}  // namespace residue
