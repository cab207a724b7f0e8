#include "db/usage_rows.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <string>
#include <utility>

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

namespace {

using Keys = std::set<int64_t>;

// Takes away from `keys` those that a snapshot uses.
class UsedKeys {
 public:
  static Result<UsedKeys> prepare(sqlite3* db) {
    RESIDUE_ASSIGN(Statement all,
                   Statement::prepare(db, "SELECT key FROM usage_row WHERE snapshot = ?"));
    RESIDUE_ASSIGN(
        Statement one,
        Statement::prepare(db, "SELECT 1 FROM usage_row WHERE snapshot = ? AND key = ?"));
    return UsedKeys(std::move(all), std::move(one));
  }

  Result<void> take(int64_t snapshot, Keys* keys) {
    // A look at single rows reads a page or two of the snapshot's dozen.
    constexpr size_t kFew = 64;
    return keys->size() > kFew ? take_all(snapshot, keys) : take_each(snapshot, keys);
  }

 private:
  UsedKeys(Statement all, Statement one) : all_(std::move(all)), one_(std::move(one)) {}

  Result<void> take_all(int64_t snapshot, Keys* keys) {
    RESIDUE_TRY(all_.bind(snapshot));
    for (;;) {
      RESIDUE_ASSIGN(const bool more, all_.step());
      if (!more) return {};
      keys->erase(all_.integer(0));
    }
  }
  Result<void> take_each(int64_t snapshot, Keys* keys) {
    for (auto key = keys->begin(); key != keys->end();) {
      RESIDUE_TRY(one_.bind(snapshot, *key));
      RESIDUE_ASSIGN(const bool used, one_.step());
      key = used ? keys->erase(key) : std::next(key);
    }
    return {};
  }

  Statement all_, one_;
};

// What find_unused_keys() has looked at.
struct Looked {
  int64_t last = 0;  // snapshot.id
  std::string at;    // the time it began, as snapshot.imported_at
};

Result<Keys> find_unused_keys(sqlite3* db, Looked* looked) {
  // One transaction that only reads: nobody waits for it.
  RESIDUE_ASSIGN(const Transaction reading, Transaction::begin(db, "BEGIN"));
  RESIDUE_ASSIGN(Statement now,
                 Statement::prepare(db,
                                    "SELECT coalesce(max(id), 0), strftime('%Y-%m-%dT%H:%M:%SZ', "
                                    "'now') FROM snapshot"));
  RESIDUE_ASSIGN(const bool row, now.step());
  if (row) *looked = {now.integer(0), std::string(now.text(1))};
  Keys keys;
  RESIDUE_ASSIGN(Statement all, Statement::prepare(db, "SELECT id FROM usage_key ORDER BY id"));
  for (;;) {
    RESIDUE_ASSIGN(const bool more, all.step());
    if (!more) break;
    keys.insert(keys.end(), all.integer(0));
  }
  RESIDUE_ASSIGN(UsedKeys used, UsedKeys::prepare(db));
  // Newest first: as a rule that has most of them, and soon there is little left to look for.
  RESIDUE_ASSIGN(Statement snapshots,
                 Statement::prepare(db, "SELECT id FROM snapshot ORDER BY id DESC"));
  while (!keys.empty()) {
    RESIDUE_ASSIGN(const bool another, snapshots.step());
    if (!another) break;
    RESIDUE_TRY(used.take(snapshots.integer(0), &keys));
  }
  return keys;
}

}  // namespace

Result<int64_t> drop_unused_keys(sqlite3* db) {
  Looked looked;
  RESIDUE_ASSIGN(Keys keys, find_unused_keys(db, &looked));
  if (keys.empty()) return 0;
  RESIDUE_ASSIGN(Transaction transaction, Transaction::begin(db));
  // What was stored, or replaced, in the meantime.
  RESIDUE_ASSIGN(
      Statement later,
      Statement::prepare(db, "SELECT id FROM snapshot WHERE id > ?1 OR imported_at >= ?2"));
  RESIDUE_TRY(later.bind(looked.last, looked.at));
  RESIDUE_ASSIGN(UsedKeys used, UsedKeys::prepare(db));
  for (;;) {
    RESIDUE_ASSIGN(const bool another, later.step());
    if (!another) break;
    RESIDUE_TRY(used.take(later.integer(0), &keys));
  }
  RESIDUE_ASSIGN(Statement drop, Statement::prepare(db, "DELETE FROM usage_key WHERE id = ?"));
  for (const int64_t key : keys) RESIDUE_TRY(drop.run(key));
  RESIDUE_TRY(transaction.commit());
  return static_cast<int64_t>(keys.size());
}

}  // namespace residue
