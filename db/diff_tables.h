// What a connection needs to compare snapshots: the virtual tables `chunk_diff`, `growth` and
// `diff_by_name`, and the function stable_key(dimension, key).
#pragma once

#include <sqlite3.h>

#include "db/chunk_source.h"
#include "formats/base/result.h"

namespace residue {

// `live` may change later and must outlive the connection.
Result<void> register_diff_tables(sqlite3* db, const LiveSnapshots* live);

}  // namespace residue
