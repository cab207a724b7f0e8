// Applies suppression rules to the leaked chunks of a heap.
#pragma once

#include <vector>

#include "analyzer/clusters.h"
#include "analyzer/references.h"
#include "analyzer/snapshot.h"
#include "analyzer/suppressions.h"

namespace residue {

struct SuppressInput {
  const ReferenceGraph& graph;
  const std::vector<TypeRow>& types;
  const std::vector<OwnerRow>& owners;
  const std::vector<ModuleRow>& modules;
  const std::vector<SuppressionRule>& rules;
};

// Which leaked chunks are hidden: those that a rule matches, and everything leaked that they lead
// to. Requires chunks.reach, type and owner. Fills `rows`, one for each rule.
SuppressedChunks suppress(const SuppressInput& input, const ChunkTable& chunks,
                          std::vector<SuppressionRow>* rows);

}  // namespace residue
