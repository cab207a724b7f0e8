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

  void run() {
    mark_system();
    mark_live(/*interior=*/false);
    mark_live(/*interior=*/true);
    mark_stale();
    for (uint32_t i = 0; i < chunks_.reach.size(); ++i) {
      if (chunks_.state[i] == ChunkState::kUsed && chunks_.reach[i] == Reach::kNone) {
        chunks_.reach[i] = Reach::kLeaked;
      }
    }
  }

 private:
  bool unmarked(ChunkId id) const {
    return chunks_.state[id.value()] == ChunkState::kUsed &&
           chunks_.reach[id.value()] == Reach::kNone;
  }

  // The allocator's own chunks are never sources: a thread cache points to dead chunks. ld.so's
  // are, because dynamic TLS hangs on them.
  void mark_system() {
    for (const ChunkId id : in_.heaps.system) {
      if (unmarked(id)) chunks_.reach[id.value()] = Reach::kSystem;
    }
    for (const ChunkId id : in_.loader) {
      if (!unmarked(id)) continue;
      chunks_.reach[id.value()] = Reach::kSystem;
      chunks_.owner[id.value()] = in_.owners->of_loader().value();
      queue_.push_back(id.value());
    }
  }

  void mark_live(bool interior) {
    current_ = interior ? Reach::kInterior : Reach::kReachable;
    with_interior_ = interior;
    if (interior) continue_from_marked();
    drain();
    const auto& live = in_.roots.live;
    for (size_t i = 0; i < live.size(); ++i) {
      scan(live[i], interior, false);
      const bool last_of_kind = i + 1 == live.size() || live[i + 1].kind != live[i].kind;
      if (last_of_kind) drain();
    }
    for (const RootWord& word : in_.roots.registers) {
      Edge edge;
      if (!in_.finder->find(word.value, &edge) || edge.interior() != interior) continue;
      if (!unmarked(edge.target())) continue;
      hit(edge.target(), Address(0), in_.owners->of_register(word.thread), false);
    }
    if (!interior) mark_stacks_in_chunks();
    drain();
  }

  // A coroutine's or a signal's stack may lie in a chunk: the stack pointer keeps it.
  void mark_stacks_in_chunks() {
    for (uint32_t t = 0; t < in_.image.threads.size(); ++t) {
      Edge edge;
      if (!in_.finder->find(in_.image.threads[t].sp, &edge) || !unmarked(edge.target())) continue;
      hit(edge.target(), Address(0), in_.owners->of_stack(t), false);
    }
  }

  // Second mark: interior references of everything the first one reached.
  void continue_from_marked() {
    for (uint32_t i = 0; i < chunks_.reach.size(); ++i) {
      if (chunks_.reach[i] == Reach::kReachable) follow(i);
    }
    for (const ChunkId id : in_.loader) follow(id.value());
  }

  void mark_stale() {
    current_ = Reach::kStale;
    with_interior_ = true;
    for (const RootRange& range : in_.roots.dead) {
      scan(range, false, true);
      scan(range, true, true);
    }
    for (const Edge edge : in_.graph.from_free) {
      if (unmarked(edge.target())) hit(edge.target(), Address(0), kNone<OwnerId>, true);
    }
    drain();
  }

  void scan(const RootRange& range, bool interior, bool dead) {
    with_words(in_.image, [&]<typename W>(W) {
      in_.image.holes.for_each_data(range.bytes, [&](uint64_t from, uint64_t until) {
        scan_part<W>(range, from, until, interior, dead);
      });
    });
  }

  template <typename W>
  void scan_part(const RootRange& range, uint64_t from, uint64_t until, bool interior, bool dead) {
    Edge edge;
    for (uint64_t at = from; at + W::kSize <= until; at += W::kSize) {
      if (!in_.finder->find(W::at(range.bytes, at), &edge)) continue;
      if (edge.interior() != interior || !unmarked(edge.target())) continue;
      const Address location = range.base + ByteCount(at);
      hit(edge.target(), location, dead ? kNone<OwnerId> : in_.owners->of_range(range, location),
          dead);
    }
  }

  // A chunk that a root refers to.
  void hit(ChunkId id, Address location, OwnerId owner, bool dead) {
    chunks_.reach[id.value()] = current_;
    chunks_.owner[id.value()] = owner.value();
    queue_.push_back(id.value());
    if (trace_ == nullptr) return;
    trace_->parent[id.value()] = ReachTrace::kRootFlag | static_cast<uint32_t>(trace_->hits.size());
    trace_->hits.push_back({location, owner, dead});
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
  Reach current_ = Reach::kReachable;
  bool with_interior_ = false;
};

}  // namespace

void mark_reach(const ReachInput& input, ChunkTable* chunks, ReachTrace* trace) {
  Marker(input, chunks, trace).run();
}

}  // namespace residue
