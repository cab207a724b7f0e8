// Statement, Transaction, run_sql: SQLite's C interface with results and ownership.
//
// None of these own the connection, which must outlive them. Errors carry SQLite's reason but not
// the file's name: the public functions of db/ add it.
#pragma once

#include <sqlite3.h>

#include <concepts>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "db/row_sink.h"
#include "formats/base/address.h"
#include "formats/base/result.h"

namespace residue {

// What went wrong on `db`, in words a user can act on. `rc` is the code that a call just returned.
Error sqlite_error(sqlite3* db, int rc);

// Runs statements without parameters and results.
Result<void> run_sql(sqlite3* db, const char* sql);

// Text that stays '' when it is empty. Elsewhere an empty text means "unknown" and becomes NULL.
struct KeptText {
  std::string_view text;
};

// A number that becomes NULL when it is 0: a line, a thread id.
struct KnownNumber {
  uint64_t value;
};

class Statement {
 public:
  static Result<Statement> prepare(sqlite3* db, std::string_view sql);
  // Takes over a prepared statement.
  static Statement adopt(sqlite3* db, sqlite3_stmt* statement) { return {db, statement}; }

  Statement(Statement&& other) noexcept;
  Statement& operator=(Statement&& other) noexcept;
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;
  ~Statement();

  // Binds parameters 1, 2, … Texts and blobs must stay alive until the next bind() or the end.
  template <typename... Args>
  Result<void> bind(const Args&... args);
  // Binds as many as the statement has parameters.
  Result<void> bind_cells(std::span<const Cell> cells);
  // Binds, runs to the end, and makes the statement ready for the next run.
  template <typename... Args>
  Result<void> run(const Args&... args) {
    RESIDUE_TRY(bind(args...));
    return finish();
  }
  // True if there is a row.
  Result<bool> step();

  int64_t integer(int column) const { return sqlite3_column_int64(statement_, column); }
  // Both live until the next step() or bind().
  std::string_view text(int column) const;
  std::span<const std::byte> blob(int column) const;
  sqlite3_stmt* get() const { return statement_; }

 private:
  Statement(sqlite3* db, sqlite3_stmt* statement) : db_(db), statement_(statement) {}
  Result<void> finish();
  int put(int index, std::nullopt_t) { return sqlite3_bind_null(statement_, index); }
  template <std::integral T>
  int put(int index, T value) {
    return sqlite3_bind_int64(statement_, index, static_cast<sqlite3_int64>(value));
  }
  int put(int index, double value) { return sqlite3_bind_double(statement_, index, value); }
  int put(int index, std::string_view text);
  int put(int index, const std::string& text) { return put(index, std::string_view(text)); }
  int put(int index, KeptText kept);
  int put(int index, KnownNumber number) {
    return number.value == 0 ? put(index, std::nullopt) : put(index, number.value);
  }
  int put(int index, std::span<const std::byte> bytes);
  int put(int index, Address address) { return put(index, address.value()); }
  int put(int index, ByteCount bytes) { return put(index, bytes.value()); }
  int put_cell(int index, const Cell& cell);
  template <typename T>
  int put(int index, const std::optional<T>& value) {
    return value ? put(index, *value) : put(index, std::nullopt);
  }

  sqlite3* db_;
  sqlite3_stmt* statement_;
};

template <typename... Args>
Result<void> Statement::bind(const Args&... args) {
  sqlite3_reset(statement_);
  int index = 0;
  int failed = SQLITE_OK;
  const auto one = [&](const auto& arg) {
    ++index;
    const int rc = put(index, arg);
    if (failed == SQLITE_OK) failed = rc;
  };
  (one(args), ...);
  if (failed != SQLITE_OK) return sqlite_error(db_, failed);
  return {};
}

// All or nothing: takes the write lock at once (waiting as long as the connection's busy timeout),
// and rolls back unless commit() succeeded.
class Transaction {
 public:
  // "BEGIN" alone leaves the lock to the first statement that writes.
  static Result<Transaction> begin(sqlite3* db, const char* sql = "BEGIN IMMEDIATE");
  Transaction(Transaction&& other) noexcept : db_(std::exchange(other.db_, nullptr)) {}
  Transaction& operator=(Transaction&&) = delete;
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  ~Transaction();

  Result<void> commit();

 private:
  explicit Transaction(sqlite3* db) : db_(db) {}
  sqlite3* db_;
};

}  // namespace residue
