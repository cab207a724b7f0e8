// The virtual table `chunk`: one row for every chunk of every snapshot, from compressed blocks or
// from a snapshot in memory.
//
//   CREATE TABLE chunk(snapshot, address, size, requested, heap, state, reach, type, site,
//                      site_group, owner, cluster, retained, dominator)
//
// Eponymous: it exists on a connection that registered it, nothing of it is in the file. A
// condition on snapshot, address (=, ranges), state, reach, type or heap is used to skip: whole
// snapshots, blocks by their addresses, then rows by their columns. Only columns that the statement
// uses are unpacked. Bounds on addresses SQLite checks again, so that skipping by them may be
// cautious.
#pragma once

#include <sqlite3.h>

#include "db/chunk_source.h"
#include "formats/base/result.h"

namespace residue {

// `live` may change later and must outlive the connection.
Result<void> register_chunk_table(sqlite3* db, const LiveSnapshots* live);

}  // namespace residue
