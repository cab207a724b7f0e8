// Opening: what is accepted, what is refused with which words, and that refusing changes nothing.
#include "db/database.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <chrono>

#include "db/database_file.h"
#include "db/schema.h"
#include "db/statement.h"
#include "db/store.h"
#include "tests/db/support.h"
#include "tests/db/synthetic_snapshot.h"

namespace residue {
namespace {

using testing::as_nobody;
using testing::open_or_die;
using testing::read_bytes;
using testing::TempDir;
using testing::value_of;
using testing::write_bytes;
using Mode = Database::Mode;

testing::SyntheticHeap tiny(const std::string& source = "core") {
  testing::SyntheticHeap heap;
  testing::add_tables(heap.snapshot, 1, 1, 1);
  heap.snapshot.info.source = source;
  heap.begin_run(0x1000, 0, 8);
  heap.add(2, {});
  heap.end_run();
  heap.finish();
  return heap;
}

void store_one(const std::string& path, const std::string& source = "core") {
  Database database = open_or_die(path, Mode::kWrite);
  const auto heap = tiny(source);
  const auto stored = store(database, heap.snapshot);
  ASSERT_TRUE(stored) << to_string(stored.error());
}

// Runs SQL on a file without residue.
void raw_sql(const std::string& path, const std::string& sql) {
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open(path.c_str(), &db), SQLITE_OK);
  EXPECT_EQ(sqlite3_exec(db, sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK)
      << sqlite3_errmsg(db);
  sqlite3_close(db);
}

// Opening fails in both modes with this code, and leaves the bytes alone.
void expect_refused(const std::string& path, ErrorCode code, const std::string& words) {
  const std::string before = read_bytes(path);
  for (const Mode mode : {Mode::kRead, Mode::kWrite}) {
    const auto opened = Database::open(path, mode);
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().code, code) << opened.error().message;
    EXPECT_NE(opened.error().message.find(words), std::string::npos) << opened.error().message;
    EXPECT_EQ(opened.error().message.rfind(path, 0), 0U) << "names the file";
  }
  EXPECT_EQ(read_bytes(path), before);
}

TEST(Database, CreatesAFileThatIsReadAgain) {
  const TempDir dir;
  store_one(dir.file("a.db"));
  EXPECT_EQ(dir.names(), std::vector<std::string>{"a.db"});
  Database database = open_or_die(dir.file("a.db"), Mode::kRead);
  EXPECT_FALSE(database.writable());
  EXPECT_EQ(value_of(database, "SELECT count(*) FROM snapshot"), "1");
}

TEST(Database, ReadersLeaveNothingBehindAndChangeNothing) {
  const TempDir dir;
  store_one(dir.file("a.db"));
  const std::string before = read_bytes(dir.file("a.db"));
  {
    Database database = open_or_die(dir.file("a.db"), Mode::kRead);
    EXPECT_EQ(value_of(database, "SELECT count(*) FROM chunk"), "1");
  }
  EXPECT_EQ(dir.names(), std::vector<std::string>{"a.db"});
  EXPECT_EQ(read_bytes(dir.file("a.db")), before);
}

TEST(Database, MissingFileCannotBeRead) {
  const TempDir dir;
  const auto opened = Database::open(dir.file("none.db"), Mode::kRead);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, ErrorCode::kNotFound);
  EXPECT_TRUE(dir.names().empty());
}

TEST(Database, EmptyFileBecomesADatabase) {
  const TempDir dir;
  write_bytes(dir.file("a.db"), "");
  EXPECT_FALSE(Database::open(dir.file("a.db"), Mode::kRead));
  store_one(dir.file("a.db"));
  Database database = open_or_die(dir.file("a.db"), Mode::kRead);
  EXPECT_EQ(value_of(database, "SELECT count(*) FROM snapshot"), "1");
}

TEST(Database, NamesThatSqliteWouldInterpretAreFiles) {
  const TempDir dir;
  const auto old = std::filesystem::current_path();
  std::filesystem::current_path(dir.path());
  store_one("file:a.db?mode=memory");
  store_one(":odd:");
  std::filesystem::current_path(old);
  EXPECT_EQ(dir.names(), (std::vector<std::string>{":odd:", "file:a.db?mode=memory"}));
}

TEST(Database, RefusesWhatIsNotADatabase) {
  const TempDir dir;
  write_bytes(dir.file("text"), std::string(5000, 'x'));
  expect_refused(dir.file("text"), ErrorCode::kUnsupported, "not a SQLite database");
  write_bytes(dir.file("short"), "SQLite format 3");
  expect_refused(dir.file("short"), ErrorCode::kUnsupported, "not a SQLite database");
  const auto opened = Database::open(dir.path(), Mode::kWrite);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, ErrorCode::kIo);
}

