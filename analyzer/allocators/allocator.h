// Allocator: one entry per malloc implementation whose heaps can be walked.
//
// An allocator's .cpp defines `const Allocator& NAME_allocator()` and its NAME stands in the list
// RESIDUE_ALLOCATORS of CMakeLists.txt. Several may find heaps in one process: each claims what it
// can prove, in the order of that list, and leaves the rest alone.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "analyzer/snapshot.h"
#include "formats/base/diagnostics.h"
#include "formats/image.h"

namespace residue {

// One run of chunks as an allocator found it.
struct WalkedRun {
  Run run;                         // `heap` is an index into HeapParts::heaps
  std::vector<uint64_t> starts;    // as ChunkMap::add_run() wants them, in granules of this:
  unsigned granule_shift = 4;      // log2 of the alignment of user addresses, 3 or 4
  std::vector<ChunkState> states;  // one per chunk, in address order
};

// Calls f(index, granule) for each chunk of the run, in order, until it returns false.
template <typename F>
void for_each_start(const WalkedRun& walked, F&& f) {
  size_t index = 0;
  for (size_t word = 0; word < walked.starts.size(); ++word) {
    for (uint64_t bits = walked.starts[word]; bits != 0; bits &= bits - 1) {
      if (index >= walked.states.size()) return;
      if (!f(index++, word * 64 + static_cast<unsigned>(std::countr_zero(bits)))) return;
    }
  }
}

// The user address of the chunk that starts at a granule.
inline Address user_at(const WalkedRun& walked, uint64_t granule) {
  return walked.run.begin + ByteCount(granule << walked.granule_shift);
}

// What the allocators found, before ids are given out.
struct HeapParts {
  // Bytes that a checking malloc keeps before each block, and that the chunks' user addresses leave
  // out already; 0 without one.
  uint64_t block_header = 0;
  std::vector<HeapRow> heaps;  // counts and bytes are filled in by build_heaps()
  std::vector<WalkedRun> runs;
  // Memory that belongs to an allocator, chunks or not: never a root, never unknown memory.
  std::vector<AddressRange> claimed;
  // User addresses of chunks that sit on a list of the allocator's, whatever their header says.
  std::vector<Address> cached;  // per-thread caches
  std::vector<Address> freed;   // lists that leave the header looking used (glibc: fastbins)
  // User addresses of chunks that hold the allocator's own state.
  std::vector<Address> system;
  // Bookkeeping that was overwritten.
  std::vector<CorruptionRow> corruption;
};

struct Allocator {
  const char* name;
  void (*walk)(const Image& image, HeapParts* parts, Diagnostics& diagnostics);
};

}  // namespace residue
