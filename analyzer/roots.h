// Roots: memory that is alive by itself, and memory that is dead, outside the heaps.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "analyzer/heaps.h"
#include "formats/image.h"

namespace residue {

enum class RootKind : uint8_t { kGlobal, kTls, kStack, kRegister, kAnonymous, kFile };

// What is dead about memory that still holds references.
enum class DeadKind : uint8_t {
  kNone,               // nothing
  kBelowStackPointer,  // of a living thread
  kEndedThread,        // stack and TLS of a thread that has gone
  kSpareCapacity,      // of a container that does not use that part of its buffer
  kFreed,              // a free chunk
  kCached,             // a free chunk in a thread's cache
};

// A stretch of memory in which every aligned word may be a reference.
struct RootRange {
  RootKind kind;
  Address base;
  std::span<const std::byte> bytes;
  uint32_t thread = 0;  // index into Image::threads; for kTls, kStack
  DeadKind dead = DeadKind::kNone;
};

// A register's value may point to any byte of a chunk and need not be aligned.
struct RootWord {
  uint32_t thread;  // index into Image::threads
  uint64_t value;
};

struct Roots {
  std::vector<RootRange> live;  // globals first, then TLS, stacks, and the rest
  std::vector<RootWord> registers;
  std::vector<RootRange> dead;  // stack below the red zone, stacks of ended threads
};

// The descriptors (thread pointers) of threads that ended: glibc keeps their stacks for later ones.
// Everything on such a stack is dead.
std::vector<Address> find_ended_threads(const Image& image,
                                        const std::vector<AddressRange>& claimed);

// Globals are the writable data of all modules; stacks reach from SP less the red zone to the end
// of their region; anonymous and shared writable memory that no allocator claimed counts as alive.
// Allocators' own state is no root.
Roots find_roots(const Image& image, const std::vector<AddressRange>& claimed,
                 const std::vector<Address>& ended);

// Chunks that belong to ld.so. Sorted.
struct LoaderChunks {
  // Link maps of loaded objects, and what ld.so's own variables point to: lists of search paths, of
  // objects with thread-local memory, of code for unwinding. What they point to is ld.so's too:
  // names, scopes, lists of dependencies.
  std::vector<ChunkId> own;
  // The threads' vectors of dynamic TLS: what they point to is the program's.
  std::vector<ChunkId> vectors;
};
LoaderChunks find_loader_chunks(const Image& image, const ChunkMap& map, const Roots& roots,
                                const std::vector<Address>& ended);

}  // namespace residue
