// Clusters: leaked chunks grouped by the head that keeps them together, equal groups folded.
#pragma once

#include <string>
#include <vector>

#include "analyzer/references.h"
#include "analyzer/snapshot.h"

namespace residue {

// Which leaked chunks a suppression hides: for each chunk the index of the rule, or
// kNotSuppressed. Empty if nothing is suppressed.
struct SuppressedChunks {
  static constexpr uint16_t kNotSuppressed = 0xffff;
  std::vector<uint16_t> rule;

  uint32_t of(uint32_t chunk) const {
    if (rule.empty() || rule[chunk] == kNotSuppressed) return ClusterRow::kNotSuppressed;
    return rule[chunk];
  }
};

// Splits the chunks that mark_reach() left as leaked into heads (kLeaked) and followers
// (kIndirect), groups stale ones with them without changing their class, fills chunks->cluster and
// returns the folded clusters, most bytes first. A cluster is suppressed by one rule or not at all.
// `caveat`, if not empty, is appended to the evidence of each.
std::vector<ClusterRow> find_clusters(const ReferenceGraph& graph,
                                      const std::vector<TypeRow>& types,
                                      const SuppressedChunks& suppressed, const std::string& caveat,
                                      ChunkTable* chunks);

}  // namespace residue
