// Stacks: every thread's frames, with names.
#pragma once

#include <vector>

#include "analyzer/snapshot.h"
#include "formats/image.h"
#include "symbolize/symbolizer.h"
#include "symbolize/unwind/unwinder.h"

namespace residue {

// One for each of image.threads, in their order. Threads are unwound in parallel on up to `jobs`
// workers (0: one for each processor).
std::vector<UnwoundStack> unwind_threads(const Image& image, const DebugFiles& files,
                                         unsigned jobs);

// Frames and the places they share, as rows. Sorted by thread, then depth.
struct FrameTable {
  std::vector<PlaceRow> places;
  std::vector<FrameRow> frames;
};
FrameTable name_frames(const Image& image, const std::vector<UnwoundStack>& stacks,
                       Symbolizer* symbolizer);

}  // namespace residue
