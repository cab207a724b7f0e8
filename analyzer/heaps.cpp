#include "analyzer/heaps.h"

#include <algorithm>

#include "analyzer/allocators/glibc_checks.h"
#include "formats/base/text.h"

namespace residue {

// Generated from the list RESIDUE_ALLOCATORS in CMakeLists.txt.
#define RESIDUE_ALLOCATOR(name) const Allocator& name##_allocator();
#include "allocator_list.inc"
#undef RESIDUE_ALLOCATOR

namespace {

constexpr const char* kStage = "heaps";

std::vector<const Allocator*> allocators() {
  return {
#define RESIDUE_ALLOCATOR(name) &name##_allocator(),
#include "allocator_list.inc"
#undef RESIDUE_ALLOCATOR
  };
}

// Sorted, with overlapping ranges joined.
std::vector<AddressRange> normalise(std::vector<AddressRange> ranges) {
  std::sort(ranges.begin(), ranges.end(),
            [](const AddressRange& a, const AddressRange& b) { return a.base < b.base; });
  std::vector<AddressRange> out;
  for (const AddressRange& range : ranges) {
    if (range.size.value() == 0) continue;
    if (!out.empty() && range.base.value() <= out.back().end().value()) {
      const uint64_t end = std::max(out.back().end().value(), range.end().value());
      out.back().size = ByteCount(end - out.back().base.value());
    } else {
      out.push_back(range);
    }
  }
  return out;
}

// Two allocators, or a damaged list, may claim the same memory: the run that starts first stays.
void drop_overlapping(std::vector<WalkedRun>* runs, Diagnostics& diagnostics) {
  std::sort(runs->begin(), runs->end(),
            [](const WalkedRun& a, const WalkedRun& b) { return a.run.begin < b.run.begin; });
  std::vector<WalkedRun> kept;
  for (WalkedRun& walked : *runs) {
    // A run's end may lie a header's width behind its memory, so the next may begin just there.
    if (!kept.empty() && walked.run.begin < kept.back().run.end) {
      diagnostics.add(Severity::kDamage, kStage, "address " + hex(walked.run.begin.value()),
                      (walked.run.end - walked.run.begin).value(),
                      "heap memory claimed twice; the first claim counts");
      continue;
    }
    kept.push_back(std::move(walked));
  }
  *runs = std::move(kept);
}

// Bit i of `bits` at place 2 * i.
uint64_t spread(uint32_t bits) {
  uint64_t x = bits;
  x = (x | x << 16) & 0x0000ffff0000ffff;
  x = (x | x << 8) & 0x00ff00ff00ff00ff;
  x = (x | x << 4) & 0x0f0f0f0f0f0f0f0f;
  x = (x | x << 2) & 0x3333333333333333;
  return (x | x << 1) & 0x5555555555555555;
}

// The same starts in granules of half the size.
std::vector<uint64_t> halve_granules(const std::vector<uint64_t>& starts) {
  std::vector<uint64_t> finer;
  finer.reserve(2 * starts.size());
  for (const uint64_t word : starts) {
    finer.push_back(spread(static_cast<uint32_t>(word)));
    finer.push_back(spread(static_cast<uint32_t>(word >> 32)));
  }
  return finer;
}

// One map has one granule: the finest that an allocator needs, 16 bytes if there is no heap.
unsigned common_granule(const std::vector<WalkedRun>& runs) {
  unsigned shift = 4;
  for (const WalkedRun& walked : runs) shift = std::min(shift, walked.granule_shift);
  return shift;
}

// Chunks that a list names although their header looks used.
void mark(Heaps* heaps, const std::vector<Address>& users, ChunkState state,
          Diagnostics& diagnostics) {
  for (const Address user : users) {
    uint64_t start = 0;
    const ChunkId id = heaps->chunks.map.find(user.value(), &start);
    if (id == kNone<ChunkId> || start != user.value()) {
      diagnostics.add(Severity::kDamage, kStage, "address " + hex(user.value()), 0,
                      "a free list names an address where no chunk begins");
      continue;
    }
    heaps->chunks.state[id.value()] = state;
  }
}

void count(Heaps* heaps) {
  const ChunkTable& chunks = heaps->chunks;
  chunks.map.for_each([&](ChunkId id, Address, ByteCount usable, const Run& run) {
    HeapRow& row = heaps->rows[run.heap.value()];
    switch (chunks.state[id.value()]) {
      case ChunkState::kUsed:
        ++row.used_count;
        row.used_bytes += usable.value();
        break;
      case ChunkState::kFree:
        ++row.free_count;
        row.free_bytes += usable.value();
        break;
      case ChunkState::kCached:
        ++row.cached_count;
        row.cached_bytes += usable.value();
        break;
    }
  });
  for (HeapRow& row : heaps->rows) {
    const uint64_t known = row.used_bytes + row.free_bytes + row.cached_bytes;
    row.overhead_bytes = row.mapped_bytes - std::min(row.mapped_bytes, known);
  }
}

}  // namespace

Heaps walk_heaps(const Image& image, Diagnostics& diagnostics) {
  HeapParts parts;
  for (const Allocator* allocator : allocators()) allocator->walk(image, &parts, diagnostics);
  if (image.os.ends_with("bsd")) {
    diagnostics.add(Severity::kWarning, kStage, "heaps", 0,
                    "heaps of " + image.os + " are not walked yet: nothing is said of leaks");
  }

  Heaps heaps;
  heaps.rows = std::move(parts.heaps);
  heaps.corruption = std::move(parts.corruption);
  std::stable_sort(
      heaps.corruption.begin(), heaps.corruption.end(),
      [](const CorruptionRow& a, const CorruptionRow& b) { return a.address < b.address; });
  heaps.claimed = normalise(std::move(parts.claimed));
  drop_overlapping(&parts.runs, diagnostics);
  ChunkTable& chunks = heaps.chunks;
  const unsigned granule_shift = common_granule(parts.runs);
  chunks.map = ChunkMap(granule_shift);
  size_t total = 0;
  for (const WalkedRun& walked : parts.runs) total += walked.states.size();
  chunks.state.reserve(total);
  for (WalkedRun& walked : parts.runs) {
    chunks.state.insert(chunks.state.end(), walked.states.begin(), walked.states.end());
    walked.states = {};
    for (; walked.granule_shift > granule_shift; --walked.granule_shift) {
      walked.starts = halve_granules(walked.starts);
    }
    chunks.map.add_run(walked.run, std::move(walked.starts));
  }
  chunks.map.finish();
  mark(&heaps, parts.cached, ChunkState::kCached, diagnostics);
  mark(&heaps, parts.freed, ChunkState::kFree, diagnostics);
  for (const Address user : parts.system) {
    uint64_t start = 0;
    const ChunkId id = chunks.map.find(user.value(), &start);
    if (id != kNone<ChunkId> && start == user.value()) heaps.system.push_back(id);
  }
  glibc::find_requested(image, parts.block_header, &chunks, diagnostics);
  count(&heaps);
  return heaps;
}

}  // namespace residue
