// Finding glibc's arenas without symbols.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "analyzer/allocators/glibc_layout.h"
#include "analyzer/allocators/glibc_repair.h"
#include "formats/base/diagnostics.h"
#include "formats/image.h"

namespace residue::glibc {

// A stretch of an arena that is tiled by chunks.
struct Stretch {
  AddressRange memory;  // all of it, heap_info and malloc_state included: what system_mem counts
  Address first_chunk;  // header of the first chunk
  bool ends_in_top = false;
};

struct Arena {
  Address address;
  const ArenaLayout* layout = nullptr;
  Shape shape;
  bool is_main = false;
  bool busy = false;  // its mutex is held: lists may be half updated
  bool contiguous = true;
  Address top;
  uint64_t top_size = 0;
  uint64_t system_mem = 0;
  std::vector<Stretch> stretches;
  std::vector<AddressRange> claimed;
  std::vector<std::string> problems;  // laws broken already while it was found
  std::vector<Repair> repairs;        // words of it that were wrong, and are read as they must be
  ModuleId module = kNone<ModuleId>;  // main arena: the module whose data holds it
};

// All main arenas (one per copy of libc that was used), each followed by the thread arenas of its
// ring. Empty if no glibc heap is in the image.
std::vector<Arena> find_arenas(const Image& image, Diagnostics& diagnostics);

}  // namespace residue::glibc
