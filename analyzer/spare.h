// Spare capacity: parts of live chunks that the container which owns them does not use.
//
// A vector that has shrunk keeps its buffer, and with it the old elements' pointers. They keep
// nothing alive: what only they refer to has leaked.
#pragma once

#include <string>
#include <vector>

#include "analyzer/chunk_map.h"
#include "analyzer/roots.h"
#include "analyzer/snapshot.h"
#include "formats/image.h"
#include "symbolize/symbolizer.h"

namespace residue {

class TypeFinder;
struct ReferenceGraph;

// A part of one chunk in which references are stale. Sorted by `begin`, disjoint, where there are
// many.
struct SparePart {
  Address begin, end;
  std::string holder;     // "vector `g_sessions`", "deque `queue` of run, thread 12"
  Address holder_at;      // where the container lies
  bool is_local = false;  // it is a local variable
  bool is_deque = false;  // else it is a vector
};

// The spare parts of all containers that are variables: globals and statics, thread-local ones, and
// locals of every frame. Which variable is a container says DWARF; what the words of a variable
// must look like first, so that few are asked for.
//
// std::vector is three pointers {begin, end, end of storage} in libstdc++ (since 3.4) and libc++
// (all versions) alike; std::deque is known of libstdc++ (since 3.4).
std::vector<SparePart> find_spare_parts(const Image& image, const ChunkTable& chunks,
                                        const Roots& roots, const std::vector<UnwoundStack>& stacks,
                                        Symbolizer* symbolizer);

// Forgets the spare parts of buffers that others refer to as well, so that it is not certain whose
// they are. Returns whether there were any; `graph` does not know what they hold then, and must be
// built again.
bool drop_shared_parts(const Image& image, const ChunkMap& map, const ReferenceGraph& graph,
                       const Roots& roots, TypeFinder* types, std::vector<SparePart>* parts);

}  // namespace residue
