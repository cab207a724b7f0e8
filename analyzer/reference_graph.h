// ReferenceGraph: which chunk points to which, as compressed rows. Made by build_references().
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "analyzer/column.h"
#include "formats/base/address.h"

namespace residue {

// A reference to a chunk: the id, and whether it points to the chunk's start (or where the chunk's
// type says a pointer may) or to its inside.
class Edge {
 public:
  Edge() = default;
  Edge(ChunkId target, bool interior) : bits_(target.value() << 1 | (interior ? 1U : 0U)) {}
  ChunkId target() const { return ChunkId(bits_ >> 1); }
  bool interior() const { return (bits_ & 1) != 0; }
  friend bool operator==(Edge, Edge) = default;

 private:
  uint32_t bits_ = 0;
};

// A reference to a used chunk from memory inside a chunk that is dead.
struct DeadReference {
  Edge edge;
  uint32_t source;  // a chunk, or an index into the spare parts
};

// The edges of all used chunks in compressed rows, and the chunks that dead memory still points to.
struct ReferenceGraph {
  static constexpr uint32_t kBlock = 1 << 16;  // chunks that share one base

  std::span<const Edge> edges(ChunkId source) const {
    const uint32_t i = source.value();
    return targets.span(begin_of(i), begin_of(i + 1));
  }

  Column<Edge> targets;
  std::vector<uint64_t> base;    // of each block of kBlock chunks
  std::vector<uint32_t> offset;  // per chunk (and one more), from its block's base
  // What free and cached chunks point to, by chunk; what the spare parts of containers do, by part
  // (in a Snapshot, by the chunk in which the part lies: nobody knows the parts there).
  // With repetitions.
  std::vector<DeadReference> from_free;
  std::vector<DeadReference> from_spare;

 private:
  uint64_t begin_of(uint32_t i) const { return base[i / kBlock] + offset[i]; }
};

}  // namespace residue
