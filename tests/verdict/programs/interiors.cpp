// Pointers that do not point at the start of a block, and pointers that are not in memory as such.
#include <cstring>
#include <new>
#include <string>

#include "verdict.h"

namespace verdict {
namespace {

char* volatile middle;
char* volatile end_of_block;
char* volatile begin_of_range;
char* volatile end_of_range;

__attribute__((noinline)) void interior(Frame& frame) {
  auto* block = static_cast<char*>(make("middle_only", 200, kInterior));
  // Hangs on a block that is interior: every path to it goes through the inside of a block.
  auto* child = make_node("child_of_middle", kInterior);
  std::memcpy(block, &child, sizeof child);
  middle = block + 100;
  // A pointer to the start counts more than one to the middle.
  auto* both = static_cast<char*>(make("start_and_middle", 200, kReachable));
  frame.slots[0] = both;
  frame.slots[1] = both + 64;
  // Only from a leaked block, and only to its middle.
  auto* lost = make_node("lost", kLeaked);
  auto* inner = static_cast<char*>(make("inner_of_lost", 64, kIndirect));
  lost->next = inner + 32;
}

// A range as two pointers keeps its block by the first. (A pointer to the end alone: see theme
// past-end.)
__attribute__((noinline)) void range(Frame&) {
  auto* block = static_cast<char*>(make("range", 24, kReachable));
  begin_of_range = block;
  end_of_range = block + 24;
}

// The end alone: a range that was read to its end. It points behind the block, at nothing.
__attribute__((noinline)) void past_end(Frame&) {
  auto* block = static_cast<char*>(make("past_end", 24, kInterior));
  end_of_block = block + 24;
}

// The end of one block is where an allocator without headers puts the next.
__attribute__((noinline)) void neighbour(Frame&) {
  auto* block = static_cast<char*>(make("kept", 48, kReachable));
  make("lost_behind", 48, kLeaked);
  begin_of_range = block;
  end_of_range = block + 48;
}

struct Left {
  virtual ~Left() = default;
  long left[2] = {1, 2};
};
struct Right {
  virtual ~Right() = default;
  long right[2] = {3, 4};
};
struct Both : Left, Right {
  ~Both() override = default;
  void* child = nullptr;
};
struct PlainLeft {
  long left[3];
};
struct PlainRight {
  long right[3];
};
struct PlainBoth : PlainLeft, PlainRight {};

Right* volatile right_base;
PlainRight* volatile plain_right_base;
Left* volatile left_base;

// Kept by a pointer to a base that does not begin where the object begins.
__attribute__((noinline)) void base_class(Frame&) {
  auto* object = new Both;
  tell("second_base", object, sizeof(Both), kReachable);
  object->child = make("child_of_second_base", 32, kReachable);
  right_base = object;
  auto* first = new Both;
  tell("first_base", first, sizeof(Both), kReachable);
  left_base = first;
  // Without a vtable nothing in the block says what it is.
  auto* plain = new PlainBoth{};
  tell("second_plain_base", plain, sizeof(PlainBoth), kInterior);
  plain_right_base = plain;
}

struct Counted {
  ~Counted() { escape(value); }
  long value = 7;
  void* child = nullptr;
};

Counted* volatile counted;

// new[] of objects with destructors: a count, then the objects; the program has only the objects'
// address.
__attribute__((noinline)) void array_cookie(Frame&) {
  counted = new Counted[5];
  tell("array", reinterpret_cast<char*>(counted) - sizeof(std::size_t),
       sizeof(std::size_t) + 5 * sizeof(Counted), kReachable);
  counted[3].child = make("child_of_array", 32, kReachable);
  auto* lost = new Counted[5];
  tell("lost_array", reinterpret_cast<char*>(lost) - sizeof(std::size_t),
       sizeof(std::size_t) + 5 * sizeof(Counted), kLeaked);
  lost[3].child = make("child_of_lost_array", 32, kIndirect);
  auto* lost_holder = make_node("holder", kLeaked);
  auto* held = new Counted[3];
  tell("held_array", reinterpret_cast<char*>(held) - sizeof(std::size_t),
       sizeof(std::size_t) + 3 * sizeof(Counted), kIndirect);
  lost_holder->next = held;
}

std::string kept_string;
const char* volatile view;

__attribute__((noinline)) void string(Frame&) {
  const std::string text(100, 'x');
  // A short string points at its own inside, which keeps nothing.
  auto* small = new std::string("short");
  tell("lost_short", small, sizeof(std::string), kLeaked);
  auto* large = new std::string(text);
  tell("lost_long", large, sizeof(std::string), kLeaked);
  tell("lost_long_text", large->data(), large->capacity() + 1, kIndirect);
  kept_string = text;
  tell("kept_text", kept_string.data(), kept_string.capacity() + 1, kReachable);
  auto* viewed = static_cast<char*>(make("viewed", 120, kInterior));
  view = viewed + 7;
}

std::uintptr_t mangled;
std::uintptr_t tagged;
#pragma pack(push, 1)
struct Packed {
  std::uint32_t number;
  void* pointer;
};
#pragma pack(pop)
alignas(8) volatile Packed packed;

// No word holds these addresses. All three tools look for words, so to all three they are lost.
__attribute__((noinline)) void obscured(Frame&) {
  mangled = reinterpret_cast<std::uintptr_t>(make("mangled", 40, kLeaked)) ^ 0x5aa5f00d12345678u;
  packed.pointer = make("unaligned_slot", 40, kLeaked);
  tagged =
      reinterpret_cast<std::uintptr_t>(make("tagged", 40, kLeaked)) | (std::uintptr_t{3} << 62);
  escape(mangled);
  escape(tagged);
}

}  // namespace

const Theme kInteriors[] = {
    {"interior", interior},   {"range", range},           {"past-end", past_end},
    {"neighbour", neighbour}, {"base-class", base_class}, {"array-cookie", array_cookie},
    {"string", string},       {"obscured", obscured},     {nullptr, nullptr}};

}  // namespace verdict
