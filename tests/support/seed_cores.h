// Small cores for fuzz targets to start from: one of each shape that the reader and the analyser
// tell apart, a few KB each.
#pragma once

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

namespace residue::testing {

// Name and bytes.
std::vector<std::pair<std::string, std::vector<std::byte>>> seed_cores();

// A core of a process with a heap as glibc 2.36 keeps it: the main arena in a module's data with
// used, cached (tcache), fastbin and unsorted chunks and top, one thread arena, one mmapped chunk,
// roots in a stack and in the module's data, and a leaked pair of chunks. Laid out from
// malloc/malloc.c and malloc/arena.c of that release.
std::vector<std::byte> heap_core();

}  // namespace residue::testing
