// RowsVtab: a virtual table over a pair of snapshots whose rows are computed at once and are few
// (as many as there are keys): `growth` and `diff_by_name`.
//
// Both say how to compute a pair's rows and how to show a cell; planning, cursors and errors are
// here. A cursor computes again only when it is asked for another pair.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "db/chunk_source.h"
#include "formats/base/result.h"

namespace residue {

// The rows of one pair, computed. Columns 0 to 3 of the table are from_snapshot, to_snapshot,
// dimension and key.
class PairRows {
 public:
  virtual ~PairRows() = default;
  // Of all dimensions, or of the one that is named (a name that is none gives no rows).
  virtual Result<void> compute(sqlite3* db, const LiveSnapshots& live, int64_t from, int64_t to,
                               std::optional<std::string_view> dimension) = 0;
  virtual size_t size() const = 0;
  virtual std::string_view dimension(size_t row) const = 0;
  virtual std::string_view key(size_t row) const = 0;
  virtual int64_t number(size_t row, int column) const = 0;  // of columns from 4 on
};

struct RowsTable {
  const char* name = nullptr;
  const char* declaration = nullptr;
  PairRows* (*make)() = nullptr;  // nullptr: out of memory
};

// A table's xConnect is a call of the first, its module the second, and its client data the
// connection's LiveSnapshots. `table` lives as long as the program.
int connect_rows(sqlite3* db, const RowsTable& table, void* live, sqlite3_vtab** vtab);
sqlite3_module rows_module(decltype(sqlite3_module::xConnect) connect);

}  // namespace residue
