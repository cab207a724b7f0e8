// The standard library's structures, leaked whole or kept.
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <new>
#include <unordered_map>
#include <vector>

#include "verdict.h"

namespace verdict {
namespace {

// Tells of every block it allocates: NAME0, NAME1, …
struct Label {
  const char* name;
  const char* expected;
  int count = 0;
};

template <typename T>
struct Telling {
  using value_type = T;
  explicit Telling(Label* l) : label(l) {}
  template <typename U>
  Telling(const Telling<U>& other) : label(other.label) {}  // NOLINT: a rebinding copy
  T* allocate(std::size_t n) {
    void* const block = std::malloc(n * sizeof(T));
    tell(label->name, label->count++, block, n * sizeof(T), label->expected);
    return static_cast<T*>(block);
  }
  void deallocate(T* block, std::size_t) { std::free(block); }
  template <typename U>
  bool operator==(const Telling<U>& other) const {
    return label == other.label;
  }
  Label* label;
};

using Map = std::map<int, long, std::less<>, Telling<std::pair<const int, long>>>;
using List = std::list<long, Telling<long>>;
using Hash = std::unordered_map<int, long, std::hash<int>, std::equal_to<>,
                                Telling<std::pair<const int, long>>>;
using Vector = std::vector<void*, Telling<void*>>;
using Deque = std::deque<long, Telling<long>>;

template <typename C>
C* make_container(const char* name, const char* expected, Label* label) {
  void* const block = std::malloc(sizeof(C));
  tell(name, block, sizeof(C), expected);
  return new (block) C(Telling<typename C::value_type>(label));
}

// A map's nodes point back into the map's header: all of it is one cycle.
__attribute__((noinline)) void map(Frame& frame) {
  static Label lost{"lost_node", kCycleA}, kept{"kept_node", kReachable};
  auto* m = make_container<Map>("lost", kCycleA, &lost);
  auto* k = make_container<Map>("kept", kReachable, &kept);
  for (int i = 0; i < 20; ++i) (*m)[i] = (*k)[i] = i;
  frame.slots[0] = k;
}

__attribute__((noinline)) void list(Frame& frame) {
  static Label lost{"lost_node", kCycleA}, kept{"kept_node", kReachable};
  auto* l = make_container<List>("lost", kCycleA, &lost);
  auto* k = make_container<List>("kept", kReachable, &kept);
  for (int i = 0; i < 8; ++i) l->push_back(i), k->push_back(i);
  frame.slots[0] = k;
}

// One bucket of a hash table points at the table itself; its nodes do not.
__attribute__((noinline)) void hash(Frame& frame) {
  static Label lost{"lost_block", kCycleA}, kept{"kept_block", kReachable};
  auto* k = make_container<Hash>("kept", kReachable, &kept);
  k->reserve(64);
  for (int i = 0; i < 30; ++i) (*k)[i] = i;
  frame.slots[0] = k;
  auto* h = make_container<Hash>("lost", kCycleA, &lost);
  h->reserve(64);  // one array of buckets, told as lost_block0
  lost = {"lost_node", kIndirect};
  for (int i = 0; i < 3; ++i) (*h)[i] = i;
}

__attribute__((noinline)) void vector(Frame& frame) {
  static Label lost{"lost_buffer", kIndirect}, kept{"kept_buffer", kReachable};
  auto* v = make_container<Vector>("lost", kLeaked, &lost);
  auto* k = make_container<Vector>("kept", kReachable, &kept);
  v->reserve(5);
  k->reserve(5);
  for (int i = 0; i < 5; ++i) {
    void* const element = std::calloc(1, 40);
    tell("lost_element", i, element, 40, kIndirect);
    v->push_back(element);
    void* const live = std::calloc(1, 40);
    tell("kept_element", i, live, 40, kReachable);
    k->push_back(live);
  }
  frame.slots[0] = k;
}

std::vector<Node*> list_of_nodes;

// What a vector has dropped still stands in its buffer, behind its end.
__attribute__((noinline)) void spare(Frame&) {
  list_of_nodes.reserve(16);
  for (int i = 0; i < 5; ++i) {
    auto* node = new Node{};
    tell("element", i, node, sizeof(Node), i < 3 ? kReachable : kStale);
    list_of_nodes.push_back(node);
  }
  tell("buffer", list_of_nodes.data(), 16 * sizeof(Node*), kReachable);
  list_of_nodes.resize(3);
  escape(list_of_nodes);
}

__attribute__((noinline)) void deque(Frame&) {
  static Label lost{"lost_block", kIndirect};
  auto* d = make_container<Deque>("lost", kLeaked, &lost);
  for (int i = 0; i < 150; ++i) d->push_back(i);
}

struct Peer {
  std::shared_ptr<Peer> peer;
  long payload[3] = {};
};

// Two objects that own each other: nobody outside, neither can go.
__attribute__((noinline)) void shared_cycle(Frame& frame) {
  static Label lost{"lost", kCycleA}, kept{"kept", kReachable}, alone{"alone", kLeaked};
  {
    auto a = std::allocate_shared<Peer>(Telling<Peer>(&lost));
    auto b = std::allocate_shared<Peer>(Telling<Peer>(&lost));
    a->peer = b;
    b->peer = a;
  }
  {
    auto self = std::allocate_shared<Peer>(Telling<Peer>(&alone));
    self->peer = self;
  }
  auto a = std::allocate_shared<Peer>(Telling<Peer>(&kept));
  a->peer = std::allocate_shared<Peer>(Telling<Peer>(&kept));
  a->peer->peer = a;
  static std::shared_ptr<Peer> held;
  held = a;
  escape(held);
  frame.slots[0] = nullptr;
}

// Control block and object apart: the object's start is known, and the control block knows it.
__attribute__((noinline)) void shared_apart(Frame&) {
  static Label control{"control", kCycleA};
  {
    auto* first = new Peer;
    tell("first", first, sizeof(Peer), kCycleA);
    std::shared_ptr<Peer> a(first, std::default_delete<Peer>(), Telling<Peer>(&control));
    auto* second = new Peer;
    tell("second", second, sizeof(Peer), kCycleA);
    std::shared_ptr<Peer> b(second, std::default_delete<Peer>(), Telling<Peer>(&control));
    a->peer = b;
    b->peer = a;
  }
}

struct Owner {
  std::unique_ptr<Node> part;
};

__attribute__((noinline)) void unique(Frame& frame) {
  auto owner = std::make_unique<Owner>();
  tell("released", owner.get(), sizeof(Owner), kLeaked);
  owner->part.reset(new Node{});
  tell("part_of_released", owner->part.get(), sizeof(Node), kIndirect);
  static_cast<void>(owner.release());
  static std::unique_ptr<Owner> kept;
  kept = std::make_unique<Owner>();
  tell("kept", kept.get(), sizeof(Owner), kReachable);
  escape(kept);
  auto freed = std::make_unique<Owner>();
  escape(freed);
  frame.slots[0] = nullptr;
}

}  // namespace

const Theme kContainers[] = {{"map", map},
                             {"list", list},
                             {"hash", hash},
                             {"vector", vector},
                             {"deque", deque},
                             {"spare", spare},
                             {"shared-cycle", shared_cycle},
                             {"shared-apart", shared_apart},
                             {"unique", unique},
                             {nullptr, nullptr}};

}  // namespace verdict
