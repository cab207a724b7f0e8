// What a database should hold is read from an empty one in memory, made with today's schema: there
// is no second list of tables to keep.
#include "db/upgrade.h"

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "db/schema.h"
#include "db/statement.h"

namespace residue {
namespace {

struct Column {
  std::string name;
  std::string type;
};

struct Missing {
  std::string kind;  // 'table', 'view' or 'index'
  std::string name;
  std::string sql;              // that makes it; empty if it is there
  std::vector<Column> columns;  // that it lacks
};

Result<std::vector<Column>> columns_of(sqlite3* db, const std::string& table) {
  RESIDUE_ASSIGN(Statement s,
                 Statement::prepare(db, "SELECT name, type FROM pragma_table_info(?1, 'main')"));
  RESIDUE_TRY(s.bind(table));
  std::vector<Column> columns;
  for (;;) {
    RESIDUE_ASSIGN(const bool more, s.step());
    if (!more) return columns;
    columns.push_back({std::string(s.text(0)), std::string(s.text(1))});
  }
}

Result<std::set<std::string>> names_in(sqlite3* db) {
  RESIDUE_ASSIGN(Statement s, Statement::prepare(db, "SELECT name FROM main.sqlite_schema"));
  std::set<std::string> names;
  for (;;) {
    RESIDUE_ASSIGN(const bool more, s.step());
    if (!more) return names;
    names.emplace(s.text(0));
  }
}

Result<std::vector<Missing>> find_missing(sqlite3* db) {
  sqlite3* raw = nullptr;
  const int rc = sqlite3_open(":memory:", &raw);
  const std::unique_ptr<sqlite3, decltype(&sqlite3_close_v2)> model(raw, sqlite3_close_v2);
  if (rc != SQLITE_OK) return sqlite_error(raw, rc);
  RESIDUE_TRY(run_sql(raw, kSchemaSql));
  RESIDUE_ASSIGN(const std::set<std::string> there, names_in(db));
  RESIDUE_ASSIGN(Statement s,
                 Statement::prepare(raw,
                                    "SELECT type, name, sql FROM sqlite_schema WHERE sql NOT NULL "
                                    "ORDER BY type = 'view', rowid"));
  std::vector<Missing> all;
  for (;;) {
    RESIDUE_ASSIGN(const bool more, s.step());
    if (!more) return all;
    Missing one{std::string(s.text(0)), std::string(s.text(1)), {}, {}};
    if (!there.contains(one.name)) {
      one.sql = s.text(2);
    } else if (one.kind == "table") {
      RESIDUE_ASSIGN(const std::vector<Column> wanted, columns_of(raw, one.name));
      RESIDUE_ASSIGN(const std::vector<Column> present, columns_of(db, one.name));
      std::set<std::string> names;
      for (const Column& column : present) names.insert(column.name);
      for (const Column& column : wanted) {
        if (!names.contains(column.name)) one.columns.push_back(column);
      }
    }
    if (!one.sql.empty() || !one.columns.empty()) all.push_back(std::move(one));
  }
}

// Names come from our own schema, quoted because some are keywords.
std::string quoted(const std::string& name) { return '"' + name + '"'; }

}  // namespace

Result<void> add_missing(sqlite3* db) {
  // As a rule there is nothing to do, and nobody has to wait for the lock.
  RESIDUE_ASSIGN(std::vector<Missing> all, find_missing(db));
  if (all.empty()) return {};
  RESIDUE_ASSIGN(Transaction transaction, Transaction::begin(db));
  RESIDUE_ASSIGN(all, find_missing(db));  // another process may have been quicker
  for (const Missing& one : all) {
    if (!one.sql.empty()) RESIDUE_TRY(run_sql(db, one.sql.c_str()));
    for (const Column& column : one.columns) {
      std::string sql = "ALTER TABLE ";
      sql.append(quoted(one.name)).append(" ADD COLUMN ").append(quoted(column.name));
      sql.append(" ").append(column.type);
      RESIDUE_TRY(run_sql(db, sql.c_str()));
    }
  }
  return transaction.commit();
}

Result<void> pretend_missing(sqlite3* db) {
  RESIDUE_ASSIGN(const std::vector<Missing> all, find_missing(db));
  for (const Missing& one : all) {
    if (one.kind == "index") continue;
    std::string sql = one.sql;
    if (sql.empty()) {
      sql.append("CREATE TEMP VIEW ").append(quoted(one.name)).append(" AS SELECT *");
      for (const Column& column : one.columns) {
        sql.append(", NULL AS ").append(quoted(column.name));
      }
      sql.append(" FROM main.").append(quoted(one.name));
    } else {
      sql.insert(sql.find(' '), " TEMP");  // "CREATE TABLE …"
    }
    RESIDUE_TRY(run_sql(db, sql.c_str()));
  }
  return {};
}

}  // namespace residue
