#include "db/usage_rows.h"

#include <algorithm>
#include <unordered_set>

#include "db/statement.h"

namespace residue {
namespace {

struct Sums {
  int64_t key = 0;
  uint64_t used_count = 0, used_bytes = 0, leaked_count = 0, leaked_bytes = 0;
};

class KeyNumbers {
 public:
  static Result<KeyNumbers> prepare(sqlite3* db) {
    RESIDUE_ASSIGN(
        Statement find,
        Statement::prepare(db, "SELECT id FROM usage_key WHERE key = ? AND dimension = ?"));
    RESIDUE_ASSIGN(Statement insert,
                   Statement::prepare(db, "INSERT INTO usage_key (key, dimension) VALUES (?, ?)"));
    return KeyNumbers(db, std::move(find), std::move(insert));
  }

  Result<int64_t> number(const UsageRow& row) {
    const KeptText key{row.key};
    const KeptText dimension{row.dimension};
    RESIDUE_TRY(find_.bind(key, dimension));
    RESIDUE_ASSIGN(const bool known, find_.step());
    if (known) return find_.integer(0);
    RESIDUE_TRY(insert_.run(key, dimension));
    return sqlite3_last_insert_rowid(db_);
  }

 private:
  KeyNumbers(sqlite3* db, Statement find, Statement insert)
      : db_(db), find_(std::move(find)), insert_(std::move(insert)) {}

  sqlite3* db_;
  Statement find_, insert_;
};

}  // namespace

Result<void> store_usage(sqlite3* db, int64_t snapshot, const std::vector<UsageRow>& rows) {
  std::vector<Sums> sums;
  sums.reserve(rows.size());
  {
    RESIDUE_ASSIGN(KeyNumbers keys, KeyNumbers::prepare(db));
    for (const UsageRow& row : rows) {
      RESIDUE_ASSIGN(const int64_t key, keys.number(row));
      sums.push_back({key, row.used_count, row.used_bytes, row.leaked_count, row.leaked_bytes});
    }
  }
  // In the table's own order every row goes behind the last one: pages become full.
  std::sort(sums.begin(), sums.end(), [](const Sums& a, const Sums& b) { return a.key < b.key; });
  RESIDUE_ASSIGN(Statement insert,
                 Statement::prepare(db,
                                    "INSERT INTO usage_row (snapshot, key, used_count, used_bytes, "
                                    "leaked_count, leaked_bytes) VALUES (?, ?, ?, ?, ?, ?)"));
  for (size_t i = 0; i < sums.size();) {
    Sums one = sums[i];
    for (++i; i < sums.size() && sums[i].key == one.key; ++i) {
      one.used_count += sums[i].used_count;
      one.used_bytes += sums[i].used_bytes;
      one.leaked_count += sums[i].leaked_count;
      one.leaked_bytes += sums[i].leaked_bytes;
    }
    RESIDUE_TRY(insert.run(snapshot, one.key, one.used_count, one.used_bytes, one.leaked_count,
                           one.leaked_bytes));
  }
  return {};
}

Result<int64_t> drop_unused_keys(sqlite3* db) {
  std::unordered_set<int64_t> unused;
  RESIDUE_ASSIGN(Statement all, Statement::prepare(db, "SELECT id FROM usage_key"));
  for (;;) {
    RESIDUE_ASSIGN(const bool more, all.step());
    if (!more) break;
    unused.insert(all.integer(0));
  }
  // Newest first: as a rule that has most of them, and soon there is nothing left to look for.
  RESIDUE_ASSIGN(Statement snapshots,
                 Statement::prepare(db, "SELECT id FROM snapshot ORDER BY id DESC"));
  RESIDUE_ASSIGN(Statement used,
                 Statement::prepare(db, "SELECT key FROM usage_row WHERE snapshot = ?"));
  while (!unused.empty()) {
    RESIDUE_ASSIGN(const bool another, snapshots.step());
    if (!another) break;
    RESIDUE_TRY(used.bind(snapshots.integer(0)));
    for (;;) {
      RESIDUE_ASSIGN(const bool more, used.step());
      if (!more) break;
      unused.erase(used.integer(0));
    }
  }
  RESIDUE_ASSIGN(Statement drop, Statement::prepare(db, "DELETE FROM usage_key WHERE id = ?"));
  for (const int64_t key : unused) RESIDUE_TRY(drop.run(key));
  return static_cast<int64_t>(unused.size());
}

}  // namespace residue
