// Every way to get a block, and what remains of blocks that were given back.
#include <malloc.h>

#include <cstring>
#include <new>

#include "verdict.h"

namespace verdict {
namespace {

void* volatile old_address;

__attribute__((noinline)) void resized(Frame& frame) {
  // It cannot grow in place; what is kept is the address it no longer has.
  auto* small = static_cast<Node*>(std::malloc(sizeof(Node)));
  std::memset(small, 0, sizeof(Node));
  frame.slots[1] = make("behind", 40, kReachable);
  small->next = make("child_of_moved", 40, kIndirect);
  old_address = small;
  void* moved = std::realloc(small, 5000);
  tell("moved_lost", moved, 5000, kLeaked);
  // Kept under its new address; shrunk; grown from nothing.
  frame.slots[0] = std::realloc(std::calloc(1, 100), 9000);
  tell("moved_kept", frame.slots[0], 9000, kReachable);
  frame.slots[2] = std::realloc(std::calloc(1, 4000), 50);
  tell("shrunk_kept", frame.slots[2], 50, kReachable);
  void* fresh = std::realloc(nullptr, 70);
  std::memset(fresh, 0, 70);
  tell("from_nothing_lost", fresh, 70, kLeaked);
}

struct alignas(256) Wide {
  long value[32];
};

__attribute__((noinline)) void aligned(Frame& frame) {
  const auto cleared = [](const char* name, void* block, std::size_t size, const char* expected) {
    std::memset(block, 0, size);
    tell(name, block, size, expected);
    return block;
  };
  cleared("memalign_lost", memalign(4096, 300), 300, kLeaked);
  frame.slots[0] = cleared("memalign_kept", memalign(4096, 300), 300, kReachable);
  cleared("aligned_lost", std::aligned_alloc(64, 192), 192, kLeaked);
  frame.slots[1] = cleared("aligned_kept", std::aligned_alloc(64, 192), 192, kReachable);
  void* block = nullptr;
  if (posix_memalign(&block, 1 << 16, 1000) == 0) cleared("posix_lost", block, 1000, kLeaked);
  if (posix_memalign(&block, 1 << 16, 1000) == 0) {
    frame.slots[2] = cleared("posix_kept", block, 1000, kReachable);
  }
  auto* wide = new Wide{};
  tell("new_lost", wide, sizeof(Wide), kLeaked);
  wide = new Wide{};
  tell("new_kept", wide, sizeof(Wide), kReachable);
  frame.slots[3] = wide;
  // Large enough for a mapping of its own.
  auto* large =
      static_cast<Node*>(cleared("large_lost", memalign(1 << 16, 1 << 20), 1 << 20, kLeaked));
  large->next = make("child_of_large_lost", 40, kIndirect);
  frame.slots[4] = cleared("large_kept", memalign(1 << 16, 1 << 20), 1 << 20, kReachable);
}

// Blocks of a mapping of their own (M_MMAP_THRESHOLD is 128 KiB).
__attribute__((noinline)) void large(Frame& frame) {
  auto* lost = static_cast<Node*>(make("lost", 300000, kLeaked));
  lost->next = make("child_of_lost", 350000, kIndirect);
  static_cast<Node*>(lost->next)->next = make("small_of_child", 40, kIndirect);
  auto* kept = static_cast<char*>(make("kept", 400000, kReachable));
  frame.slots[0] = kept;
  void* const last = make("at_end_of_kept", 40, kReachable);
  std::memcpy(kept + 400000 - 2 * sizeof last, &last, sizeof last);
  auto* middle = static_cast<char*>(make("middle_only", 500000, kInterior));
  frame.slots[1] = middle + 250000;
}

// A pointer that only a freed block still holds.
__attribute__((noinline)) void freed(Frame& frame) {
  constexpr int kSlot = 4;  // behind the words a malloc writes into freed blocks
  const auto lose = [](std::size_t size, const char* name, const char* child) {
    auto** holder = static_cast<void**>(std::calloc(1, size));
    auto* block = make_node(name, kStale);
    block->next = make_node(child, kStale);
    holder[kSlot] = block;
    return holder;
  };
  void** small = lose(64, "in_freed_small", "child_of_small");
  void** medium = lose(3000, "in_freed_medium", "child_of_medium");
  frame.slots[0] = make("behind", 40, kReachable);
  std::free(small);
  std::free(medium);
  // The program still knows where it was; that does not make it a live block.
  frame.slots[1] = small;
}

// Twelve blocks given back, none lost.
__attribute__((noinline)) void twelve_freed(Frame& frame) {
  void* blocks[12];
  for (int i = 0; i < 12; ++i) blocks[i] = std::calloc(1, 24 + 16 * static_cast<unsigned>(i % 4));
  for (void* block : blocks) std::free(block);
  frame.slots[0] = make("kept", 40, kReachable);
}

}  // namespace

const Theme kAllocations[] = {
    {"resized", resized}, {"aligned", aligned},           {"large", large},
    {"freed", freed},     {"twelve-freed", twelve_freed}, {nullptr, nullptr}};

}  // namespace verdict
