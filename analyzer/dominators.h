// Dominators: for every chunk, the owner or chunk without which it would not be alive.
//
// The graph is that of the references among used chunks, below a super-root. A node *dominates*
// another if every path from the super-root to the other leads through it; its *immediate*
// dominator is the nearest such node. So the immediate dominators form a tree, and what hangs below
// a node there is what would become free with it: its retained size is the sum of the sizes in its
// subtree, and the sums of the super-root's children add up to everything.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "analyzer/big_array.h"
#include "analyzer/references.h"
#include "analyzer/snapshot.h"

namespace residue {

// Who refers to chunks from outside of the heaps. An owner is a node of its own below the
// super-root; a chunk that several owners refer to has no single one, and hangs on the super-root.
struct Holders {
  struct Phase {
    std::vector<uint32_t> shared;       // chunks with several owners, ascending
    std::vector<uint32_t> owner;        // ids of the owners that refer to chunks no other does
    std::vector<uint32_t> begin = {0};  // per owner (and one more): where its chunks begin
    std::vector<uint32_t> chunk;        // by owner
  };
  // In order of precedence: what an earlier phase reaches belongs to it alone, and references of
  // later ones to it do not count.
  std::vector<Phase> phases;
};

// The tree. Nodes are numbered so that an immediate dominator has a smaller number than what it
// dominates; 0 is the super-root.
struct DominatorTree {
  static constexpr uint32_t kOwnerFlag = uint32_t{1} << 31;

  BigArray<uint32_t> node;   // chunk id, or kOwnerFlag | owner id; [0] means nothing
  BigArray<uint32_t> idom;   // number of the immediate dominator; [0] is 0
  BigArray<uint32_t> count;  // nodes in the subtree, itself included
  BigArray<uint64_t> bytes;  // retained: after add_sizes()
  // The same nodes by place in the tree: behind a node's own place follow its subtrees, one after
  // the other, each as many places long as it has nodes. nested[place] is the number.
  BigArray<uint32_t> nested;
  uint32_t size = 0;  // nodes, with the super-root; 0 if there are too many references to handle
  uint32_t live = 0;  // nodes below this number are alive, the others leaked

  bool is_owner(uint32_t number) const { return (node[number] & kOwnerFlag) != 0; }
  uint32_t owner(uint32_t number) const { return node[number] & ~kOwnerFlag; }

  // Calls f(number, place) for what the node at `place` dominates immediately.
  template <typename F>
  void for_each_child(uint32_t place, F&& f) const {
    const uint32_t end = place + count[nested[place]];
    for (uint32_t at = place + 1; at < end; at += count[nested[at]]) f(nested[at], at);
  }
};

// The tree of all used chunks but the allocator's own. `reach` is that of each chunk, after
// find_clusters(). Below the super-root hang, beside what `holders` says, heads of leaked clusters,
// and one chunk of every leaked cycle that nothing leads into. References of leaked chunks to live
// ones do not count. A chunk that is alive although nobody seems to refer to it hangs there too.
// `steps_per_node`: how long the walks up the tree may be on average before it gets jump pointers;
// changes nothing but time and memory.
DominatorTree find_dominators(const ReferenceGraph& graph, std::span<const Reach> reach,
                              const Holders& holders, uint64_t steps_per_node = 8);

// Fills in `tree->bytes` from the chunks' own sizes: own[i] for chunk i.
void add_sizes(DominatorTree* tree, const BigArray<uint64_t>& own);
// The same from the map.
void add_sizes(DominatorTree* tree, const ChunkMap& map);

}  // namespace residue
