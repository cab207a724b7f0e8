// Usage: what is used and leaked per type, owner, module, size, heap, region and shape of leak,
// what the allocators hold back, and what is mapped.
#pragma once

#include <vector>

#include "analyzer/snapshot.h"
#include "analyzer/snapshot_keys.h"

namespace residue {

// One pass over the chunks. Rows of each dimension are sorted by used bytes, most first.
//
// 'type', 'owner', 'module', 'size', 'heap' and 'region' each divide all used chunks; 'shape' those
// that leaked, by the shape of their cluster. Two dimensions count something else, and have no
// leaks: 'allocator', the chunks and bytes that heaps hold and the program does not use ('glibc
// free, thread arenas'; of overhead, the count is that of heaps); and 'mapping', the mappings (of
// heaps: heaps) and bytes of address space, which add up to all regions.
//
// REQUIRES: all columns of snapshot.chunks, its types, owners, heaps, clusters and regions are
// filled in.
std::vector<UsageRow> count_usage(const Snapshot& snapshot);

}  // namespace residue
