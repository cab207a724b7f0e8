// What tests ask of a Snapshot: one chunk by its user address, one heap by name, and whether the
// whole chunk table says what a GlibcHeapBuilder built.
#pragma once

#include <string>

#include "analyzer/snapshot.h"
#include "formats/image.h"
#include "tests/analyzer/glibc_heap_builder.h"

namespace residue::test {

// The chunk that begins at exactly this user address, or kNone.
ChunkId chunk_at(const Snapshot& snapshot, uint64_t user);
// Its class, state, type and owner; "no chunk", or a message in angle brackets, if there is none.
std::string reach_of(const Snapshot& snapshot, uint64_t user);
std::string state_of(const Snapshot& snapshot, uint64_t user);
const TypeRow* type_of(const Snapshot& snapshot, uint64_t user);
const OwnerRow* owner_of(const Snapshot& snapshot, uint64_t user);
const ClusterRow* cluster_of(const Snapshot& snapshot, uint64_t user);
// The row of the heap whose name begins with `name`; fails the test if there is none.
const HeapRow& heap_named(const Snapshot& snapshot, const std::string& name);
// All heaps and all diagnostics, for messages.
std::string complaints(const Snapshot& snapshot);
bool all_verified(const Snapshot& snapshot);

// Every chunk of `heap` is found with its address, size and state, and no chunk besides.
void expect_chunks(const Snapshot& snapshot, const GlibcHeapBuilder& heap);
// All heaps are verified, and their counters are those that mallinfo() would have given.
void expect_counters(const Snapshot& snapshot, const GlibcHeapBuilder& heap);

// The rows of `memory` are disjoint parts of the image: their sums are those of its regions, and of
// the rows of `account`.
void expect_memory_adds_up(const Snapshot& snapshot, const Image& image);

}  // namespace residue::test
