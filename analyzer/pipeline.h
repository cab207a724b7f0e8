// The pipeline: from an Image to a Snapshot. The order of the stages, and the reason for it, stands
// in pipeline.cpp.
#pragma once

#include <functional>
#include <string>

#include "analyzer/reach.h"
#include "analyzer/snapshot.h"
#include "analyzer/suppressions.h"
#include "analyzer/wanted.h"
#include "formats/base/diagnostics.h"
#include "formats/image.h"
#include "symbolize/symbolizer.h"

namespace residue {

// What explain() needs beyond a Snapshot; kept only on request.
struct Evidence {
  Heaps heaps;  // without the chunk table, which is in the Snapshot
  Roots roots;
  ReachTrace trace;
  std::vector<UnwoundStack> stacks;  // one for each thread, with registers
  std::vector<SparePart> spare;
  std::vector<StaleSource> stale;
};

struct PipelineOptions {
  std::string label;
  unsigned jobs = 0;  // worker threads, 0 for one per processor
  Wanted wanted;      // what else it needs is found out too, but not shown
  // Called at the start of each stage with its name; may be empty.
  std::function<void(const char* stage)> progress;
  Evidence* evidence = nullptr;  // filled in if not null
  SuppressionList suppressions;
  bool embedded_suppressions = true;  // also those that the program carries itself
  // Of the same image; null: one that looks for files at the usual places.
  Symbolizer* symbolizer = nullptr;
};

// Analyses one image. `diagnostics` are those of reading the dump; they end in the snapshot
// together with the analysis's own. The snapshot's chunk table refers to bytes of `image`.
Snapshot analyze(const Image& image, Diagnostics diagnostics, const PipelineOptions& options);

}  // namespace residue
