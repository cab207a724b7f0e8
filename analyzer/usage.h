// Usage: what is used and leaked per type, owner, module, size and heap.
#pragma once

#include <vector>

#include "analyzer/snapshot.h"

namespace residue {

// One pass over the chunks. Rows of each dimension are sorted by used bytes, most first. REQUIRES:
// all columns of snapshot.chunks, and its types, owners and heaps, are filled in.
std::vector<UsageRow> count_usage(const Snapshot& snapshot);

}  // namespace residue
