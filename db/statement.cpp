#include "db/statement.h"

#include <cstring>
#include <limits>
#include <utility>
#include <variant>

namespace residue {
namespace {

// The operating system's reason, if SQLite kept one.
std::string system_reason(sqlite3* db) {
  const int code = sqlite3_system_errno(db);
  return code == 0 ? std::string() : std::string(" (") + std::strerror(code) + ")";
}

}  // namespace

Error sqlite_error(sqlite3* db, int rc) {
  const std::string message = sqlite3_errmsg(db);
  if (rc == SQLITE_READONLY_DBMOVED) {
    return {ErrorCode::kIo, "the file was moved or removed while it was in use", {}};
  }
  switch (rc & 0xff) {
    case SQLITE_FULL:
      return {ErrorCode::kIo, "the disk (or the database's size limit) is full", {}};
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return {ErrorCode::kIo, "another process is writing to the database; try again later", {}};
    case SQLITE_READONLY:
      return {
          ErrorCode::kIo, "the database cannot be written: it, or its directory, is read-only", {}};
    case SQLITE_CANTOPEN:
      return {ErrorCode::kIo,
              "the database, or the journal beside it, cannot be opened" + system_reason(db),
              {}};
    case SQLITE_IOERR:
      return {ErrorCode::kIo, message + system_reason(db), {}};
    case SQLITE_NOTADB:
      return {ErrorCode::kUnsupported, "not a SQLite database", {}};
    case SQLITE_CORRUPT:
      // A virtual table's own message says more than SQLite's standard one.
      return {ErrorCode::kCorrupt, "the database is damaged: " + message, {}};
    case SQLITE_TOOBIG:
      return {ErrorCode::kUnsupported, message, {}};
    default:
      return {ErrorCode::kInternal, message, {}};
  }
}

Result<void> run_sql(sqlite3* db, const char* sql) {
  const int rc = sqlite3_exec(db, sql, nullptr, nullptr, nullptr);
  if (rc != SQLITE_OK) return sqlite_error(db, rc);
  return {};
}

Result<Statement> Statement::prepare(sqlite3* db, std::string_view sql) {
  sqlite3_stmt* statement = nullptr;
  const int rc =
      sqlite3_prepare_v2(db, sql.data(), static_cast<int>(sql.size()), &statement, nullptr);
  if (rc != SQLITE_OK) return sqlite_error(db, rc);
  return Statement(db, statement);
}

Statement::Statement(Statement&& other) noexcept
    : db_(other.db_), statement_(std::exchange(other.statement_, nullptr)) {}

Statement& Statement::operator=(Statement&& other) noexcept {
  std::swap(db_, other.db_);
  std::swap(statement_, other.statement_);
  return *this;
}

Statement::~Statement() { sqlite3_finalize(statement_); }

Result<void> Statement::bind_cells(std::span<const Cell> cells) {
  const auto parameters = static_cast<size_t>(sqlite3_bind_parameter_count(statement_));
  for (size_t i = 0; i < parameters && i < cells.size(); ++i) {
    const int rc = put_cell(static_cast<int>(i) + 1, cells[i]);
    if (rc != SQLITE_OK) return sqlite_error(db_, rc);
  }
  return {};
}

Result<bool> Statement::step() {
  const int rc = sqlite3_step(statement_);
  if (rc == SQLITE_ROW) return true;
  if (rc == SQLITE_DONE) return false;
  Error error = sqlite_error(db_, rc);
  sqlite3_reset(statement_);
  return error;
}

Result<void> Statement::finish() {
  bool more = true;
  while (more) {
    RESIDUE_ASSIGN(more, step());
  }
  sqlite3_reset(statement_);
  return {};
}

std::string_view Statement::text(int column) const {
  const unsigned char* text = sqlite3_column_text(statement_, column);
  if (text == nullptr) return {};
  const auto size = static_cast<size_t>(sqlite3_column_bytes(statement_, column));
  return {static_cast<const char*>(static_cast<const void*>(text)), size};
}

std::span<const std::byte> Statement::blob(int column) const {
  const void* bytes = sqlite3_column_blob(statement_, column);
  if (bytes == nullptr) return {};
  const auto size = static_cast<size_t>(sqlite3_column_bytes(statement_, column));
  return {static_cast<const std::byte*>(bytes), size};
}

int Statement::put(int index, std::string_view text) {
  return text.empty() ? put(index, std::nullopt) : put(index, KeptText{text});
}

int Statement::put(int index, KeptText kept) {
  // A null pointer would bind NULL.
  const char* text = kept.text.empty() ? "" : kept.text.data();
  return sqlite3_bind_text64(statement_, index, text, kept.text.size(), SQLITE_STATIC, SQLITE_UTF8);
}

int Statement::put(int index, std::span<const std::byte> bytes) {
  return sqlite3_bind_blob64(statement_, index, bytes.data(), bytes.size(), SQLITE_STATIC);
}

int Statement::put_cell(int index, const Cell& cell) {
  if (const auto* integer = std::get_if<int64_t>(&cell)) return put(index, *integer);
  if (const auto* real = std::get_if<double>(&cell)) return put(index, *real);
  if (const auto* text = std::get_if<std::string_view>(&cell)) return put(index, KeptText{*text});
  if (const auto* blob = std::get_if<std::span<const std::byte>>(&cell)) return put(index, *blob);
  return put(index, std::nullopt);
}

Result<Transaction> Transaction::begin(sqlite3* db, const char* sql) {
  RESIDUE_TRY(run_sql(db, sql));
  return Transaction(db);
}

Result<void> Transaction::commit() {
  RESIDUE_TRY(run_sql(db_, "COMMIT"));
  db_ = nullptr;
  return {};
}

Transaction::~Transaction() {
  // SQLite has already rolled back after some errors (a full disk): then there is nothing to do.
  if (db_ != nullptr && sqlite3_get_autocommit(db_) == 0) {
    sqlite3_exec(db_, "ROLLBACK", nullptr, nullptr, nullptr);
  }
}

}  // namespace residue
