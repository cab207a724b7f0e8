// The pieces of a main arena that does not grow by brk alone.
#pragma once

#include "analyzer/allocators/glibc_arenas.h"
#include "formats/image.h"

namespace residue::glibc {

// Where brk fails, and in a second copy of libc (dlmopen) or with huge pages always, malloc takes
// memory for its main arena with mmap, a mebibyte or more at a time, and lists it nowhere. Adds
// every piece that proves itself as a stretch, and a problem if they do not add up to system_mem.
// REQUIRES: `arena` is a main arena that is not contiguous, and has no stretches yet.
void add_pieces(const Image& image, Arena* arena);

}  // namespace residue::glibc