TEST(Database, RefusesSomebodyElsesDatabase) {
  const TempDir dir;
  const std::string path = dir.file("foreign.db");
  raw_sql(path, "CREATE TABLE snapshot(id); INSERT INTO snapshot VALUES (1)");
  expect_refused(path, ErrorCode::kUnsupported, "not one of residue's");
  raw_sql(path, "PRAGMA application_id = 42");
  expect_refused(path, ErrorCode::kUnsupported, "not one of residue's");
  raw_sql(path, "PRAGMA journal_mode = WAL");
  expect_refused(path, ErrorCode::kUnsupported, "not one of residue's");
}

TEST(Database, RefusesANewerSchema) {
  const TempDir dir;
  store_one(dir.file("a.db"));
  raw_sql(dir.file("a.db"), "PRAGMA user_version = " + std::to_string(kSchemaVersion + 1));
  expect_refused(dir.file("a.db"), ErrorCode::kUnsupported, "newer residue");
}

// As an older build left it: a table and two columns did not exist.
void make_older(const std::string& path) {
  raw_sql(path,
          "DROP TABLE suspect; ALTER TABLE cluster DROP COLUMN suppressed; "
          "ALTER TABLE cluster DROP COLUMN shared");
}

TEST(Database, ReadersSeeWhatAnOlderBuildDidNotStoreAsUnknown) {
  const TempDir dir;
  const std::string path = dir.file("db");
  store_one(path);
  make_older(path);
  const std::string before = read_bytes(path);
  {
    Database database = open_or_die(path, Mode::kRead);
    EXPECT_EQ(value_of(database, "SELECT count(*) FROM suspect"), "0");
    EXPECT_EQ(value_of(database,
                       "SELECT count(*) = count(head) AND count(suppressed) + "
                       "count(shared) = 0 FROM cluster"),
              "1");
    EXPECT_EQ(value_of(database, "SELECT count(*) FROM snapshot"), "1");
  }
  EXPECT_EQ(read_bytes(path), before);
}

TEST(Database, WritersAddWhatAnOlderBuildDidNotKnow) {
  const TempDir dir;
  const std::string path = dir.file("db");
  store_one(path);
  make_older(path);
  store_one(path, "another core");
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open(path.c_str(), &db), SQLITE_OK);
  {
    auto columns = Statement::prepare(
        db,
        "SELECT count(*) FROM pragma_table_info('cluster') WHERE name IN ('suppressed', "
        "'shared', 'head')");
    ASSERT_TRUE(columns && *columns->step());
    EXPECT_EQ(columns->integer(0), 3);
    auto table = Statement::prepare(db, "SELECT count(*) FROM suspect");
    ASSERT_TRUE(table && *table->step());
  }
  sqlite3_close(db);
  Database database = open_or_die(path, Mode::kRead);
  EXPECT_EQ(value_of(database, "SELECT count(*) FROM snapshot"), "2");
}

TEST(Database, NoticesMissingAndHiddenTables) {
  const TempDir dir;
  store_one(dir.file("a.db"));
  raw_sql(dir.file("a.db"), "DROP TABLE chunk_block");
  EXPECT_FALSE(Database::open(dir.file("a.db"), Mode::kRead));
  for (const char* name : {"Chunk", "reference", "chunk_diff", "growth", "diff_by_name", "Trend"}) {
    const std::string path = dir.file(std::string(name) + ".db");
    store_one(path);
    raw_sql(path, std::string("CREATE VIEW ") + name + " AS SELECT 1 AS x");
    expect_refused(path, ErrorCode::kCorrupt, name);
  }
}

TEST(Database, DamagedPagesAreAnErrorNotACrash) {
  const TempDir dir;
  store_one(dir.file("a.db"));
  std::string bytes = read_bytes(dir.file("a.db"));
  ASSERT_GT(bytes.size(), 8192U);
  // Everything but the header of the first page.
  for (size_t i = 100; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 31);
  write_bytes(dir.file("a.db"), bytes);
  const auto opened = Database::open(dir.file("a.db"), Mode::kRead);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, ErrorCode::kCorrupt) << opened.error().message;
}

