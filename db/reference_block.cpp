#include "db/reference_block.h"

#include <algorithm>
#include <span>
#include <string>

namespace residue {
namespace {

using DeadList = std::vector<DeadReference>;

size_t dead_before(const DeadList& list, uint32_t source) {
  const auto at = std::lower_bound(
      list.begin(), list.end(), source,
      [](const DeadReference& reference, uint32_t id) { return reference.source < id; });
  return static_cast<size_t>(at - list.begin());
}

// References of all chunks before `id`, which may be the number of chunks.
uint64_t references_before(const Snapshot& snapshot, uint32_t id) {
  const ReferenceGraph& graph = snapshot.references;
  uint64_t live = 0;
  if (id > 0) {
    const auto last = graph.edges(ChunkId(id - 1));
    live = static_cast<uint64_t>(last.data() + last.size() - graph.targets.span(0, 0).data());
  }
  return live + dead_before(graph.from_free, id) + dead_before(graph.from_spare, id);
}

// How many of the next `most` chunks have references that fit into a block; 0 if those of one do
// not.
uint32_t fitting(const Snapshot& snapshot, uint32_t first, uint32_t most) {
  const uint64_t before = references_before(snapshot, first);
  const auto fits = [&](uint32_t count) {
    return references_before(snapshot, first + count) - before <= kBlockReferences;
  };
  if (fits(most)) return most;
  uint32_t least = 0;  // fits; `most` does not
  while (most - least > 1) {
    const uint32_t middle = least + (most - least) / 2;
    (fits(middle) ? least : most) = middle;
  }
  return least;
}

Result<void> check_dead(const DeadList& list, uint32_t chunks) {
  uint32_t last = 0;
  for (const DeadReference& reference : list) {
    if (reference.edge.target().value() >= chunks || reference.source >= chunks) {
      return Error{ErrorCode::kInternal, "a reference from dead memory has no chunk", {}};
    }
    if (reference.source < last) {
      return Error{ErrorCode::kInternal, "references from dead memory are not in order", {}};
    }
    last = reference.source;
  }
  return {};
}

}  // namespace

bool has_references(const Snapshot& snapshot) {
  return snapshot.references.offset.size() == size_t{snapshot.chunks.map.size()} + 1;
}

Result<void> check_references(const Snapshot& snapshot) {
  const ReferenceGraph& graph = snapshot.references;
  const uint32_t chunks = snapshot.chunks.map.size();
  uint32_t worst = 0;
  for (const Edge edge : graph.targets.span(0, graph.targets.size())) {
    worst = std::max(worst, edge.target().value());
  }
  if (worst >= chunks && graph.targets.size() > 0) {
    return Error{ErrorCode::kInternal, "a reference leads to no chunk", {}};
  }
  RESIDUE_TRY(check_dead(graph.from_free, chunks));
  return check_dead(graph.from_spare, chunks);
}

uint64_t count_references(const Snapshot& snapshot) {
  const ReferenceGraph& graph = snapshot.references;
  return graph.targets.size() + graph.from_free.size() + graph.from_spare.size();
}

std::vector<ReferenceRange> divide_references(const Snapshot& snapshot, uint32_t sources) {
  const uint32_t total = snapshot.chunks.map.size();
  std::vector<ReferenceRange> ranges;
  for (uint32_t first = 0; first < total;) {
    const uint32_t count = fitting(snapshot, first, std::min(sources, total - first));
    const uint32_t end = first + std::max(count, 1U);
    const uint64_t references =
        references_before(snapshot, end) - references_before(snapshot, first);
    if (count > 0) {
      ranges.push_back({first, count, static_cast<uint32_t>(references), 0});
    } else {
      for (uint64_t skip = 0; skip < references; skip += kBlockReferences) {
        const uint64_t part = std::min<uint64_t>(kBlockReferences, references - skip);
        ranges.push_back({first, 1, static_cast<uint32_t>(part), skip});
      }
    }
    first = end;
  }
  return ranges;
}

void gather_references(const Snapshot& snapshot, const ReferenceRange& range,
                       ReferenceBlock& block) {
  const ReferenceGraph& graph = snapshot.references;
  block.first_id = range.first_id;
  block.begin.clear();
  block.target.clear();
  block.flags.clear();
  uint64_t skip = range.skip;
  // The part of `count` references that is wanted: [from, until).
  const auto wanted = [&](size_t count) {
    const auto from = static_cast<size_t>(std::min<uint64_t>(skip, count));
    skip -= from;
    return std::pair(from,
                     from + std::min<size_t>(count - from, range.references - block.target.size()));
  };
  const auto add = [&block](Edge edge, ReferenceKind kind) {
    block.target.push_back(edge.target().value());
    block.flags.push_back(
        static_cast<uint8_t>((edge.interior() ? 1 : 0) | static_cast<uint8_t>(kind) << 1));
  };
  size_t next_free = dead_before(graph.from_free, range.first_id);
  size_t next_spare = dead_before(graph.from_spare, range.first_id);
  const auto add_dead = [&](const DeadList& list, size_t& next, uint32_t id, ReferenceKind kind) {
    size_t end = next;
    if (range.skip == 0) {
      while (end < list.size() && list[end].source == id) ++end;
    } else {
      end = dead_before(list, id + 1);
    }
    const auto [from, until] = wanted(end - next);
    for (size_t i = from; i < until; ++i) add(list[next + i].edge, kind);
    next = end;
  };
  for (uint32_t i = 0; i < range.count; ++i) {
    const uint32_t id = range.first_id + i;
    block.begin.push_back(block.references());
    const std::span<const Edge> edges = graph.edges(ChunkId(id));
    const auto [from, until] = wanted(edges.size());
    for (const Edge edge : edges.subspan(from, until - from)) add(edge, ReferenceKind::kLive);
    add_dead(graph.from_free, next_free, id, ReferenceKind::kFree);
    add_dead(graph.from_spare, next_spare, id, ReferenceKind::kSpare);
  }
  block.begin.push_back(block.references());
}

}  // namespace residue
