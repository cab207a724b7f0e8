// Queries: rows arrive typed, nothing but reading is possible, snapshots are found by id and label.
#include "db/query.h"

#include <gtest/gtest.h>

#include "db/statement.h"
#include "db/store.h"
#include "tests/db/support.h"
#include "tests/db/synthetic_snapshot.h"

namespace residue {
namespace {

using testing::open_or_die;
using testing::Rows;
using testing::rows_of;
using testing::TempDir;
using testing::value_of;
using Mode = Database::Mode;
using Table = std::vector<std::vector<std::string>>;

Database with_snapshots(const std::vector<std::string>& labels) {
  Database database = open_or_die(":memory:", Mode::kWrite);
  for (size_t i = 0; i < labels.size(); ++i) {
    Snapshot snapshot;
    snapshot.info.source = "core." + std::to_string(i);
    snapshot.info.label = labels[i];
    snapshot.usage = {{"type", "T", i + 1, 0, 0, 0}};
    EXPECT_TRUE(store(database, snapshot));
  }
  return database;
}

TEST(Query, CellsKeepTheirTypes) {
  class Types final : public RowSink {
   public:
    void begin(std::span<const std::string>) override {}
    bool row(std::span<const Cell> cells) override {
      for (const Cell& cell : cells) indexes.push_back(cell.index());
      blob = std::get<std::span<const std::byte>>(cells[4]).size();
      return true;
    }
    void end() override {}
    std::vector<size_t> indexes;
    size_t blob = 0;
  } sink;
  Database database = with_snapshots({});
  ASSERT_TRUE(query(database, "SELECT NULL, 1, 0.5, 'x', x'0102'", sink));
  EXPECT_EQ(sink.indexes, (std::vector<size_t>{0, 1, 2, 3, 4}));
  EXPECT_EQ(sink.blob, 2U);
}

TEST(Query, RunsSeveralStatements) {
  Database database = with_snapshots({});
  Rows sink;
  ASSERT_TRUE(query(database, "SELECT 1 AS a; -- a comment\n SELECT 2 AS b WHERE 0;\n", sink));
  EXPECT_EQ(sink.results, 2);
  EXPECT_EQ(sink.ended, 2);
  EXPECT_EQ(sink.columns, std::vector<std::string>{"b"});
  EXPECT_EQ(sink.rows, (Table{{"1"}}));
}

TEST(Query, SinkCanStop) {
  class First final : public RowSink {
   public:
    void begin(std::span<const std::string>) override {}
    bool row(std::span<const Cell>) override { return ++count < 3; }
    void end() override {}
    int count = 0;
  } sink;
  Database database = with_snapshots({});
  EXPECT_TRUE(query(
      database, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n",
      sink));
  EXPECT_EQ(sink.count, 3);
}

TEST(Query, BindsParameters) {
  Database database = with_snapshots({"a", "b"});
  Rows sink;
  const std::vector<Cell> parameters = {int64_t{2}, std::string_view("b")};
  ASSERT_TRUE(
      query(database, "SELECT id FROM snapshot WHERE id = ?1 AND label = ?2", sink, parameters));
  EXPECT_EQ(sink.rows, (Table{{"2"}}));
}

TEST(Query, WrongSqlIsTheUsersError) {
  Database database = with_snapshots({"a"});
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"SELEC 1", "syntax error"},
      {"SELECT absent FROM snapshot", "no such column: absent"},
      {"SELECT * FROM nowhere", "no such table: nowhere"},
      {"SELECT abs(-9223372036854775808)", "overflow"},
      {"", "no SQL statement"},
      {" -- nothing\n", "no SQL statement"}};
  for (const auto& [sql, words] : cases) {
    Rows sink;
    const auto done = query(database, sql, sink);
    ASSERT_FALSE(done) << sql;
    EXPECT_EQ(done.error().code, ErrorCode::kUsage) << sql;
    EXPECT_NE(done.error().message.find(words), std::string::npos) << done.error().message;
  }
}

