// What the checking mallocs of glibc leave around blocks: mcheck and MALLOC_CHECK_.
//
// Both write down how much the program asked for, to a byte. See docs/allocators/glibc.md.
#pragma once

#include "analyzer/allocators/allocator.h"
#include "analyzer/allocators/glibc_layout.h"
#include "analyzer/snapshot.h"
#include "formats/image.h"

namespace residue::glibc {

// mcheck lays a header before every block and hands out what lies behind it. If the blocks of this
// process have such headers, moves all chunks' user addresses, in the runs and lists of `parts`, to
// where the program's pointers point, so that the header belongs to nobody, and sets
// `parts->block_header` to its size. Free chunks too small for a header go with the chunk before.
void skip_mcheck_headers(const Image& image, const Shape& shape, HeapParts* parts);

// Fills chunks->slack where the bytes asked for are known. `block_header`: as set above.
void find_requested(const Image& image, uint64_t block_header, ChunkTable* chunks,
                    Diagnostics& diagnostics);

}  // namespace residue::glibc
