// Usage: what is used and leaked per type, owner, module, size, heap, region and shape of leak,
// what the allocators hold back, and what is mapped.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "analyzer/snapshot.h"

namespace residue {

inline constexpr const char* kUnknownKey = "(unknown)";  // of chunks without a type or module
inline constexpr const char* kNobodyKey = "(nobody)";    // of chunks without an owner

// Where memory of the heap of this name comes from, without addresses: '[heap]' of main_arena,
// 'thread arenas', 'mmapped chunks', or the name itself. Key of chunks outside of mapped files in
// the dimension 'region', and of heaps in 'mapping'.
std::string heap_region_key(std::string_view heap);

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
