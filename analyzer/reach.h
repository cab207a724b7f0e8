// Reach: why each used chunk is alive, or that it is not; and which owner reaches it first.
#pragma once

#include <cstdint>
#include <vector>

#include "analyzer/heaps.h"
#include "analyzer/owners.h"
#include "analyzer/references.h"
#include "analyzer/roots.h"
#include "analyzer/stale.h"

namespace residue {

// How the marking came to each chunk, for paths; kept only on request.
struct ReachTrace {
  static constexpr uint32_t kNoParent = ~uint32_t{0};
  static constexpr uint32_t kRootFlag = uint32_t{1} << 31;

  struct Hit {
    Address location;  // where the root's reference lies; 0 for a register
    OwnerId owner;
    // Index into what mark_reach() returned if it was found in dead memory.
    uint32_t stale = kLive;
    bool dead() const { return stale != kLive; }
    static constexpr uint32_t kLive = ~uint32_t{0};
  };
  std::vector<uint32_t> parent;  // per chunk: a chunk, or kRootFlag | index into hits
  std::vector<Hit> hits;
};

struct ReachInput {
  const Image& image;
  const Heaps& heaps;
  const ReferenceGraph& graph;
  const Roots& roots;
  const std::vector<SparePart>& spare;
  EdgeFinder* finder;
  OwnerTable* owners;
  const LoaderChunks& loader;
};

// Fills chunks->reach and chunks->owner (both sized to the number of chunks by this). `trace` may
// be null. Returns what dead memory refers to the stale chunks, each chunk at most once, at most
// kMaxStaleSources in all. Chunks that nothing reaches are left at Reach::kLeaked; who is head and
// who is indirect is for find_clusters() to say.
inline constexpr size_t kMaxStaleSources = 1 << 20;
std::vector<StaleSource> mark_reach(const ReachInput& input, ChunkTable* chunks, ReachTrace* trace);

}  // namespace residue
