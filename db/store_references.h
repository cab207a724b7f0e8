// Puts the references of a snapshot into the database, if they are worth their space.
//
// A snapshot of ten million chunks is to take 80 MB at most. References that objects make take one
// to three bytes a chunk; those of a graph without any order take five, which no encoding can
// change. So there is a budget: the blocks of chunks and references together may take
// kStoredBytesPerChunk for each chunk. What would exceed it is not stored; a row of `diagnostic`
// says so, and snapshot.reference_count is NULL.
#pragma once

#include <sqlite3.h>

#include <cstdint>

#include "analyzer/snapshot.h"
#include "formats/base/result.h"

namespace residue {

enum class StoreReferences : uint8_t { kWithinBudget, kAlways, kNever };

// A tenth is left for all other tables.
inline constexpr uint64_t kStoredBytesPerChunk = 7;
// Nobody misses so little.
inline constexpr uint64_t kFreeReferenceBytes = 1 << 20;

// REQUIRES: in a transaction, after the chunks of the snapshot `id`. `jobs`: threads, 0 for one per
// processor. Fails with kIo, or kInternal (the snapshot contradicts itself).
Result<void> store_references(sqlite3* db, int64_t id, const Snapshot& snapshot,
                              StoreReferences which, unsigned jobs);

// For a snapshot whose references are read from memory: only writes down how many there are.
Result<void> note_references(sqlite3* db, int64_t id, const Snapshot& snapshot);

}  // namespace residue
