// The virtual table `chunk_diff`: what became of each chunk between two snapshots of one process.
//
//   CREATE TABLE chunk_diff(from_snapshot, to_snapshot, address, status, size_before, size_after,
//                           heap, type, type_before, owner, cluster, reach, reach_before,
//                           state_before)
//
// One row for every address at which either snapshot has a used chunk; conditions on both
// snapshots are required. Ids differ between snapshots, so that heap, type and owner are names.
// Addresses tell where a chunk is, not which: one that was freed, and whose place was taken by
// another of the same size and type, counts as kept. Status and address are pushed down.
#pragma once

#include <sqlite3.h>

#include "db/chunk_source.h"
#include "db/diff_keys.h"
#include "db/diff_pairs.h"
#include "formats/base/result.h"

namespace residue {

// The status of a pair; nullopt if the chunk is used in neither. REQUIRES: the type column is
// loaded.
std::optional<ChunkStatus> status_of(const ChunkWalk* before, const ChunkWalk* after,
                                     const DiffKeys& keys);

// `live` may change later and must outlive the connection.
Result<void> register_chunk_diff(sqlite3* db, const LiveSnapshots* live);

}  // namespace residue
