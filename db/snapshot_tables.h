// Deleting a snapshot, whatever tables there are: a table of snapshots' rows is one that has a
// column `snapshot`, also if a newer residue added it.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <string>
#include <vector>

#include "formats/base/result.h"

namespace residue {

// Names of the tables in the file that hold rows of snapshots; `snapshot` itself is none of them.
Result<std::vector<std::string>> snapshot_tables(sqlite3* db);

// Deletes all rows of the snapshot in these tables, but not its row in `snapshot`. REQUIRES: a
// transaction.
Result<void> delete_snapshot_rows(sqlite3* db, const std::vector<std::string>& tables,
                                  int64_t snapshot);

}  // namespace residue
