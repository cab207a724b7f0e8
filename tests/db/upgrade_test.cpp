// Files of schema version 1: read as they are, upgraded whole or not at all.
#include "db/upgrade.h"

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <csignal>
#include <cstring>
#include <map>

#include "db/schema.h"
#include "db/statement.h"
#include "db/store.h"
#include "tests/db/schema_v1.h"
#include "tests/db/support.h"
#include "tests/db/synthetic_snapshot.h"

namespace residue {
namespace {

using testing::open_or_die;
using testing::read_bytes;
using testing::rows_of;
using testing::TempDir;
using testing::value_of;
using Mode = Database::Mode;
using Table = std::vector<std::vector<std::string>>;

constexpr int kSnapshots = 4, kKeys = 100;

// SQLite alone: no code of the store's.
class Raw {
 public:
  explicit Raw(const std::string& path) { EXPECT_EQ(sqlite3_open(path.c_str(), &db_), SQLITE_OK); }
  ~Raw() { sqlite3_close(db_); }
  Raw(const Raw&) = delete;
  Raw& operator=(const Raw&) = delete;

  void run(const std::string& sql) {
    EXPECT_EQ(sqlite3_exec(db_, sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK)
        << sql << ": " << sqlite3_errmsg(db_);
  }
  Table rows(const std::string& sql) {
    Table table;
    sqlite3_stmt* statement = nullptr;
    EXPECT_EQ(sqlite3_prepare_v2(db_, sql.c_str(), -1, &statement, nullptr), SQLITE_OK)
        << sql << ": " << sqlite3_errmsg(db_);
    while (sqlite3_step(statement) == SQLITE_ROW) {
      auto& row = table.emplace_back();
      for (int i = 0; i < sqlite3_column_count(statement); ++i) {
        const unsigned char* text = sqlite3_column_text(statement, i);
        row.emplace_back(
            text == nullptr
                ? "NULL"
                : std::string(text, text + std::strlen(reinterpret_cast<const char*>(text))));
      }
    }
    sqlite3_finalize(statement);
    return table;
  }

 private:
  sqlite3* db_ = nullptr;
};

// A file of version 1 in which every table has rows; `usage` has keys that come and go, equal keys
// of several dimensions, an empty one, and one with quotes.
void make_v1(const std::string& path) {
  Raw raw(path);
  raw.run("PRAGMA application_id = " + std::to_string(kApplicationId) +
          "; PRAGMA user_version = 1; PRAGMA journal_mode = WAL; BEGIN");
  raw.run(testing::kSchemaV1);
  for (int s = 1; s <= kSnapshots; ++s) {
    const std::string id = std::to_string(s);
    for (const auto& table : raw.rows("SELECT name FROM sqlite_schema WHERE type = 'table'")) {
      std::string values;
      for (const auto& column :
           raw.rows("SELECT name, type FROM pragma_table_info('" + table[0] + "')")) {
        const bool text = column[1] == "TEXT";
        values.append(values.empty() ? "" : ", ");
        if (column[0] == "snapshot" || (table[0] == "snapshot" && column[0] == "id")) {
          values.append(id);
        } else {
          values.append(text ? "'" + table[0] + column[0] + id + "'"
                             : "length('" + column[0] + "')");
        }
      }
      raw.run("INSERT INTO " + table[0] +
              (table[0] == "snapshot" ? " (id, label, taken_at, source, source_bytes, format, os, "
                                        "arch, pid, executable, complete, tool_version, "
                                        "imported_at, chunk_count)"
                                      : "") +
              " VALUES (" + values + ")");
    }
    raw.run("UPDATE snapshot SET chunk_count = 0; DELETE FROM chunk_block");
    raw.run("WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < " +
            std::to_string(kKeys) + ") INSERT INTO usage SELECT " + id +
            ", d.column1, 'std::vector<Type ''' || (i + " + std::to_string(s * 7) +
            ") || '''>', i, i * 100 + " + id +
            ", i % 3, i % 3 * 10 "
            "FROM n, (VALUES ('type'), ('owner'), ('colour')) d");
    raw.run("INSERT INTO usage VALUES (" + id + ", 'size', '', 1, 2, 3, " + id + ")");
  }
  raw.run("COMMIT");
}

// All columns that it had in version 1, so that numbers have one spelling.
std::string select_v1(const std::string& name) {
  Raw raw(":memory:");
  raw.run(testing::kSchemaV1);
  std::string list;
  for (const auto& column :
       raw.rows("SELECT name FROM pragma_table_xinfo('" + name + "') ORDER BY cid")) {
    list.append(list.empty() ? "SELECT " : ", ").append("quote(\"").append(column[0]).append("\")");
  }
  return list + " FROM " + name + " ORDER BY 1, 2, 3, 4";
}

// Everything that version 1 has, read without our code: table or view by name.
std::map<std::string, Table> contents_v1(const std::string& path) {
  Raw raw(path);
  std::map<std::string, Table> all;
  for (const auto& name :
       raw.rows("SELECT name FROM sqlite_schema WHERE type IN ('table', 'view')")) {
    all[name[0]] = raw.rows(select_v1(name[0]));
  }
  return all;
}

void expect_contents(Database& database, const std::map<std::string, Table>& expected) {
  for (const auto& [name, rows] : expected) {
    EXPECT_EQ(rows_of(database, select_v1(name)), rows) << name;
  }
  EXPECT_EQ(value_of(database, "PRAGMA integrity_check"), "ok");
}

std::string version_of(const std::string& path) {
  return Raw(path).rows("PRAGMA user_version")[0][0];
}

testing::SyntheticHeap tiny() {
  testing::SyntheticHeap heap;
  testing::add_tables(heap.snapshot, 1, 1, 1);
  heap.snapshot.usage = {{"type", "std::vector<Type '20'>", 5, 6, 7, 8},
                         {"type", "new", 1, 2, 3, 4}};
  heap.begin_run(0x1000, 0, 8);
  heap.add(2, {});
  heap.end_run();
  heap.finish();
  return heap;
}

class Upgrade : public ::testing::Test {
 protected:
  Upgrade() {
    make_v1(path);
    expected = contents_v1(path);
  }
  const TempDir dir;
  const std::string path = dir.file("v1.db");
  std::map<std::string, Table> expected;
};

TEST_F(Upgrade, ReadersSeeVersion1InTodaysShapeAndChangeNothing) {
  ASSERT_EQ(expected["usage"].size(), static_cast<size_t>(kSnapshots * ((kKeys + 1) * 3 + 2)));
  const std::string before = read_bytes(path);
  {
    Database database = open_or_die(path, Mode::kRead);
    expect_contents(database, expected);
    EXPECT_EQ(rows_of(database,
                      "SELECT r.snapshot, k.dimension, k.key, r.used_count, r.used_bytes, "
                      "r.leaked_count, r.leaked_bytes FROM usage_row r JOIN usage_key k ON "
                      "k.id = r.key ORDER BY 1, 2, 3"),
              rows_of(database, "SELECT * FROM usage ORDER BY 1, 2, 3"));
    EXPECT_EQ(value_of(database, "SELECT count(*) = count(DISTINCT id) FROM usage_key"), "1");
    EXPECT_EQ(value_of(database, "SELECT count(*) FROM memory"), "0");
    EXPECT_EQ(value_of(database, "SELECT count(process) + count(dump_id) FROM snapshot"), "0");
  }
  EXPECT_EQ(read_bytes(path), before);
  EXPECT_EQ(dir.names(), std::vector<std::string>{"v1.db"});
}

TEST_F(Upgrade, WritersKeepEveryRow) {
  {
    Database database = open_or_die(path, Mode::kWrite);
    expect_contents(database, expected);
    EXPECT_EQ(value_of(database, "SELECT type FROM sqlite_schema WHERE name = 'usage'"), "view");
    // The file is now what a new one is, but for columns that were added.
    Database fresh = open_or_die(":memory:", Mode::kWrite);
    const std::string names = "SELECT type, name FROM sqlite_schema ORDER BY 1, 2";
    EXPECT_EQ(rows_of(database, names), rows_of(fresh, names));
    const std::string views = "SELECT name, sql FROM sqlite_schema WHERE type = 'view' ORDER BY 1";
    EXPECT_EQ(rows_of(database, views), rows_of(fresh, views));
    const auto stored = store(database, tiny().snapshot);
    ASSERT_TRUE(stored) << to_string(stored.error());
    EXPECT_EQ(stored->id, kSnapshots + 1);
    EXPECT_EQ(value_of(database,
                       "SELECT count(*) FROM usage_key WHERE key = 'std::vector<Type ''20''>' AND "
                       "dimension = 'type'"),
              "1")
        << "a known name gets no second number";
  }
  EXPECT_EQ(version_of(path), "2");
  Database again = open_or_die(path, Mode::kRead);
  EXPECT_EQ(
      rows_of(again, "SELECT key, used_bytes FROM usage_by_type WHERE snapshot = 5 ORDER BY 2"),
      (Table{{"new", "2"}, {"std::vector<Type '20'>", "6"}}));
}

TEST_F(Upgrade, AFileThatMayNotBeWrittenIsStillRead) {
  ::chmod(path.c_str(), 0444);
  ::chmod(dir.path().c_str(), 0555);
  EXPECT_TRUE(testing::as_nobody([&] {
    auto database = Database::open(path, Mode::kRead);
    return database && value_of(*database, "SELECT count(*) FROM usage_by_type") ==
                           std::to_string(kSnapshots * (kKeys + 1));
  }));
  ::chmod(dir.path().c_str(), 0755);
  EXPECT_EQ(version_of(path), "1");
}

int steps_until_kill = 0;

// Called by SQLite for every connection that is opened in this process.
int kill_after_steps(sqlite3* db, const char**, const sqlite3_api_routines*) {
  // A small page cache makes SQLite write pages before the commit.
  sqlite3_exec(db, "PRAGMA cache_size = 2", nullptr, nullptr, nullptr);
  sqlite3_progress_handler(
      db, steps_until_kill, [](void*) { return ::raise(SIGKILL); }, nullptr);
  return SQLITE_OK;
}

TEST_F(Upgrade, KilledAtAnyPointLeavesOneOrTheOther) {
  int killed = 0;
  for (steps_until_kill = 200; version_of(path) == "1";
       steps_until_kill = steps_until_kill * 4 / 3) {
    ASSERT_LT(steps_until_kill, 100000000);
    const pid_t child = ::fork();
    if (child == 0) {
      sqlite3_auto_extension(reinterpret_cast<void (*)()>(&kill_after_steps));
      ::_exit(Database::open(path, Mode::kWrite) ? 0 : 1);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    killed += WIFSIGNALED(status) ? 1 : 0;
    ASSERT_TRUE(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
    Database database = open_or_die(path, Mode::kRead);
    expect_contents(database, expected);
  }
  EXPECT_GT(killed, 10);
  EXPECT_EQ(version_of(path), "2");
}

TEST_F(Upgrade, SeveralProcessesAtOnceUpgradeItOnce) {
  int gate[2] = {};
  ASSERT_EQ(::pipe(gate), 0);
  std::vector<pid_t> children;
  for (int i = 0; i < 6; ++i) {
    const pid_t child = ::fork();
    if (child == 0) {
      ::close(gate[1]);
      char byte = 0;
      if (::read(gate[0], &byte, 1) != 0) ::_exit(3);
      auto database = Database::open(path, i % 2 == 0 ? Mode::kWrite : Mode::kRead);
      if (!database) ::_exit(1);
      ::_exit(value_of(*database, "SELECT count(*) FROM usage") ==
                      std::to_string(expected["usage"].size())
                  ? 0
                  : 2);
    }
    children.push_back(child);
  }
  ::close(gate[0]);
  ::close(gate[1]);
  for (const pid_t child : children) {
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << WEXITSTATUS(status);
  }
  Database database = open_or_die(path, Mode::kRead);
  expect_contents(database, expected);
  EXPECT_EQ(version_of(path), "2");
}

TEST(UpgradeViews, OfWhichAColumnIsMissingAreMadeAnew) {
  const TempDir dir;
  const std::string path = dir.file("a.db");
  {
    Database database = open_or_die(path, Mode::kWrite);
    ASSERT_TRUE(store(database, tiny().snapshot));
  }
  Raw(path).run(
      "DROP VIEW usage_by_type; CREATE VIEW usage_by_type AS SELECT snapshot, key FROM usage");
  const std::string sql = "SELECT used_bytes FROM usage_by_type ORDER BY 1";
  const Table rows = {{"2"}, {"6"}};
  const std::string before = read_bytes(path);
  {
    Database reader = open_or_die(path, Mode::kRead);
    EXPECT_EQ(rows_of(reader, sql), rows);
  }
  EXPECT_EQ(read_bytes(path), before);
  { open_or_die(path, Mode::kWrite); }
  EXPECT_EQ(Raw(path).rows(sql), rows);
}

}  // namespace
}  // namespace residue
