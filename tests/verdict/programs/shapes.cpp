// Shapes of leaked structures: who is the head, who only hangs on it.
#include <cstring>

#include "verdict.h"

namespace verdict {
namespace {

void* volatile kept_global;

__attribute__((noinline)) void plain(Frame& frame) {
  make("lost", 40, kLeaked);
  make("lost_empty", 0, kLeaked);
  make("lost_big", 100000, kLeaked);
  kept_global = make("in_global", 40, kReachable);
  static void* kept_static;
  kept_static = make("in_static", 24, kReachable);
  escape(kept_static);
  frame.slots[0] = make("in_frame", 40, kReachable);
}

__attribute__((noinline)) void chain(Frame& frame) {
  Node* lost = make_node("lost0", kLeaked);
  Node* kept = make_node("kept0", kReachable);
  frame.slots[0] = kept;
  for (int i = 1; i < 6; ++i) {
    auto* next = static_cast<Node*>(std::calloc(1, sizeof(Node)));
    tell("lost", i, next, sizeof(Node), kIndirect);
    lost->next = next;
    lost = next;
    next = static_cast<Node*>(std::calloc(1, sizeof(Node)));
    tell("kept", i, next, sizeof(Node), kReachable);
    kept->next = next;
    kept = next;
  }
}

void* grow(int depth, int* number, const char* name, const char* head, const char* below) {
  auto* node = static_cast<Node*>(std::calloc(1, sizeof(Node)));
  tell(name, (*number)++, node, sizeof(Node), head);
  if (depth > 0) {
    node->next = grow(depth - 1, number, name, below, below);
    node->other = grow(depth - 1, number, name, below, below);
  }
  return node;
}

__attribute__((noinline)) void tree(Frame& frame) {
  int number = 0;
  grow(3, &number, "lost", kLeaked, kIndirect);
  number = 0;
  frame.slots[0] = grow(3, &number, "kept", kReachable, kReachable);
}

Node* ring(const char* name, int count, const char* expected) {
  Node* first = nullptr;
  Node* last = nullptr;
  for (int i = 0; i < count; ++i) {
    auto* node = static_cast<Node*>(std::calloc(1, sizeof(Node)));
    tell(name, i, node, sizeof(Node), expected);
    if (last != nullptr) last->next = node;
    if (first == nullptr) first = node;
    last = node;
  }
  last->next = first;
  return first;
}

__attribute__((noinline)) void cycle(Frame& frame) {
  ring("two", 2, kCycleA);
  ring("three", 3, kCycleB);
  ring("seven", 7, kCycleC);
  Node* self = make_node("self", kLeaked);
  self->next = self;
  frame.slots[0] = ring("kept", 3, kReachable);
}

// A head, two links, a cycle: only the head is leaked. And a cycle with something hanging on it.
__attribute__((noinline)) void cycle_tail(Frame&) {
  Node* entered = ring("ring", 3, kIndirect);
  Node* link = make_node("link", kIndirect);
  Node* head = make_node("head", kLeaked);
  head->next = link;
  link->next = entered;
  Node* free_ring = ring("free_ring", 3, kCycleA);
  Node* tail = make_node("tail", kIndirect);
  free_ring->other = tail;
  tail->next = make_node("tail_end", kIndirect);
}

// One cluster, two heads: both are leaked, what they share is indirect.
__attribute__((noinline)) void two_heads(Frame&) {
  Node* shared = ring("shared", 3, kIndirect);
  Node* first = make_node("first", kLeaked);
  Node* second = make_node("second", kLeaked);
  first->next = shared;
  second->next = shared->next;
  second->other = make_node("own", kIndirect);
}

// Two cycles, the first pointing into the second: one head for all.
__attribute__((noinline)) void cycles_in_a_row(Frame&) {
  Node* first = ring("first", 3, kCycleA);
  first->other = ring("second", 4, kIndirect);
}

// A leaked block that also points at a live one takes nothing with it.
__attribute__((noinline)) void leak_to_live(Frame& frame) {
  Node* live = make_node("live", kReachable);
  frame.slots[0] = live;
  Node* lost = make_node("lost", kLeaked);
  lost->next = live;
  lost->other = make_node("lost_child", kIndirect);
}

}  // namespace

const Theme kShapes[] = {{"plain", plain},
                         {"chain", chain},
                         {"tree", tree},
                         {"cycle", cycle},
                         {"cycle-tail", cycle_tail},
                         {"two-heads", two_heads},
                         {"cycles-in-a-row", cycles_in_a_row},
                         {"leak-to-live", leak_to_live},
                         {nullptr, nullptr}};

}  // namespace verdict
