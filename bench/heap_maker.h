// What the two heaps of heap_maker have in common: the figures a generator knows of its own heap.
//
// The figures are counted while the heap is made; nothing is read back from the allocator except
// through its public functions malloc_usable_size() and mallinfo2().
#pragma once

#include <cstddef>
#include <cstdint>

namespace residue::bench {

// All bytes are usable bytes, i.e. the sum of malloc_usable_size(). `leaked` is a subset of `used`,
// and `interior` (reached only through a pointer to some chunk's inside) is another subset,
// disjoint from it.
struct Truth {
  std::uint64_t used_chunks = 0;
  std::uint64_t used_bytes = 0;
  std::uint64_t leaked_chunks = 0;
  std::uint64_t leaked_bytes = 0;
  std::uint64_t interior_chunks = 0;
  std::uint64_t interior_bytes = 0;
  std::uint64_t freed_chunks = 0;
  std::uint64_t mapped_chunks = 0;  // the used ones that malloc gave a mapping of their own
};

// Fills about `chunks` chunks with `std::map<id, Session*>` and what hangs on it; drops every other
// session.
Truth make_regular_heap(std::uint64_t chunks);

// Fills about `chunks` chunks that survive, from four threads, with random sizes and a random
// graph. The threads stay alive, blocked, until the process ends.
Truth make_random_heap(std::uint64_t chunks, std::uint64_t seed);

// Small, fast and the same on every machine (Vigna's splitmix64).
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}

  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15U);
    z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27U)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31U);
  }

  // Uniform in [low, high].
  std::uint64_t between(std::uint64_t low, std::uint64_t high) {
    return low + next() % (high - low + 1);
  }

 private:
  std::uint64_t state_;
};

}  // namespace residue::bench
