// Marking.
//
// Three marks over one graph, each going on where the one before ended:
//   1. from live roots along references to chunks' starts: reachable;
//   2. from live roots and everything marked so far along all references: interior;
//   3. from dead memory (free chunks, stack below the red zone) along all references: stale.
// What is left nobody points to from anywhere: leaked.
//
// Within the first mark the kinds of roots are drained one after the other, globals first, so that
// a chunk which a global and a stack both reach belongs to the global: a stack often only borrows.
// The queue is first in, first out: among globals the nearest wins.
//
// Roots are read twice instead of keeping their references: there can be gigabytes of them.
// Cost: every edge is looked at no more than three times.
#include "analyzer/reach.h"

namespace residue {
namespace {

class Marker {
 public:
  Marker(const ReachInput& input, ChunkTable* chunks, ReachTrace* trace)
      : in_(input), chunks_(*chunks), trace_(trace) {
    const uint32_t n = chunks->map.size();
    chunks_.reach.assign(n, Reach::kNone);
    chunks_.owner.assign(n, kNone<OwnerId>.value());
    if (trace_ != nullptr) trace_->parent.assign(n, ReachTrace::kNoParent);
  }

  std::vector<StaleSource> run() {
    mark_system();
    mark_live(/*interior=*/false);
    mark_live(/*interior=*/true);
    mark_stale();
    for (uint32_t i = 0; i < chunks_.reach.size(); ++i) {
      if (chunks_.state[i] == ChunkState::kUsed && chunks_.reach[i] == Reach::kNone) {
        chunks_.reach[i] = Reach::kLeaked;
      }
    }
    return std::move(stale_);
  }

 private:
  bool unmarked(ChunkId id) const {
    return chunks_.state[id.value()] == ChunkState::kUsed &&
           chunks_.reach[id.value()] == Reach::kNone;
  }

  // The allocator's own chunks are never sources: a thread cache points to dead chunks. ld.so's
  // are: what its records name is its own too, and on the vectors of dynamic TLS hangs the
  // program's memory.
  void mark_system() {
    for (const ChunkId id : in_.heaps.system) {
      if (unmarked(id)) chunks_.reach[id.value()] = Reach::kSystem;
    }
    current_ = Reach::kSystem;
    for (const ChunkId id : in_.loader.vectors) add_loader_chunk(id);
    std::vector<uint32_t> vectors = std::move(queue_);
    queue_.clear();
    for (const ChunkId id : in_.loader.own) add_loader_chunk(id);
    drain();
    queue_ = std::move(vectors);
  }

  void add_loader_chunk(ChunkId id) {
    if (!unmarked(id)) return;
    chunks_.reach[id.value()] = Reach::kSystem;
    chunks_.owner[id.value()] = in_.owners->of_loader().value();
    queue_.push_back(id.value());
  }

  void mark_live(bool interior) {
    current_ = interior ? Reach::kInterior : Reach::kReachable;
    with_interior_ = interior;
    if (interior) continue_from_marked();
    drain();
    const auto& live = in_.roots.live;
    for (size_t i = 0; i < live.size(); ++i) {
      scan(live[i], interior);
      const bool last_of_kind = i + 1 == live.size() || live[i + 1].kind != live[i].kind;
      if (last_of_kind) drain();
    }
    for (const RootWord& word : in_.roots.registers) {
      Edge edge;
      if (!in_.finder->find(word.value, &edge) || edge.interior() != interior) continue;
      if (!unmarked(edge.target())) continue;
      hit(edge.target(), Address(0), in_.owners->of_register(word.thread));
    }
    if (!interior) mark_stacks_in_chunks();
    drain();
  }

  // A coroutine's or a signal's stack may lie in a chunk: the stack pointer keeps it.
  void mark_stacks_in_chunks() {
    for (uint32_t t = 0; t < in_.image.threads.size(); ++t) {
      Edge edge;
      if (!in_.finder->find(in_.image.threads[t].sp, &edge) || !unmarked(edge.target())) continue;
      hit(edge.target(), Address(0), in_.owners->of_stack(t));
    }
  }

