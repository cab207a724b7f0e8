// Retention: what each owner, object and type keeps alive, from the tree of dominators.
#pragma once

#include "analyzer/holders.h"
#include "analyzer/snapshot.h"

namespace residue {

// Fills in chunks.retained and chunks.dominator, the rows of `retainers` and of `suspects`.
// REQUIRES: all else that `snapshot` says of chunks, types, owners and heaps is there, and
// find_clusters() has run. The tree lives only in here: at most 32 bytes a chunk.
void find_retention(const ReferenceGraph& graph, FoundHolders found, Snapshot* snapshot,
                    Diagnostics& diagnostics);

}  // namespace residue
