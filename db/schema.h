// The SQL schema of a database of snapshots, and what marks a file as one.
//
// docs/schema.md describes every table. Everything here is plain SQLite: the sqlite3 shell reads
// all of it. Only `chunk` is not here, it is a virtual table over `chunk_block` (chunk_vtab.h).
#pragma once

#include <cstdint>

namespace residue {

// PRAGMA application_id: "rsdu". A file without it is somebody else's and is never written to.
inline constexpr int64_t kApplicationId = 0x72736475;

// PRAGMA user_version. Raised when an older residue could misread the file; adding a table or a
// column alone does not ask for it. Version 2: `usage` is a view, its keys are numbers (upgrade.h).
inline constexpr int64_t kSchemaVersion = 2;

// CREATE statements for an empty database.
extern const char* const kSchemaSql;

}  // namespace residue
