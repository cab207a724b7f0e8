// glibc's mmapped chunks, which are on no list: found by their headers, proved by mp_'s counters.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "analyzer/allocators/glibc_arenas.h"
#include "formats/image.h"

namespace residue::glibc {

// The counters of mp_ that say what there must be.
struct Parameters {
  Address address;
  const ParametersLayout* layout = nullptr;
  uint64_t n_mmaps = 0;
  uint64_t mmapped_mem = 0;
};

// mp_ in the data of the module that holds `main`, or nullopt.
std::optional<Parameters> find_parameters(const Image& image, const Arena& main);

struct MmappedChunk {
  AddressRange mapping;
  Address user;
  uint64_t usable = 0;
  // A word of a header that memalign moved, if it was overwritten, and what it must hold.
  std::optional<Address> damaged;
  uint64_t expected = 0;
};

// Every mmapped chunk in anonymous writable memory outside `claimed` (sorted, disjoint). `trailer`:
// ArenaLayout::mmapped_trailer.
std::vector<MmappedChunk> find_mmapped(const Image& image, const Shape& shape,
                                       const std::vector<AddressRange>& claimed, uint64_t trailer);

}  // namespace residue::glibc
