// What SQL statements read, found out without any data: so that only that has to be computed.
#pragma once

#include <compare>
#include <set>
#include <string>
#include <string_view>

#include "formats/base/result.h"

namespace residue {

// One column that a statement reads. `column` is empty if only the number of rows is read, and
// "ROWID" for the rowid. A PRAGMA reads the table of its table-valued function, 'pragma_NAME'.
struct ColumnRead {
  std::string table;
  std::string column;
  auto operator<=>(const ColumnRead&) const = default;
};

// Every column of every table and virtual table that `sql` could read, as query() would run it on a
// database with our schema: views, `*`, subqueries and CTEs are seen through; the schema itself is
// left out. Rather too many than too few. Fails as query() does with what is not SQL, or is more
// than reading.
Result<std::set<ColumnRead>> columns_read(std::string_view sql);

}  // namespace residue
