// What a database should hold is read from an empty one in memory, made with today's schema: there
// is no second list of tables to keep.
#include "db/upgrade.h"

#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "db/database_file.h"
#include "db/schema.h"
#include "db/statement.h"

namespace residue {
namespace {

constexpr int64_t kNumberedKeysVersion = 2;

struct Column {
  std::string name;
  std::string type;
};

struct Missing {
  std::string kind;  // 'table', 'view' or 'index'
  std::string name;
  std::string sql;              // that makes it; empty if it is there and lacks columns only
  bool replace = false;         // there is one of the name, which `sql` is to take the place of
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

// The columns of `wanted` that are not in `present`.
std::vector<Column> lacking(const std::vector<Column>& wanted, const std::vector<Column>& present) {
  std::set<std::string> names;
  for (const Column& column : present) names.insert(column.name);
  std::vector<Column> columns;
  for (const Column& column : wanted) {
    if (!names.contains(column.name)) columns.push_back(column);
  }
  return columns;
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
    Missing one{std::string(s.text(0)), std::string(s.text(1)), {}, false, {}};
    if (!there.contains(one.name)) {
      one.sql = s.text(2);
    } else if (one.kind != "index") {
      RESIDUE_ASSIGN(const std::vector<Column> wanted, columns_of(raw, one.name));
      RESIDUE_ASSIGN(const std::vector<Column> present, columns_of(db, one.name));
      one.columns = lacking(wanted, present);
      if (one.kind == "view" && !one.columns.empty()) {
        one.sql = s.text(2);
        one.replace = true;
      }
    }
    if (!one.sql.empty() || !one.columns.empty()) all.push_back(std::move(one));
  }
}

Result<int64_t> schema_version(sqlite3* db) {
  RESIDUE_ASSIGN(Statement s, Statement::prepare(db, "PRAGMA main.user_version"));
  RESIDUE_ASSIGN(const bool row, s.step());
  return row ? s.integer(0) : 0;
}

// Whether every statement of the schema is in the file as it stands: so it is as a rule, and
// telling it takes a tenth of the time that find_missing() takes. SQLite keeps a statement's text.
Result<bool> is_current(sqlite3* db) {
  RESIDUE_ASSIGN(const int64_t version, schema_version(db));
  if (version != kSchemaVersion) return false;
  const std::string_view schema(kSchemaSql);
  size_t wanted = 0;
  constexpr std::string_view kBegin = "\nCREATE ";
  for (size_t at = schema.find(kBegin); at != std::string_view::npos;
       at = schema.find(kBegin, at + 1)) {
    ++wanted;
  }
  RESIDUE_ASSIGN(
      Statement s,
      Statement::prepare(db, "SELECT sql || ';' FROM main.sqlite_schema WHERE sql NOT NULL"));
  size_t found = 0;
  for (;;) {
    RESIDUE_ASSIGN(const bool more, s.step());
    if (!more) return found == wanted;
    found += schema.find(s.text(0)) != std::string_view::npos ? 1 : 0;
  }
}

// Names come from our own schema, quoted because some are keywords.
std::string quoted(const std::string& name) { return '"' + name + '"'; }

// From a table `usage` to numbered keys. The views that stand on it are made anew by what follows.
Result<void> number_usage_keys(sqlite3* db) {
  RESIDUE_ASSIGN(const std::vector<Missing> all, find_missing(db));
  for (const Missing& one : all) {
    if (one.name == "usage_key" || one.name == "usage_row")
      RESIDUE_TRY(run_sql(db, one.sql.c_str()));
  }
  return run_sql(db, R"sql(
INSERT INTO usage_key (dimension, key) SELECT DISTINCT dimension, key FROM usage ORDER BY 1, 2;
INSERT INTO usage_row (snapshot, key, used_count, used_bytes, leaked_count, leaked_bytes)
  SELECT u.snapshot, k.id, u.used_count, u.used_bytes, u.leaked_count, u.leaked_bytes
  FROM usage u CROSS JOIN usage_key k ON k.key = u.key AND k.dimension = u.dimension
  ORDER BY u.snapshot, k.id;
DROP VIEW IF EXISTS diff;
DROP VIEW IF EXISTS usage_by_type;
DROP VIEW IF EXISTS usage_by_owner;
DROP VIEW IF EXISTS usage_by_site;
DROP VIEW IF EXISTS usage_by_module;
DROP VIEW IF EXISTS usage_by_size;
DROP VIEW IF EXISTS usage_by_heap;
DROP TABLE usage;
)sql");
}

Result<void> add_one(sqlite3* db, const Missing& one) {
  std::string sql;
  if (one.replace) sql.append("DROP VIEW ").append(quoted(one.name)).append(";");
  if (!one.sql.empty()) return run_sql(db, sql.append(one.sql).c_str());
  for (const Column& column : one.columns) {
    sql.append("ALTER TABLE ").append(quoted(one.name)).append(" ADD COLUMN ");
    sql.append(quoted(column.name)).append(" ").append(column.type).append(";");
  }
  return run_sql(db, sql.c_str());
}

// Version 1's table under the names of today. The numbers are those of the sorted keys.
constexpr const char* kPretendNumbers = R"sql(
CREATE TEMP VIEW usage_key AS
  SELECT row_number() OVER (ORDER BY dimension, key) AS id, dimension, key
  FROM (SELECT DISTINCT dimension, key FROM main.usage);
CREATE TEMP VIEW usage_row AS
  SELECT u.snapshot AS snapshot, k.id AS key, u.used_count AS used_count,
    u.used_bytes AS used_bytes, u.leaked_count AS leaked_count, u.leaked_bytes AS leaked_bytes
  FROM main.usage u JOIN usage_key k ON k.dimension = u.dimension AND k.key = u.key;
)sql";

}  // namespace

Result<void> add_missing(sqlite3* db) {
  RESIDUE_ASSIGN(const bool current, is_current(db));
  if (current) return {};
  RESIDUE_ASSIGN(int64_t version, schema_version(db));
  RESIDUE_ASSIGN(std::vector<Missing> all, find_missing(db));
  if (version == kSchemaVersion && all.empty()) return {};
  RESIDUE_ASSIGN(Transaction transaction, Transaction::begin(db));
  // Another process may have been quicker.
  RESIDUE_ASSIGN(version, schema_version(db));
  RESIDUE_TRY(check_schema_version(version));
  if (version < kNumberedKeysVersion) RESIDUE_TRY(number_usage_keys(db));
  RESIDUE_ASSIGN(all, find_missing(db));
  for (const Missing& one : all) RESIDUE_TRY(add_one(db, one));
  const std::string mark = "PRAGMA user_version = " + std::to_string(kSchemaVersion);
  RESIDUE_TRY(run_sql(db, mark.c_str()));
  return transaction.commit();
}

Result<void> pretend_missing(sqlite3* db) {
  RESIDUE_ASSIGN(const bool current, is_current(db));
  if (current) return {};
  RESIDUE_ASSIGN(const int64_t version, schema_version(db));
  const bool without_numbers = version < kNumberedKeysVersion;
  if (without_numbers) RESIDUE_TRY(run_sql(db, kPretendNumbers));
  RESIDUE_ASSIGN(const std::vector<Missing> all, find_missing(db));
  for (const Missing& one : all) {
    if (one.kind == "index") continue;
    if (without_numbers && (one.name == "usage_key" || one.name == "usage_row")) continue;
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
