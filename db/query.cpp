#include "db/query.h"

#include <charconv>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "db/query_guard.h"
#include "db/query_statements.h"
#include "db/statement.h"

namespace residue {
namespace {

Error refusal(const std::string& what) {
  return {ErrorCode::kUsage, "a query may only read; " + what + " is refused", {}};
}

// What is wrong with the text of a query is the user's; everything else happened to the file.
Error query_error(const Database& database, const QueryGuard& guard, int rc) {
  if (!guard.refused().empty()) return refusal(guard.refused());
  sqlite3* db = database.handle();
  const int primary = rc & 0xff;
  if (primary == SQLITE_ERROR || primary == SQLITE_RANGE || primary == SQLITE_MISMATCH) {
    return {ErrorCode::kUsage, sqlite3_errmsg(db), {}};
  }
  return sqlite_error(db, rc).in(database.path());
}

Cell cell_of(sqlite3_stmt* statement, int column) {
  switch (sqlite3_column_type(statement, column)) {
    case SQLITE_INTEGER:
      return sqlite3_column_int64(statement, column);
    case SQLITE_FLOAT:
      return sqlite3_column_double(statement, column);
    case SQLITE_TEXT: {
      const void* text = sqlite3_column_text(statement, column);
      const auto size = static_cast<size_t>(sqlite3_column_bytes(statement, column));
      return std::string_view(static_cast<const char*>(text), size);
    }
    case SQLITE_BLOB: {
      const void* bytes = sqlite3_column_blob(statement, column);
      const auto size = static_cast<size_t>(sqlite3_column_bytes(statement, column));
      return std::span(static_cast<const std::byte*>(bytes), size);
    }
    default:
      return std::monostate{};
  }
}

// Returns SQLite's code: SQLITE_DONE, or what went wrong.
int pass_rows(sqlite3_stmt* statement, RowSink& sink) {
  const int count = sqlite3_column_count(statement);
  std::vector<std::string> names;
  for (int i = 0; i < count; ++i) {
    const char* name = sqlite3_column_name(statement, i);
    names.emplace_back(name == nullptr ? "" : name);
  }
  int rc = sqlite3_step(statement);
  if (rc != SQLITE_ROW && rc != SQLITE_DONE) return rc;
  if (count == 0) return rc;
  sink.begin(names);
  std::vector<Cell> cells(names.size());
  for (; rc == SQLITE_ROW; rc = sqlite3_step(statement)) {
    for (int i = 0; i < count; ++i) cells[static_cast<size_t>(i)] = cell_of(statement, i);
    if (!sink.row(cells)) {
      rc = SQLITE_DONE;
      break;
    }
  }
  if (rc == SQLITE_DONE) sink.end();
  return rc;
}

}  // namespace

Result<void> for_each_statement(
    Database& database, std::string_view sql, std::set<ColumnRead>* reads,
    const std::function<Result<void>(Statement& statement, const QueryGuard& guard)>& use) {
  sqlite3* db = database.handle();
  QueryGuard guard(db, reads);
  sql = sql.substr(0, sql.find('\0'));  // where SQLite would stop, without saying so
  bool any = false;
  const char* at = sql.data();
  const char* const end = sql.data() + sql.size();
  while (at != end) {
    guard.reset();
    sqlite3_stmt* raw = nullptr;
    const char* tail = end;
    const int prepared = sqlite3_prepare_v2(db, at, static_cast<int>(end - at), &raw, &tail);
    if (prepared != SQLITE_OK) return query_error(database, guard, prepared);
    at = tail;
    if (raw == nullptr) continue;  // a comment or white space
    any = true;
    Statement statement = Statement::adopt(db, raw);
    if (sqlite3_stmt_readonly(raw) == 0) return refusal("changing the database");
    RESIDUE_TRY(use(statement, guard));
  }
  if (!any) return Error{ErrorCode::kUsage, "there is no SQL statement", {}};
  return {};
}

Result<void> query(Database& database, std::string_view sql, RowSink& sink,
                   std::span<const Cell> parameters) {
  return for_each_statement(database, sql, nullptr,
                            [&](Statement& statement, const QueryGuard& guard) -> Result<void> {
                              RESIDUE_TRY(statement.bind_cells(parameters));
                              const int rc = pass_rows(statement.get(), sink);
                              if (rc != SQLITE_DONE) return query_error(database, guard, rc);
                              return {};
                            });
}

namespace {

Error no_such_snapshot(Database& database, std::string_view text) {
  constexpr int kListed = 10;
  const auto failed = [&](const std::string& what) {
    return Error{ErrorCode::kNotFound, database.path() + ": " + what, {}};
  };
  std::string list;
  auto all = Statement::prepare(database.handle(),
                                "SELECT id, coalesce(label, taken_at, source, '') FROM snapshot "
                                "ORDER BY id DESC");
  int count = 0;
  while (all) {
    const auto row = all->step();
    if (!row || !*row) break;
    if (++count > kListed) continue;
    list += (list.empty() ? "" : ", ") + std::to_string(all->integer(0)) + " (" +
            std::string(all->text(1)) + ")";
  }
  if (count == 0) return failed("there are no snapshots in it");
  if (count > kListed) list += " and " + std::to_string(count - kListed) + " older ones";
  return failed("no snapshot '" + std::string(text) + "'; there are " + list);
}

}  // namespace

namespace {

// How many snapshots before the newest: 0 for "latest", N for "latest-N".
std::optional<int64_t> steps_back(std::string_view text) {
  constexpr std::string_view kLatest = "latest";
  if (text == kLatest) return 0;
  if (!text.starts_with("latest-")) return std::nullopt;
  int64_t steps = 0;
  const char* const end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data() + kLatest.size() + 1, end, steps);
  return parsed.ec == std::errc() && parsed.ptr == end && steps >= 0 ? std::optional(steps)
                                                                     : std::nullopt;
}

Result<std::optional<int64_t>> find_latest(sqlite3* db, int64_t steps) {
  RESIDUE_ASSIGN(
      Statement find,
      Statement::prepare(db, "SELECT id FROM snapshot ORDER BY id DESC LIMIT 1 OFFSET ?"));
  RESIDUE_TRY(find.bind(steps));
  RESIDUE_ASSIGN(const bool found, find.step());
  return found ? std::optional(find.integer(0)) : std::nullopt;
}

}  // namespace

Result<int64_t> resolve_snapshot(Database& database, std::string_view text) {
  int64_t id = -1;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), id);
  const bool digits = parsed.ec == std::errc() && parsed.ptr == text.data() + text.size() &&
                      !text.empty() && text[0] != '-';
  auto find = Statement::prepare(
      database.handle(), text.empty() ? "SELECT max(id) FROM snapshot HAVING count(*) > 0"
                                      : "SELECT id FROM snapshot WHERE id = ?1 OR label = ?2 "
                                        "ORDER BY id = ?1 DESC LIMIT 1");
  if (!find) return std::move(find).error().in(database.path());
  if (!text.empty()) {
    RESIDUE_TRY(find->bind(digits ? std::optional(id) : std::nullopt, text));
  }
  const auto found = find->step();
  if (!found) return Error(found.error()).in(database.path());
  if (*found) return find->integer(0);
  if (const auto steps = steps_back(text)) {
    const auto latest = find_latest(database.handle(), *steps);
    if (!latest) return Error(latest.error()).in(database.path());
    if (*latest) return **latest;
  }
  return no_such_snapshot(database, text);
}

}  // namespace residue
