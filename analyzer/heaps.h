// Heaps: the result of walking every allocator of an image, with dense chunk ids.
#pragma once

#include <vector>

#include "analyzer/allocators/allocator.h"
#include "analyzer/snapshot.h"
#include "formats/base/diagnostics.h"
#include "formats/image.h"

namespace residue {

struct Heaps {
  // Whether ChunkTable::slack lies at the end of the chunk: nothing behind the bytes asked for is
  // the program's. Elsewhere (memalign under mcheck) some of it may lie before them.
  bool slack_is_behind = false;
  ChunkTable chunks;  // map and state are filled in; the other columns are sized and empty
  std::vector<HeapRow> rows;
  std::vector<AddressRange> claimed;      // sorted, disjoint: memory of allocators
  std::vector<ChunkId> system;            // chunks that hold allocators' own state
  std::vector<CorruptionRow> corruption;  // by address; suspects have no types yet
};

// Walks every known allocator's heaps.
Heaps walk_heaps(const Image& image, Diagnostics& diagnostics);

}  // namespace residue
