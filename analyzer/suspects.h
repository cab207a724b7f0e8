// Suspects: what keeps a large part of the live heap. Not leaks: guesses where one may grow.
#pragma once

#include <vector>

#include "analyzer/dominators.h"
#include "analyzer/snapshot.h"

namespace residue {

struct SuspectRules {
  // A suspect keeps more than this share of all live bytes, alone or as a group.
  double threshold = 0.1;
  uint64_t least_bytes = 256 << 10;  // and nothing smaller is worth a suspicion
  // Going down to the child that keeps most, what loses more than 1 - this on the way is where it
  // accumulates.
  double big_drop = 0.7;
  // So many objects of one size and type, each keeping the next, are called a chain.
  uint64_t chain = 16;
};

// The rules are those of Eclipse MAT's leak report (its thresholds too): an owner or object below
// the super-root that keeps more than the threshold; if it is not one, all of one type or name
// together. REQUIRES: add_sizes(); types and owners of `snapshot`.
std::vector<SuspectRow> find_suspects(const DominatorTree& tree, const Snapshot& snapshot,
                                      const SuspectRules& rules = {});

}  // namespace residue
