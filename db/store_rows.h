// The rows of a snapshot other than its chunks, table by table. Part of store().
#pragma once

#include <sqlite3.h>

#include "analyzer/snapshot.h"
#include "formats/base/result.h"

namespace residue {

// Writes all tables but `snapshot` and `chunk_block`. An empty text becomes NULL: it means unknown.
Result<void> store_rows(sqlite3* db, int64_t snapshot_id, const Snapshot& snapshot);

}  // namespace residue
