// Stale references: which dead memory still points to a chunk that nothing alive keeps. Evidence
// for people: what is stale was leaked, and the dead memory often tells who dropped it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "analyzer/snapshot.h"
#include "analyzer/spare.h"
#include "formats/image.h"

namespace residue {

// One reference from dead memory to a chunk.
struct StaleSource {
  Address location;     // of the word; of kFreed, kCached and kSpareCapacity the chunk's
  uint32_t target = 0;  // the chunk that it points to
  DeadKind kind = DeadKind::kNone;
  // Below the stack pointer of which thread (index into Image::threads), or the spare capacity of
  // which container (index into the spare parts).
  uint32_t index = 0;
};

// "a freed chunk at 0x55…", "the stack of thread 12 below its stack pointer, at 0x7f…".
std::string describe_stale(const Image& image, const std::vector<SparePart>& spare,
                           const StaleSource& source);

// Puts what holds them into the evidence of the clusters that are only referred to by dead memory:
// the reference to the head of the instance that the row names, and how many others there are of
// which kind. REQUIRES: `sources` names each target once.
void explain_stale_clusters(const Image& image, const ChunkTable& chunks,
                            const std::vector<SparePart>& spare,
                            const std::vector<StaleSource>& sources,
                            std::vector<ClusterRow>* clusters);

}  // namespace residue
