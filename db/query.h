// SQL over a database of snapshots: the user's statements, and the few that commands share.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "db/database.h"
#include "db/row_sink.h"
#include "formats/base/result.h"

namespace residue {

// Runs one or more statements and passes the rows of each to `sink`. `parameters` are bound to
// ?1, ?2, … of every statement. Only reading is allowed, whatever the database was opened for:
// anything else (INSERT, ATTACH, CREATE, a PRAGMA that sets something, …) is kUsage, as is what
// SQLite does not understand; kCorrupt names the snapshot and block that is damaged. Rows that were
// passed on before an error stay passed on.
Result<void> query(Database& database, std::string_view sql, RowSink& sink,
                   std::span<const Cell> parameters = {});

// The id of the snapshot that `text` names: an id, a label, 'latest' or 'latest-N' (N imports
// before it), or, if empty, the newest. kNotFound tells what there is.
Result<int64_t> resolve_snapshot(Database& database, std::string_view text);

}  // namespace residue