  // Second mark: interior references of everything the first one reached.
  void continue_from_marked() {
    const uint32_t nobody = kNone<OwnerId>.value();
    for (uint32_t i = 0; i < chunks_.reach.size(); ++i) {
      const bool of_loader = chunks_.reach[i] == Reach::kSystem && chunks_.owner[i] != nobody;
      if (chunks_.reach[i] == Reach::kReachable || of_loader) follow(i);
    }
  }

  void mark_stale() {
    current_ = Reach::kStale;
    with_interior_ = true;
    for (const RootRange& range : in_.roots.dead) {
      scan(range, false);
      scan(range, true);
    }
    for (const DeadReference& reference : in_.graph.from_spare) {
      hit_from_chunk(reference, DeadKind::kSpareCapacity);
    }
    for (const DeadReference& reference : in_.graph.from_free) {
      const bool cached = chunks_.state[reference.source] == ChunkState::kCached;
      hit_from_chunk(reference, cached ? DeadKind::kCached : DeadKind::kFreed);
    }
    drain();
  }

  void hit_from_chunk(const DeadReference& reference, DeadKind kind) {
    const ChunkId target = reference.edge.target();
    if (!unmarked(target)) return;
    const bool spare = kind == DeadKind::kSpareCapacity;
    const Address at =
        spare ? in_.spare[reference.source].begin : chunks_.map.address(ChunkId(reference.source));
    hit_dead({at, target.value(), kind, spare ? reference.source : 0});
  }

  void scan(const RootRange& range, bool interior) {
    with_words(in_.image, [&]<typename W>(W) {
      in_.image.holes.for_each_data(range.bytes, [&](uint64_t from, uint64_t until) {
        scan_part<W>(range, from, until, interior);
      });
    });
  }

  template <typename W>
  void scan_part(const RootRange& range, uint64_t from, uint64_t until, bool interior) {
    Edge edge;
    for (uint64_t at = from; at + W::kSize <= until; at += W::kSize) {
      if (!in_.finder->find(W::at(range.bytes, at), &edge)) continue;
      if (edge.interior() != interior || !unmarked(edge.target())) continue;
      const Address location = range.base + ByteCount(at);
      if (range.dead == DeadKind::kNone) {
        hit(edge.target(), location, in_.owners->of_range(range, location));
      } else {
        hit_dead({location, edge.target().value(), range.dead, range.thread});
      }
    }
  }

  void hit_dead(const StaleSource& source) {
    hit(ChunkId(source.target), source.location, kNone<OwnerId>);
    if (stale_.size() >= kMaxStaleSources) return;
    if (trace_ != nullptr) trace_->hits.back().stale = static_cast<uint32_t>(stale_.size());
    stale_.push_back(source);
  }

  // A chunk that a root refers to.
  void hit(ChunkId id, Address location, OwnerId owner) {
    chunks_.reach[id.value()] = current_;
    chunks_.owner[id.value()] = owner.value();
    queue_.push_back(id.value());
    if (trace_ == nullptr) return;
    trace_->parent[id.value()] = ReachTrace::kRootFlag | static_cast<uint32_t>(trace_->hits.size());
    trace_->hits.push_back({location, owner});
  }

  void drain() {
    for (size_t head = 0; head < queue_.size(); ++head) follow(queue_[head]);
    queue_.clear();
  }

  void follow(uint32_t source) {
    for (const Edge edge : in_.graph.edges(ChunkId(source))) {
      if (edge.interior() && !with_interior_) continue;
      if (!unmarked(edge.target())) continue;
      const uint32_t target = edge.target().value();
      chunks_.reach[target] = current_;
      chunks_.owner[target] = chunks_.owner[source];
      if (trace_ != nullptr) trace_->parent[target] = source;
      queue_.push_back(target);
    }
  }

  const ReachInput& in_;
  ChunkTable& chunks_;
  ReachTrace* trace_;
  std::vector<uint32_t> queue_;
  std::vector<StaleSource> stale_;
  Reach current_ = Reach::kReachable;
  bool with_interior_ = false;
};

}  // namespace

std::vector<StaleSource> mark_reach(const ReachInput& input, ChunkTable* chunks,
                                    ReachTrace* trace) {
  return Marker(input, chunks, trace).run();
}

}  // namespace residue
