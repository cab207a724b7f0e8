// The rows of `usage` as they are stored: names once in `usage_key`, sums by number in `usage_row`.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <vector>

#include "analyzer/snapshot.h"
#include "formats/base/result.h"

namespace residue {

// Rows of one dimension and key add up: two types of one name, of two modules, are one key. Names
// that are new get a number. REQUIRES: a transaction; `snapshot` has no rows yet.
Result<void> store_usage(sqlite3* db, int64_t snapshot, const std::vector<UsageRow>& rows);

// Deletes the keys that no snapshot uses any more; returns how many. Looks at all snapshots, newest
// first, as long as a key is not accounted for; only what follows holds the lock that importers
// need. REQUIRES: no transaction.
Result<int64_t> drop_unused_keys(sqlite3* db);

}  // namespace residue
