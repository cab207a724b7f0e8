// A heap with no regularity at all: four arenas, random sizes, a random graph, holes, and chunks
// with mappings of their own.
//
// The graph is known because it is made from a table of nodes and edges; the chunks only receive
// what the table says. Reachability is decided on the table, from the same roots, and the table is
// unmapped before the process reports, so that nothing of it is in a dump. Three rules keep the
// truth exact:
//   * A chunk is filled completely before any pointer is planted, so that reused memory carries no
//     old pointers.
//   * The first tenth is freed while memory is still handed out and before any pointer exists (it
//     leaves holes that are reused); the last tenth is freed after all pointers exist and nothing
//     is allocated any more (it leaves dangling pointers, and dead chunks full of pointers).
//   * A thread that waits holds no pointer to a chunk in its frames.
// With out-degrees 0..4 about a third of the chunks cannot be reached from the roots.

#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <barrier>
#include <bit>
#include <cstdlib>
#include <new>
#include <span>
#include <thread>

#include "heap_maker.h"

namespace residue::bench {
namespace {

constexpr std::size_t kThreads = 4;
constexpr std::size_t kMappedPerThread = 100;
constexpr std::size_t kMaxEdges = 4;
constexpr std::size_t kRoots = 4096;
constexpr std::uint64_t kInteriorPercent = 3;
constexpr std::uint64_t kWord = sizeof(std::uint64_t);

// glibc gives a request of this size or more a mapping of its own (M_MMAP_THRESHOLD, 128 KiB in
// every version; it only moves when such a chunk is freed, which never happens here).
constexpr std::uint64_t kMappedFrom = std::uint64_t{128} * 1024;

struct Node {
  std::uint64_t* words = nullptr;
  std::uint32_t size = 0;
  std::uint32_t edges[kMaxEdges] = {};
  std::uint8_t edge_count = 0;
  std::uint8_t interior = 0;  // bit i: edge i points to the inside
  bool freed = false;
  bool reached_at_start = false;
  bool reached = false;
};

// Memory that is never part of the heap and is gone when the owner is.
template <typename T>
class Scratch {
 public:
  explicit Scratch(std::size_t count) : count_(count) {
    void* memory = mmap(nullptr, count * sizeof(T), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    items_ = static_cast<T*>(memory);  // zero bytes are valid values of everything kept here
  }
  ~Scratch() { munmap(items_, count_ * sizeof(T)); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  Scratch(Scratch&&) = delete;
  Scratch& operator=(Scratch&&) = delete;

  T& operator[](std::size_t index) { return items_[index]; }
  [[nodiscard]] std::size_t size() const { return count_; }

 private:
  T* items_ = nullptr;
  std::size_t count_;
};

// Volatile: nobody here reads them, and a compiler that sees this leaves the whole array out.
std::array<std::uint64_t* volatile, kRoots> g_roots;

// 94 % small, 5 % medium, 1 % large: 180 bytes on average, between 16 and 4000.
std::uint32_t random_size(Random& random) {
  const std::uint64_t kind = random.between(0, 99);
  if (kind < 94) return static_cast<std::uint32_t>(random.between(16, 240));
  if (kind < 99) return static_cast<std::uint32_t>(random.between(241, 1024));
  return static_cast<std::uint32_t>(random.between(1025, 4000));
}

std::uint64_t word_count(const Node& node) { return node.size / kWord; }

void allocate(Node& node, std::uint32_t size, Random& random) {
  node.size = size;
  node.words = static_cast<std::uint64_t*>(std::malloc(size));
  if (node.words == nullptr) throw std::bad_alloc();
  const std::size_t usable_words = malloc_usable_size(node.words) / kWord;
  const std::uint64_t filling = random.between(1, 100000);
  for (std::size_t i = 0; i < usable_words; ++i) node.words[i] = filling + i;
}

void release(Node& node) {
  std::free(node.words);
  node.freed = true;
}

// One thread's share of the nodes: [first, last), of which the first kMappedPerThread get mappings.
struct Share {
  std::size_t first = 0;
  std::size_t last = 0;

  [[nodiscard]] bool is_mapped(std::size_t index) const { return index - first < kMappedPerThread; }
};

void allocate_share(Scratch<Node>& nodes, const Share& share, Random& random) {
  for (std::size_t i = share.first; i < share.last; ++i) {
    if (share.is_mapped(i)) {
      allocate(nodes[i], static_cast<std::uint32_t>(random.between(kMappedFrom, 4 * kMappedFrom)),
               random);
      continue;
    }
    allocate(nodes[i], random_size(random), random);
    if (random.between(0, 9) != 0) continue;
    Node& victim = nodes[random.between(share.first + kMappedPerThread, i)];
    if (!victim.freed) release(victim);
  }
}

void plant_edges(Scratch<Node>& nodes, const Share& share, Random& random) {
  for (std::size_t i = share.first; i < share.last; ++i) {
    Node& node = nodes[i];
    if (node.freed) continue;
    const std::uint64_t words = word_count(node);
    const std::uint64_t wanted = std::min(random.between(0, kMaxEdges), words);
    const std::uint64_t stride = wanted == 0 ? 0 : words / wanted;
    for (std::uint64_t k = 0; k < wanted; ++k) {
      const std::size_t target = random.between(0, nodes.size() - 1);
      if (nodes[target].freed) continue;
      const bool interior = random.between(0, 99) < kInteriorPercent;
      const std::uint64_t skip = interior ? random.between(1, word_count(nodes[target]) - 1) : 0;
      node.words[k * stride + random.between(0, stride - 1)] =
          std::bit_cast<std::uint64_t>(nodes[target].words + skip);
      node.interior =
          static_cast<std::uint8_t>(node.interior | (interior ? 1U << node.edge_count : 0U));
      node.edges[node.edge_count++] = static_cast<std::uint32_t>(target);
    }
  }
}

void free_ninth(Scratch<Node>& nodes, const Share& share, Random& random) {
  for (std::size_t i = share.first; i < share.last; ++i) {
    if (!share.is_mapped(i) && !nodes[i].freed && random.between(0, 8) == 0) release(nodes[i]);
  }
}

// A thread allocates and links its own share and frees from its neighbour's, as a consumer thread
// does.
[[gnu::noinline]] void run_phases(Scratch<Node>& nodes, std::span<const Share, kThreads> shares,
                                  std::size_t thread, std::uint64_t seed, std::barrier<>& step) {
  Random random(seed * kThreads + thread);
  allocate_share(nodes, shares[thread], random);
  step.arrive_and_wait();
  plant_edges(nodes, shares[thread], random);
  step.arrive_and_wait();
  free_ninth(nodes, shares[(thread + 1) % kThreads], random);
  step.arrive_and_wait();
}

// Breadth first over the table. `only_starts` leaves out the pointers to a chunk's inside.
void mark(Scratch<Node>& nodes, Scratch<std::uint32_t>& queue, std::size_t roots,
          bool only_starts) {
  bool Node::*const flag = only_starts ? &Node::reached_at_start : &Node::reached;
  for (std::size_t i = 0; i < roots; ++i) nodes[queue[i]].*flag = true;
  std::size_t end = roots;
  for (std::size_t head = 0; head < end; ++head) {
    const Node& node = nodes[queue[head]];
    for (std::size_t k = 0; k < node.edge_count; ++k) {
      Node& target = nodes[node.edges[k]];
      const bool followed = !only_starts || (node.interior >> k & 1U) == 0;
      if (!followed || target.freed || target.*flag) continue;
      target.*flag = true;
      queue[end++] = node.edges[k];
    }
  }
}

// Picks distinct surviving roots, writes them to g_roots, leaves their numbers at the front of
// `queue`.
void choose_roots(Scratch<Node>& nodes, Scratch<std::uint32_t>& queue, Random& random) {
  for (std::size_t chosen = 0; chosen < kRoots;) {
    const std::size_t index = random.between(0, nodes.size() - 1);
    if (nodes[index].freed || nodes[index].reached) continue;
    nodes[index].reached = true;
    g_roots[chosen] = nodes[index].words;
    queue[chosen++] = static_cast<std::uint32_t>(index);
  }
}

Truth count(Scratch<Node>& nodes) {
  Truth truth;
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    const Node& node = nodes[i];
    if (node.freed) {
      ++truth.freed_chunks;
      continue;
    }
    const std::uint64_t bytes = malloc_usable_size(node.words);
    ++truth.used_chunks;
    truth.used_bytes += bytes;
    if (node.size >= kMappedFrom) ++truth.mapped_chunks;
    if (!node.reached) {
      ++truth.leaked_chunks;
      truth.leaked_bytes += bytes;
    } else if (!node.reached_at_start) {
      ++truth.interior_chunks;
      truth.interior_bytes += bytes;
    }
  }
  return truth;
}

}  // namespace

Truth make_random_heap(std::uint64_t chunks, std::uint64_t seed) {
  const std::size_t per_thread = chunks * 5 / 4 / kThreads + kMappedPerThread;
  Scratch<Node> nodes(per_thread * kThreads);
  Scratch<std::uint32_t> queue(nodes.size());
  std::array<Share, kThreads> shares;
  for (std::size_t t = 0; t < kThreads; ++t) shares[t] = {t * per_thread, (t + 1) * per_thread};

  std::barrier<> step(kThreads + 1);
  for (std::size_t t = 0; t < kThreads; ++t) {
    std::thread([&nodes, &shares, &step, t, seed] {
      run_phases(nodes, shares, t, seed, step);
      for (;;) pause();
    }).detach();
  }
  for (int phase = 0; phase < 3; ++phase) step.arrive_and_wait();

  Random random(seed);
  choose_roots(nodes, queue, random);
  mark(nodes, queue, kRoots, true);
  mark(nodes, queue, kRoots, false);
  return count(nodes);
}

}  // namespace residue::bench
