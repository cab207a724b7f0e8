// Holders: every owner's references to chunks, as the dominator tree needs them.
//
// mark_reach() keeps for each chunk the first root that leads to it. To say what an owner keeps
// *alone*, all of them are needed; but of a chunk that two owners refer to it is enough to know
// that there are two, for neither keeps it alone. So the cost is a word a chunk.
#pragma once

#include <cstdint>
#include <vector>

#include "analyzer/dominators.h"
#include "analyzer/reach.h"

namespace residue {

struct FoundHolders {
  Holders holders;  // two phases: named owners, then borrowers
  // Per owner id: chunks that its own references lead to, shared ones included.
  std::vector<uint32_t> direct;
  // chunk << 32 | owner, ascending: who refers to the chunks that more than one owner refers to.
  // Above kMaxShared no more are noted: `shared_cut` then says that some are missing, and `direct`
  // counts too few.
  static constexpr size_t kMaxShared = size_t{1} << 22;
  std::vector<uint64_t> shared;
  bool shared_cut = false;
};

// Reads the live roots again; may add owners to `input.owners`. Interior references count as much
// as others: they keep memory alive just so. Those in dead memory do not count.
//
// Named owners are globals, thread-local and local variables, anonymous memory and the loader.
// Registers and stack memory outside of every known variable are *borrowers*: the compiler copies
// pointers there while it works with what somebody else owns, and a copy may be long out of use.
// They hold only what no named owner reaches. A program without debug information has only
// borrowers on its stacks.
//
// A container's header is several adjacent words (a map's root, first and last node). Where no
// symbol says how far a global reaches, adjacent words that refer to chunks count as one owner, by
// the name of the first.
FoundHolders find_holders(const ReachInput& input, const ChunkTable& chunks);

}  // namespace residue
