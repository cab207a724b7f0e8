// References between the chunks of a snapshot made by hand: the rows that the table must show are
// written down first, and the graph is made from them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <random>
#include <vector>

#include "analyzer/snapshot.h"
#include "tests/db/synthetic_snapshot.h"

namespace residue::testing {

struct ExpectedReference {
  uint32_t source = 0, target = 0;  // ids
  bool interior = false;
  const char* kind = "live";
};

// REQUIRES: by source; of one source live ones, then those from free memory, then spare ones.
inline void set_references(Snapshot& snapshot, const std::vector<ExpectedReference>& rows) {
  ReferenceGraph graph;
  graph.targets = Column<Edge>(rows.size() + 1);
  const uint32_t chunks = snapshot.chunks.map.size();
  size_t next = 0;
  for (uint32_t id = 0; id <= chunks; ++id) {
    if (id % ReferenceGraph::kBlock == 0) graph.base.push_back(graph.targets.size());
    graph.offset.push_back(static_cast<uint32_t>(graph.targets.size() - graph.base.back()));
    for (; next < rows.size() && rows[next].source == id; ++next) {
      const ExpectedReference& row = rows[next];
      const Edge edge(ChunkId(row.target), row.interior);
      const std::string kind = row.kind;
      if (kind == "live") {
        graph.targets.push_back(edge);
      } else {
        (kind == "free" ? graph.from_free : graph.from_spare).push_back({edge, id});
      }
    }
  }
  snapshot.references = std::move(graph);
}

// Every case that the stored form treats differently: chunks without references, constant
// distances, lists of neighbours, the same target as before, a target that all point to, targets at
// random, hundreds and hundreds of thousands of references in one chunk, all kinds.
inline std::vector<ExpectedReference> make_references(const SyntheticHeap& heap,
                                                      uint32_t largest = 600000) {
  const auto chunks = static_cast<uint32_t>(heap.expected.size());
  std::vector<ExpectedReference> rows;
  std::mt19937 random(7);
  const auto any = [&] { return static_cast<uint32_t>(random() % chunks); };
  for (uint32_t id = 0; id < chunks; ++id) {
    const bool used = heap.expected[id].state == ChunkState::kUsed;
    const char* kind = used ? "live" : "free";
    const auto add = [&](uint32_t target) {
      rows.push_back({id, target % chunks, random() % 9 == 0, kind});
    };
    switch (id % 6) {
      case 0:
        break;
      case 1:
        for (uint32_t i = 1; i <= 3; ++i) add(id + i);
        break;
      case 2:
        for (uint32_t i = 0, first = any(); i < id % 20; ++i) add(first + 2 * i);
        break;
      case 3:
        add(17);
        add(id / 100);
        break;
      case 4:
        for (uint32_t i = 0; i < random() % 4; ++i) add(any());
        break;
      default:
        add(id + chunks - 1);
        if (id % 5 == 0) add(chunks - 1);
    }
    const uint32_t many = id == chunks / 3 ? largest : id % 9973 == 5 ? 300 : 0;
    for (uint32_t i = 0; i < many; ++i) add(any());
    if (used && id % 11 == 0) {
      kind = "spare";
      add(any());
      add(any());
    }
  }
  return rows;
}

}  // namespace residue::testing
