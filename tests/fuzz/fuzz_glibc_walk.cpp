// Walking chunks in memory that holds anything: the walk must come to an end, and what it returns
// must be true of itself.
//
// Input: flags, the first chunk's and top's places in granules of 16 bytes, one and two bytes, then
// the memory of the stretch, at kBase. Flag 1: 32-bit; 2: big endian; 4: a thread arena; 8: a heap
// that does not end in top; 16: a page in the middle is not in the dump.
#include <algorithm>
#include <bit>
#include <cstdlib>
#include <span>

#include "analyzer/allocators/glibc_walk.h"

namespace {

using namespace residue;

constexpr uint64_t kBase = 0x7f0000000000;
constexpr uint64_t kPage = 4096;

void check(bool law) {
  if (!law) std::abort();
}

void add_region(Image* image, uint64_t begin, std::span<const std::byte> bytes, bool dumped) {
  if (bytes.empty()) return;
  Region region;
  region.range = {Address(kBase + begin), ByteCount(bytes.size())};
  region.permissions = {true, true, false};
  region.kind = RegionKind::kHeap;
  region.backing = dumped ? Backing::kDump : Backing::kAbsent;
  if (dumped) region.bytes = bytes;
  image->regions.push_back(region);
}

// Runs lie in the stretch and do not overlap; a run has a state for each start, the first of which
// is its own beginning.
void check_walk(const glibc::StretchWalk& walk, const glibc::Stretch& stretch, uint64_t header) {
  uint64_t done = 0;
  for (const WalkedRun& walked : walk.runs) {
    const uint64_t begin = walked.run.begin.value();
    check(begin >= stretch.first_chunk.value() && begin >= done);
    check(walked.run.end.value() >= begin);
    check(walked.run.end.value() <= stretch.memory.end().value() + header);
    done = walked.run.end.value() - header;
    check(!walked.starts.empty() && (walked.starts.front() & 1) != 0);
    size_t starts = 0;
    for (const uint64_t word : walked.starts) starts += static_cast<size_t>(std::popcount(word));
    check(starts == walked.states.size());
    const uint64_t granules = (walked.run.end.value() - begin) >> walked.granule_shift;
    check(walked.starts.size() <= granules / 64 + 1);
  }
  for (const AddressRange& gap : walk.skipped) {
    check(gap.base >= stretch.first_chunk && gap.end() <= stretch.memory.end());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr size_t kHead = 4;
  if (size < kHead + 256 || size > 60000) return 0;  // room behind the first chunk
  const uint8_t flags = data[0];
  const auto memory = std::as_bytes(std::span(data + kHead, size - kHead));
  Image image;
  image.pointer_width = (flags & 1) != 0 ? 4 : 8;
  image.order = (flags & 2) != 0 ? ByteOrder::kBig : ByteOrder::kLittle;
  const uint64_t hole = (flags & 16) != 0 && memory.size() > 3 * kPage ? kPage : memory.size();
  const uint64_t behind = std::min<uint64_t>(hole + kPage, memory.size());
  add_region(&image, 0, memory.first(hole), true);
  if (hole < behind) add_region(&image, hole, memory.subspan(hole, behind - hole), false);
  add_region(&image, behind, memory.subspan(behind), true);

  glibc::Arena arena;
  arena.shape = {image.pointer_width, 16, image.order};
  arena.is_main = (flags & 4) == 0;
  glibc::Stretch stretch;
  stretch.memory = {Address(kBase), ByteCount(memory.size())};
  const uint64_t first = arena.shape.next_chunk(uint64_t{data[1]} % 8 * 16);
  stretch.first_chunk = Address(kBase + first);
  const uint64_t last = memory.size() - arena.shape.header() - first;
  const uint64_t top = first + (data[2] + 256U * data[3]) * 16 % last / 16 * 16;
  stretch.ends_in_top = (flags & 8) == 0;
  arena.top = Address(kBase + top);
  arena.top_size = (memory.size() - top) & ~uint64_t{15};
  arena.system_mem = memory.size();
  arena.stretches.push_back(stretch);
  Diagnostics diagnostics;
  check_walk(glibc::walk_stretch(image, arena, stretch, HeapId(0), diagnostics), stretch,
             arena.shape.header());
  return 0;
}
