// What every program of the leak verdict's tests shares.
//
// A theme allocates blocks, arranges who points at them, and says of each what its verdict is by
// the definitions of docs/leak-verdict.md; then the process is looked at, in the same place
// whoever looks: LeakSanitizer (when linked in), Valgrind (when run under it), or somebody who
// takes a core of the waiting process. Nothing here keeps a pointer to a block: names and addresses
// leave as text through write(2).
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>

namespace verdict {

// A frame of main that stays in scope while the process is looked at.
struct Frame {
  void* volatile slots[8];
};

// The classes a theme may expect, as words of its output.
inline constexpr const char* kReachable = "reachable";
inline constexpr const char* kInterior = "interior";
inline constexpr const char* kStale = "stale";
inline constexpr const char* kLeaked = "leaked";
inline constexpr const char* kIndirect = "indirect";
// Members of a cycle that nothing outside points at: one of them is leaked, which one is anybody's
// choice, the others are indirect. What follows the colon names the cycle.
inline constexpr const char* kCycleA = "cycle:A";
inline constexpr const char* kCycleB = "cycle:B";
inline constexpr const char* kCycleC = "cycle:C";

// Writes `block NAME ADDRESS SIZE EXPECTED`. NAME is unique within a theme and has no blanks.
void tell(const char* name, const void* block, std::size_t size, const char* expected);
// The same with a number behind the name.
void tell(const char* name, int number, const void* block, std::size_t size, const char* expected);

// malloc and tell; the block is cleared.
void* make(const char* name, std::size_t size, const char* expected);

// Overwrites dead stack and the registers a call may change.
void scrub();

// Lets the process be looked at; see main.cpp. A theme calls it only when it must be on a stack of
// its own then.
[[noreturn]] void snapshot();

// Waits for ever in a thread that was started for it, after scrub().
[[noreturn]] void park();

// The compiler must believe that `value` is used and changed here.
template <typename T>
void escape(T& value) {
  asm volatile("" : "+m"(value) : : "memory");
}

using Build = void (*)(Frame&);
struct Theme {
  const char* name;
  Build build;
};

// One array for each source file, ended by a null name.
extern const Theme kShapes[];
extern const Theme kInteriors[];
extern const Theme kContainers[];
extern const Theme kRoots[];
extern const Theme kThreads[];
extern const Theme kAllocations[];

extern const char* plugin_path;  // argv[2], for the theme that loads a library

// The smallest linked structure: a pointer or two and room for more.
struct Node {
  void* next;
  void* other;
  char rest[24];
};

inline Node* make_node(const char* name, const char* expected) {
  return static_cast<Node*>(make(name, sizeof(Node), expected));
}

}  // namespace verdict
