// Databases of older residues: of an older schema version, or of this one, but tables and columns
// that came since are missing.
//
// Version 1 had a table `usage` with the names of the keys in every row. Version 2 numbers the
// names (`usage_key`, `usage_row`), and `usage` is a view of the same columns.
#pragma once

#include <sqlite3.h>

#include "formats/base/result.h"

namespace residue {

// Brings the file up to this program's schema, in one transaction: all or nothing. Rows that are
// there stay, with NULL in new columns. Nobody has to wait for the lock if there is nothing to do.
Result<void> add_missing(sqlite3* db);

// Makes the connection see what is missing, without a change of the file: empty tables, columns of
// NULL, and version 1's rows in the tables of today (worked out anew for every statement that asks,
// which takes time). Views in the connection's own schema stand before the tables.
Result<void> pretend_missing(sqlite3* db);

}  // namespace residue
