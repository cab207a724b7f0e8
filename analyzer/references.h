// References: which chunk points to which, extracted in one pass over the heaps.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "analyzer/heaps.h"
#include "analyzer/reference_graph.h"
#include "analyzer/spare.h"
#include "analyzer/types.h"
#include "analyzer/words.h"
#include "formats/image.h"

namespace residue {

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

// One pass over all heaps in address order: fills chunks->type on the way, while the chunk is in
// the processor's cache. Holes of the dump are not read. `spare`: sorted and disjoint.
ReferenceGraph build_references(const Image& image, const Heaps& heaps,
                                const std::vector<SparePart>& spare, TypeFinder* types,
                                std::vector<uint32_t>* type_column);

}  // namespace residue
