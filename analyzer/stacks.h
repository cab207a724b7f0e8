// Stacks: every thread's frames, with names.
#pragma once

#include <vector>

#include "analyzer/snapshot.h"
#include "formats/image.h"
#include "symbolize/symbolizer.h"
#include "symbolize/unwind/unwinder.h"

namespace residue {

struct StackOptions {
  unsigned jobs = 0;          // worker threads, 0 for one per processor
  size_t keep_registers = 0;  // see UnwindOptions
};

// One for each of image.threads, in their order; threads are unwound in parallel. Frames that tail
// calls took away are put back in.
std::vector<UnwoundStack> unwind_threads(const Image& image, Symbolizer* symbolizer,
                                         const StackOptions& options, Diagnostics& diagnostics);

// Frames and the places they share, as rows. Sorted by thread, then depth.
struct FrameTable {
  std::vector<PlaceRow> places;
  std::vector<FrameRow> frames;
};
FrameTable name_frames(const Image& image, const std::vector<UnwoundStack>& stacks,
                       Symbolizer* symbolizer);

}  // namespace residue