// What is refused must be refused by the guard even where SQLite would let it happen.
TEST(Query, OnlyReads) {
  const TempDir dir;
  Database database = with_snapshots({"a"});
  const std::vector<std::string> statements = {
      "DELETE FROM snapshot",
      "INSERT INTO type (snapshot, id) VALUES (1, 1)",
      "UPDATE snapshot SET label = 'x' RETURNING id",
      "REPLACE INTO snapshot (id, chunk_count) VALUES (1, 0)",
      "WITH x AS (SELECT 1) DELETE FROM snapshot",
      "DROP TABLE type",
      "ALTER TABLE type RENAME TO kind",
      "CREATE TABLE x(a)",
      "CREATE TEMP TABLE x(a)",
      "CREATE TEMP VIEW x AS SELECT 1",
      "CREATE VIRTUAL TABLE x USING fts5(a)",
      "CREATE INDEX x ON type (name)",
      "ATTACH '" + dir.file("new.db") + "' AS other",
      "DETACH main",
      "VACUUM",
      "VACUUM INTO '" + dir.file("copy.db") + "'",
      "BEGIN",
      "COMMIT",
      "SAVEPOINT a",
      "REINDEX",
      "ANALYZE",
      "PRAGMA user_version = 9",
      "PRAGMA writable_schema = 1",
      "PRAGMA query_only = 0",
      "PRAGMA journal_mode = DELETE",
      "PRAGMA wal_checkpoint",
      "PRAGMA optimize",
      "PRAGMA incremental_vacuum",
      "PRAGMA Application_Id(3)",
      "EXPLAIN DELETE FROM snapshot",
      "SELECT load_extension('x')",
      "SELECT 1; DELETE FROM snapshot"};
  for (const std::string& sql : statements) {
    Rows sink;
    const auto done = query(database, sql, sink);
    ASSERT_FALSE(done) << sql;
    EXPECT_EQ(done.error().code, ErrorCode::kUsage) << sql;
    EXPECT_NE(done.error().message.find("may only read"), std::string::npos)
        << sql << ": " << done.error().message;
  }
  for (const char* sql : {"UPDATE sqlite_schema SET sql = ''", "DELETE FROM sqlite_schema",
                          "INSERT INTO sqlite_schema VALUES ('table', 'x', 'x', 2, '')"}) {
    Rows sink;
    EXPECT_FALSE(query(database, sql, sink)) << sql;
  }
  EXPECT_TRUE(dir.names().empty());
  EXPECT_EQ(rows_of(database, "SELECT id, label FROM snapshot"), (Table{{"1", "a"}}));
  // The guard is gone afterwards: storing works.
  Snapshot snapshot;
  EXPECT_TRUE(store(database, snapshot));
}

TEST(Query, AskingAboutTheSchemaIsReading) {
  Database database = with_snapshots({"a"});
  EXPECT_EQ(value_of(database, "SELECT count(*) > 20 FROM sqlite_schema"), "1");
  EXPECT_EQ(
      value_of(database, "SELECT count(*) FROM pragma_table_info('type') WHERE name = 'name'"),
      "1");
  EXPECT_EQ(value_of(database, "PRAGMA integrity_check"), "ok");
  EXPECT_EQ(value_of(database, "SELECT count(*) FROM json_each('[1, 2]')"), "2");
  EXPECT_FALSE(rows_of(database, "PRAGMA table_info(usage)").empty());
  EXPECT_FALSE(rows_of(database, "EXPLAIN QUERY PLAN SELECT * FROM diff").empty());
}

TEST(Query, EveryTableHasTheColumnSnapshot) {
  Database database = with_snapshots({});
  const Table tables = rows_of(database,
                               "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') "
                               "AND name NOT IN ('diff', 'usage_key')");
  EXPECT_GT(tables.size(), 20U);
  for (const auto& table : tables) {
    Rows sink;
    EXPECT_TRUE(query(database, "SELECT snapshot FROM " + table[0], sink)) << table[0];
  }
}

TEST(ResolveSnapshot, ByIdLabelOrNewest) {
  Database database = with_snapshots({"before", "1", "007", "after"});
  EXPECT_EQ(*resolve_snapshot(database, "1"), 1) << "an id goes before a label";
  EXPECT_EQ(*resolve_snapshot(database, "4"), 4);
  EXPECT_EQ(*resolve_snapshot(database, "before"), 1);
  EXPECT_EQ(*resolve_snapshot(database, "after"), 4);
  EXPECT_EQ(*resolve_snapshot(database, ""), 4);
  // Digits that are no id of a snapshot may still be a label.
  Database other = with_snapshots({"2024"});
  EXPECT_EQ(*resolve_snapshot(other, "2024"), 1);
}

TEST(ResolveSnapshot, TellsWhatThereIs) {
  Database database = with_snapshots({"before", "after"});
  for (const char* text : {"afte", "9", "-1", "99999999999999999999", "1 "}) {
    const auto id = resolve_snapshot(database, text);
    ASSERT_FALSE(id) << text;
    EXPECT_EQ(id.error().code, ErrorCode::kNotFound);
    EXPECT_NE(id.error().message.find("2 (after), 1 (before)"), std::string::npos)
        << id.error().message;
  }
  Database empty = with_snapshots({});
  EXPECT_FALSE(resolve_snapshot(empty, ""));
  EXPECT_FALSE(resolve_snapshot(empty, "1"));
}

}  // namespace
}  // namespace residue