TEST(Database, CreationThatWasKilledIsRepairedByTheNextImport) {
  // A journal that says "the file was empty", and a first page that never got its header.
  const TempDir dir;
  write_bytes(dir.file("a.db"), std::string(4096, '\0'));
  std::string journal("\xd9\xd5\x05\xf9\x20\xa1\x63\xd7", 8);  // the journal's magic
  journal += std::string("\0\0\0\0", 4);                       // pages in it
  journal += std::string("\0\0\0\0", 4);                       // nonce
  journal += std::string("\0\0\0\0", 4);                       // pages before the transaction
  journal += std::string("\0\0\2\0", 4) + std::string("\0\0\x10\0", 4);  // sector, page size
  journal.resize(512);
  write_bytes(dir.file("a.db-journal"), journal);
  const auto reader = Database::open(dir.file("a.db"), Mode::kRead);
  ASSERT_FALSE(reader);
  EXPECT_EQ(reader.error().code, ErrorCode::kUnsupported);
  store_one(dir.file("a.db"));
  Database database = open_or_die(dir.file("a.db"), Mode::kRead);
  EXPECT_EQ(value_of(database, "SELECT count(*) FROM snapshot"), "1");
}

TEST(Database, ReadsFromAReadOnlyDirectory) {
  const TempDir dir;
  store_one(dir.file("a.db"));
  ::chmod(dir.file("a.db").c_str(), 0444);
  ::chmod(dir.path().c_str(), 0555);
  EXPECT_TRUE(as_nobody([&] {
    auto database = Database::open(dir.file("a.db"), Mode::kRead);
    if (!database) return false;
    return value_of(*database, "SELECT count(*) FROM chunk") == "1";
  }));
  ::chmod(dir.path().c_str(), 0755);
  EXPECT_EQ(dir.names(), std::vector<std::string>{"a.db"});
}

TEST(Database, ReadOnlyFilesAndDirectoriesCannotBeWritten) {
  const TempDir dir;
  store_one(dir.file("a.db"));
  const std::string before = read_bytes(dir.file("a.db"));
  const auto fails_with_io = [&](const std::string& path) {
    auto database = Database::open(path, Mode::kWrite);
    if (!database) return database.error().code == ErrorCode::kIo;
    const auto stored = store(*database, tiny("other").snapshot);
    return !stored && stored.error().code == ErrorCode::kIo;
  };
  ::chmod(dir.file("a.db").c_str(), 0444);
  ::chmod(dir.path().c_str(), 0755);
  EXPECT_TRUE(as_nobody([&] { return fails_with_io(dir.file("a.db")); })) << "file";
  ::chmod(dir.file("a.db").c_str(), 0666);
  EXPECT_TRUE(as_nobody([&] { return fails_with_io(dir.file("a.db")); })) << "directory";
  EXPECT_TRUE(as_nobody([&] { return fails_with_io(dir.file("new.db")); })) << "new file";
  EXPECT_EQ(read_bytes(dir.file("a.db")), before);
  EXPECT_EQ(dir.names(), std::vector<std::string>{"a.db"});
}

TEST(Database, WaitsForAWriterAndThenSaysSo) {
  const TempDir dir;
  store_one(dir.file("a.db"));
  const Database first = open_or_die(dir.file("a.db"), Mode::kWrite);
  ASSERT_TRUE(run_sql(first.handle(), "BEGIN IMMEDIATE"));
  DatabaseOptions options;
  options.busy_timeout_ms = 300;
  auto second = Database::open(dir.file("a.db"), Mode::kWrite, options);
  ASSERT_TRUE(second);
  const auto start = std::chrono::steady_clock::now();
  const auto stored = store(*second, tiny("other").snapshot);
  EXPECT_GE(std::chrono::steady_clock::now() - start, std::chrono::milliseconds(250));
  ASSERT_FALSE(stored);
  EXPECT_EQ(stored.error().code, ErrorCode::kIo);
  EXPECT_NE(stored.error().message.find("another process"), std::string::npos);
  // Readers are not held up.
  Database reader = open_or_die(dir.file("a.db"), Mode::kRead);
  EXPECT_EQ(value_of(reader, "SELECT count(*) FROM snapshot"), "1");
  ASSERT_TRUE(run_sql(first.handle(), "ROLLBACK"));
  EXPECT_TRUE(store(*second, tiny("other").snapshot));
}

TEST(Database, TellsDatabasesFromDumps) {
  const TempDir dir;
  store_one(dir.file("a.db"));
  write_bytes(dir.file("core"),
              "\x7f"
              "ELF" +
                  std::string(200, '\0'));
  EXPECT_TRUE(is_sqlite_file(dir.file("a.db")));
  EXPECT_FALSE(is_sqlite_file(dir.file("core")));
  EXPECT_FALSE(is_sqlite_file(dir.file("none")));
  EXPECT_FALSE(is_sqlite_file(dir.path()));
}

}  // namespace
}  // namespace residue
