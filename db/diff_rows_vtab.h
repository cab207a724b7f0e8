// PairRowsCursor: a virtual table over a pair of snapshots whose rows are computed at once and are
// few (as many as there are keys): `growth` and `diff_by_name`.
//
// Both say how to compute a pair's rows and how to show a cell; planning and walking are here.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
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

// Walks the rows of the pair that a statement names. What is computed is kept as long as the same
// is asked for: a join starts the cursor again and again. The table's own cursor derives from this
// one, and says only its declaration (virtual_table.h).
class PairRowsCursor : public sqlite3_vtab_cursor {
 public:
  using MakeRows = std::unique_ptr<PairRows> (*)();

  // `table`: its name, for what is said to the user.
  PairRowsCursor(sqlite3* db, const LiveSnapshots& live, const char* table, MakeRows make)
      : sqlite3_vtab_cursor{}, db_(db), live_(live), table_(table), make_(make) {}

  static int plan(sqlite3_index_info* info);
  Result<void> start(int number, const char* plan, std::span<sqlite3_value*> values);
  bool at_end() const { return row_ >= end_; }
  Result<void> next() {
    ++row_;
    return {};
  }
  Result<void> give(sqlite3_context* context, int column) const;
  int64_t rowid() const { return static_cast<int64_t>(row_); }

 private:
  Result<void> compute(int64_t from, int64_t to, std::optional<std::string> wanted);

  sqlite3* db_;
  const LiveSnapshots& live_;
  const char* table_;
  MakeRows make_;
  std::unique_ptr<PairRows> rows_;
  int64_t from_snapshot_ = 0, to_snapshot_ = 0;
  std::optional<std::string> dimension_;
  size_t row_ = 0, end_ = 0;
};

}  // namespace residue
