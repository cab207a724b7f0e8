// Databases of older residues: the same schema version, but tables and columns that came since are
// missing.
#pragma once

#include <sqlite3.h>

#include "formats/base/result.h"

namespace residue {

// Adds to the file what is missing, all or nothing. Rows that are there have NULL in new columns.
Result<void> add_missing(sqlite3* db);

// Makes the connection see what is missing, without a change of the file: empty tables, and columns
// of NULL. Views in the connection's own schema stand before the tables.
Result<void> pretend_missing(sqlite3* db);

}  // namespace residue
