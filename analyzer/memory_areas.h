// Which addresses belong to a heap or to a thread: disjoint areas, before the image's regions say
// what the memory in between is.
#pragma once

#include <cstdint>
#include <vector>

#include "analyzer/snapshot.h"
#include "formats/image.h"

namespace residue {

enum class AreaKind : uint8_t {
  kHeap,         // claimed by an allocator
  kReserve,      // address space behind a thread arena's heap that the arena may still grow into
  kStack,        // of a thread, from its stack pointer on
  kUnusedStack,  // below it; a guard page where it cannot be written
  kTls,          // static thread-local storage and the thread's descriptor
  kEndedStack,   // kept by libc of a thread that ended
};

struct Area {
  static constexpr uint32_t kNobody = ~uint32_t{0};

  uint64_t begin = 0, end = 0;  // of a range up to the end of the address space: its last byte
  AreaKind kind = AreaKind::kHeap;
  uint32_t owner = kNobody;  // index into Snapshot::heaps, or into Image::threads
};

// Sorted and disjoint. `claimed`: memory of the allocators, sorted and disjoint. `ended`:
// descriptors of threads that ended.
std::vector<Area> find_areas(const Image& image, const Snapshot& snapshot,
                             const std::vector<AddressRange>& claimed,
                             const std::vector<Address>& ended);

}  // namespace residue
