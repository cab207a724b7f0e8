#include "db/forget.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "db/snapshot_tables.h"
#include "db/statement.h"
#include "db/usage_rows.h"

namespace residue {
namespace {

Forgotten row_of(const Statement& s) {
  return {s.integer(0), std::string(s.text(1)), std::string(s.text(2)), std::string(s.text(3)),
          s.integer(4)};
}

Result<void> find_named(sqlite3* db, int64_t id, std::vector<Forgotten>* found) {
  RESIDUE_ASSIGN(
      Statement find,
      Statement::prepare(
          db, "SELECT id, label, taken_at, source, chunk_count FROM snapshot WHERE id = ?"));
  RESIDUE_TRY(find.bind(id));
  RESIDUE_ASSIGN(const bool there, find.step());
  if (there) found->push_back(row_of(find));
  return {};
}

Result<void> find_by_rules(sqlite3* db, const ForgetRules& rules, std::vector<Forgotten>* found) {
  const auto given = [](int64_t value) { return value >= 0 ? std::optional(value) : std::nullopt; };
  RESIDUE_ASSIGN(
      Statement find,
      Statement::prepare(
          db,
          "SELECT id, label, taken_at, source, chunk_count FROM (SELECT *, "
          "coalesce(taken_at, imported_at) AS at, row_number() OVER (PARTITION BY executable "
          "ORDER BY coalesce(taken_at, imported_at) DESC, id DESC) AS rank FROM snapshot) "
          "WHERE (?1 IS NULL OR at < strftime('%Y-%m-%dT%H:%M:%SZ', 'now', '-' || ?1 || "
          "' seconds')) AND (?2 IS NULL OR rank > ?2)"));
  RESIDUE_TRY(find.bind(given(rules.older_than_seconds), given(rules.keep_last)));
  for (;;) {
    RESIDUE_ASSIGN(const bool more, find.step());
    if (!more) return {};
    found->push_back(row_of(find));
  }
}

Result<std::vector<Forgotten>> find(sqlite3* db, const ForgetRules& rules) {
  std::vector<Forgotten> found;
  for (const int64_t id : rules.named) RESIDUE_TRY(find_named(db, id, &found));
  if (rules.older_than_seconds >= 0 || rules.keep_last >= 0) {
    RESIDUE_TRY(find_by_rules(db, rules, &found));
  }
  std::sort(found.begin(), found.end(),
            [](const Forgotten& a, const Forgotten& b) { return a.id < b.id; });
  found.erase(std::unique(found.begin(), found.end(),
                          [](const Forgotten& a, const Forgotten& b) { return a.id == b.id; }),
              found.end());
  return found;
}

Result<int64_t> number(sqlite3* db, const char* sql) {
  RESIDUE_ASSIGN(Statement statement, Statement::prepare(db, sql));
  RESIDUE_ASSIGN(const bool row, statement.step());
  return row ? statement.integer(0) : 0;
}

Result<uint64_t> file_bytes(sqlite3* db) {
  RESIDUE_ASSIGN(const int64_t pages, number(db, "PRAGMA page_count"));
  RESIDUE_ASSIGN(const int64_t size, number(db, "PRAGMA page_size"));
  return static_cast<uint64_t>(pages) * static_cast<uint64_t>(size);
}

// Not giving space back is no failure: what is free is used by later imports.
Result<void> give_back(sqlite3* db) {
  constexpr int64_t kIncremental = 2;
  RESIDUE_ASSIGN(const int64_t mode, number(db, "PRAGMA auto_vacuum"));
  sqlite3_exec(
      db, mode == kIncremental ? "PRAGMA incremental_vacuum" : "PRAGMA auto_vacuum = 2; VACUUM",
      nullptr, nullptr, nullptr);
  sqlite3_exec(db, "PRAGMA wal_checkpoint(TRUNCATE)", nullptr, nullptr, nullptr);
  return {};
}

Result<ForgetOutcome> forget_in_transaction(sqlite3* db, const ForgetRules& rules) {
  ForgetOutcome outcome;
  RESIDUE_ASSIGN(Transaction transaction, Transaction::begin(db));
  RESIDUE_ASSIGN(outcome.bytes_before, file_bytes(db));
  RESIDUE_ASSIGN(outcome.snapshots, find(db, rules));
  RESIDUE_ASSIGN(const std::vector<std::string> tables, snapshot_tables(db));
  RESIDUE_ASSIGN(Statement drop, Statement::prepare(db, "DELETE FROM snapshot WHERE id = ?"));
  for (const Forgotten& one : outcome.snapshots) {
    RESIDUE_TRY(delete_snapshot_rows(db, tables, one.id));
    RESIDUE_TRY(drop.run(one.id));
  }
  RESIDUE_TRY(transaction.commit());
  return outcome;
}

}  // namespace

Result<std::vector<Forgotten>> find_forgettable(Database& database, const ForgetRules& rules) {
  auto found = find(database.handle(), rules);
  if (!found) return std::move(found).error().in(database.path());
  return found;
}

Result<ForgetOutcome> forget(Database& database, const ForgetRules& rules) {
  if (!database.writable()) {
    return Error{ErrorCode::kUsage, database.path() + ": opened for reading only", {}};
  }
  sqlite3* db = database.handle();
  auto outcome = forget_in_transaction(db, rules);
  if (!outcome) return std::move(outcome).error().in(database.path());
  if (!outcome->snapshots.empty()) {
    // If somebody keeps the lock, the names wait for the next time.
    if (const auto keys = drop_unused_keys(db)) outcome->keys = *keys;
    RESIDUE_TRY(give_back(db));
  }
  auto bytes = file_bytes(db);
  if (!bytes) return std::move(bytes).error().in(database.path());
  outcome->bytes_after = *bytes;
  return outcome;
}

}  // namespace residue
