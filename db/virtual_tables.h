// The virtual tables and functions that a connection of residue's has beyond what stands in the
// file: `chunk`, `reference`, `chunk_diff`, `growth`, `diff_by_name`, `trend`, and the function
// stable_key(dimension, key). The program and the loadable extension register the same ones.
#pragma once

#include <sqlite3.h>

#include "db/chunk_source.h"
#include "formats/base/result.h"

namespace residue {

// `live` may change later and must outlive the connection.
Result<void> register_virtual_tables(sqlite3* db, const LiveSnapshots* live);

}  // namespace residue
