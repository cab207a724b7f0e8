// The virtual table `diff_by_name`: the view `diff` for snapshots of different processes or builds,
// with the same columns. Keys are those of stable_name(): what only differs in addresses, thread
// ids or versions is one key.
//
// Offsets into a module stay in keys if both snapshots have the same build of it (equal build-ids):
// then 'server+0x4040' is the same nameless variable in both.
#pragma once

#include <sqlite3.h>

#include "db/chunk_source.h"
#include "formats/base/result.h"

namespace residue {

// `live` must outlive the connection.
Result<void> register_diff_by_name(sqlite3* db, const LiveSnapshots* live);

}  // namespace residue
