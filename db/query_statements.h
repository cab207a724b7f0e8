// The statements of a user's SQL, one after the other: what running them and looking at them share.
#pragma once

#include <functional>
#include <set>
#include <string_view>

#include "db/database.h"
#include "db/query_guard.h"
#include "db/query_reads.h"
#include "db/statement.h"
#include "formats/base/result.h"

namespace residue {

// Prepares each statement of `sql` with only reading allowed, and calls `use` with it before the
// next one is prepared. `reads`, if not null, receives what they read. Errors as those of query().
Result<void> for_each_statement(
    Database& database, std::string_view sql, std::set<ColumnRead>* reads,
    const std::function<Result<void>(Statement& statement, const QueryGuard& guard)>& use);

}  // namespace residue
