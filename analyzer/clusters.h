// Clusters: leaked chunks grouped by the head that keeps them together, equal groups folded.
#pragma once

#include <vector>

#include "analyzer/references.h"
#include "analyzer/snapshot.h"

namespace residue {

// Splits the chunks that mark_reach() left as leaked into heads (kLeaked) and followers
// (kIndirect), groups stale ones the same way without changing their class, fills chunks->cluster
// and returns the folded clusters, most bytes first.
std::vector<ClusterRow> find_clusters(const ReferenceGraph& graph,
                                      const std::vector<TypeRow>& types, ChunkTable* chunks);

}  // namespace residue
