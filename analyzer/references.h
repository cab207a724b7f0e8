// References: which chunk points to which, extracted in one pass over the heaps.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "analyzer/column.h"
#include "analyzer/heaps.h"
#include "analyzer/spare.h"
#include "analyzer/types.h"
#include "analyzer/words.h"
#include "formats/image.h"

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

// Turns words into edges.
class EdgeFinder {
 public:
  // REQUIRES: all outlive this.
  EdgeFinder(const Image& image, const ChunkMap& map, TypeFinder* types);

  // Whether a word points into some chunk; the edge goes to `*edge`.
  bool find(uint64_t word, Edge* edge) {
    word &= address_bits_;
    if (word - low_ >= span_) return false;
    return resolve(word, edge);
  }

 private:
  bool resolve(uint64_t word, Edge* edge);
  bool is_proper_interior(uint64_t word, uint64_t start, const Run& run, ChunkId id);
  bool is_exception(std::span<const std::byte> bytes, uint64_t offset) const;
  bool is_behind_count(std::span<const std::byte> bytes, uint64_t offset) const;

  const ChunkMap& map_;
  TypeFinder* types_;
  WordFormat words_;
  bool arm_cookies_;
  uint64_t address_bits_;
  uint64_t low_ = 0;
  uint64_t span_ = 0;
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
  // What free and cached chunks point to, by chunk; what the spare parts of containers do, by part.
  // With repetitions.
  std::vector<DeadReference> from_free;
  std::vector<DeadReference> from_spare;

 private:
  uint64_t begin_of(uint32_t i) const { return base[i / kBlock] + offset[i]; }
};

// One pass over all heaps in address order: fills chunks->type on the way, while the chunk is in
// the processor's cache. Holes of the dump are not read. `spare`: sorted and disjoint.
ReferenceGraph build_references(const Image& image, const Heaps& heaps,
                                const std::vector<SparePart>& spare, TypeFinder* types,
                                std::vector<uint32_t>* type_column);

}  // namespace residue
