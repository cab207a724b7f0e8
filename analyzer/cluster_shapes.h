// Shapes of leaked clusters: what an instance consists of, as a multiset of types and sizes, and
// the folding of equal ones into one row.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "analyzer/snapshot.h"

namespace residue {

// One cluster before folding; ids of chunks.
struct ClusterInstance {
  uint32_t head = 0;
  std::span<const uint32_t> own;     // what the head alone leads to, without itself
  std::span<const uint32_t> shared;  // what other heads lead to as well, but which is counted here
  uint32_t rule = ClusterRow::kNotSuppressed;
};

class ShapeTable {
 public:
  // Rows in the result. The shapes with the most bytes have one each; what is left shares one row
  // for each suppression rule and one for those that are not suppressed.
  static constexpr size_t kMaxClusters = 20000;
  // Shapes that are told apart at all: bounds the memory of a heap full of different ones.
  static constexpr size_t kMaxShapes = 200000;

  // REQUIRES: both outlive this. chunks: reach says 'stale' or another leak of heads.
  ShapeTable(const ChunkTable& chunks, const std::vector<TypeRow>& types);

  // The lower, the better as head: typed ones by the name of the type, then the larger ones. Two
  // chunks of one rank are told apart only by address.
  bool better_head(uint32_t a, uint32_t b) const;

  // Counts an instance; returns the number of its shape.
  uint32_t add(const ClusterInstance& instance);

  // The rows, most bytes first; `(*row_of_shape)[i]` is where shape i went.
  std::vector<ClusterRow> finish(const std::string& caveat, std::vector<uint32_t>* row_of_shape);

 private:
  // Members of one kind. Untyped ones of several sizes say from which to which.
  struct Part {
    uint32_t type = kNone<TypeId>.value();
    bool text = false;  // all of them hold text
    uint64_t count = 0;
    uint64_t least = ~uint64_t{0}, most = 0;  // bytes of one
    uint64_t bytes = 0;                       // of all of the first instance
    void widen(uint64_t size, bool is_text) {
      least = std::min(least, size);
      most = std::max(most, size);
      text = text && is_text;
    }
  };
  struct Shape {
    uint32_t head = 0;  // of the first instance in memory
    uint32_t rule = ClusterRow::kNotSuppressed;
    bool other = false;  // not a shape: all that are not told apart
    uint64_t count = 0, chunks = 0, bytes = 0;
    uint64_t shared = 0, shared_bytes = 0;
    uint64_t least_head = 0, most_head = 0;  // bytes of the head
    std::vector<Part> parts;
    uint32_t first_loose = 0;  // parts from here on are of any size, the largest first
    std::vector<Part> shared_parts;
  };
  // 128 bits: two different shapes meet in one key by chance less often than memory fails.
  struct Key {
    uint64_t a = 0, b = 0;
    friend bool operator==(const Key&, const Key&) = default;
  };
  struct KeyHash {
    size_t operator()(const Key& key) const { return key.a; }
  };
  enum class Kind : uint8_t { kTyped, kSized, kLoose };

  uint64_t usable(uint32_t id) const { return chunks_.map.usable(ChunkId(id)).value(); }
  bool is_text(uint32_t id) const;
  bool is_typed(uint32_t id) const;
  Kind kind_of(uint32_t id, bool head_is_typed) const;
  Key key_of(const ClusterInstance& instance) const;
  uint32_t find_shape(const ClusterInstance& instance);
  uint32_t other_shape(uint32_t rule);
  void collect_loose(const ClusterInstance& instance);
  void describe_first(const ClusterInstance& instance, Shape* shape);
  void widen_loose(const ClusterInstance& instance, Shape* shape);
  void add_shared(const ClusterInstance& instance, Shape* shape) const;
  std::vector<uint32_t> by_bytes() const;
  ClusterRow row_of(const Shape& shape, const std::string& caveat) const;
  std::string name_of(const Part& part) const;
  std::string list_of(std::vector<Part> parts, Part head) const;

  const ChunkTable& chunks_;
  const std::vector<TypeRow>& types_;
  std::vector<uint32_t> type_rank_;
  std::unordered_map<Key, uint32_t, KeyHash> shape_of_key_;
  std::unordered_map<uint32_t, uint32_t> other_of_rule_;
  std::vector<Shape> shapes_;
  std::vector<uint64_t> loose_;  // sizes of an instance's loose members, text in the lowest bit
};

}  // namespace residue
