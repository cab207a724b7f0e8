// Clusters: leaked chunks grouped by the head that keeps them together, equal groups folded.
#pragma once

#include <string>
#include <vector>

#include "analyzer/references.h"
#include "analyzer/snapshot.h"

namespace residue {

// Splits the chunks that mark_reach() left as leaked into heads (kLeaked) and followers
// (kIndirect), groups stale ones with them without changing their class, fills chunks->cluster and
// returns the folded clusters, most bytes first. `caveat`, if not empty, is appended to the
// evidence of each.
std::vector<ClusterRow> find_clusters(const ReferenceGraph& graph,
                                      const std::vector<TypeRow>& types, const std::string& caveat,
                                      ChunkTable* chunks);

}  // namespace residue
