// The virtual table `reference`: one row for every reference between chunks of every snapshot, from
// compressed blocks or from a snapshot in memory.
//
//   CREATE TABLE reference(snapshot, source, target, interior, kind)
//
// Eponymous, as `chunk`. Conditions on snapshot, source and target (=, ranges) skip: whole
// snapshots, blocks by their sources or by the extent of their targets, then references by the ids
// of their targets, before any address is looked up. What one source refers to is in one block (a
// few if there are hundreds of thousands); for what leads to a target all blocks that may lead
// there are unpacked.
#pragma once

#include <sqlite3.h>

#include "db/chunk_source.h"
#include "formats/base/result.h"

namespace residue {

// `live` may change later and must outlive the connection.
Result<void> register_reference_table(sqlite3* db, const LiveSnapshots* live);

}  // namespace residue
