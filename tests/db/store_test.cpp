// Storing: every value arrives, the same dump is stored once, and a failure leaves no trace.
#include "db/store.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <csignal>

#include "db/statement.h"
#include "tests/db/support.h"
#include "tests/db/synthetic_snapshot.h"

namespace residue {
namespace {

using testing::open_or_die;
using testing::read_bytes;
using testing::rows_of;
using testing::SyntheticHeap;
using testing::TempDir;
using testing::value_of;
using Mode = Database::Mode;
using Row = std::vector<std::string>;
using Table = std::vector<Row>;

SyntheticHeap tiny(const std::string& source = "core", const std::string& label = "") {
  SyntheticHeap heap;
  testing::add_tables(heap.snapshot, 2, 1, 1);
  heap.snapshot.info.source = source;
  heap.snapshot.info.label = label;
  heap.begin_run(0x1000, 0, 8);
  heap.add(2, {ChunkState::kUsed, Reach::kLeaked, 1, 0, 0});
  heap.end_run();
  heap.finish();
  return heap;
}

// As many chunks as it takes to fill several pages, with contents that do not compress.
SyntheticHeap bulky(const std::string& source) {
  SyntheticHeap heap = testing::make_varied_heap();
  heap.snapshot.info.source = source;
  return heap;
}

TEST(Store, SnapshotRowHoldsTheInfo) {
  Database database = open_or_die(":memory:", Mode::kWrite);
  auto heap = tiny("dir/core", "before");
  heap.snapshot.info.complete = false;
  const auto stored = store(database, heap.snapshot, {"1.2.3"});
  ASSERT_TRUE(stored);
  EXPECT_EQ(stored->id, 1);
  EXPECT_FALSE(stored->already_there);
  EXPECT_EQ(rows_of(database,
                    "SELECT id, snapshot, label, taken_at, source, source_bytes, format, os, arch, "
                    "pid, executable, complete, tool_version, chunk_count FROM snapshot"),
            (Table{{"1", "1", "before", "2024-05-06T07:08:09Z", "dir/core", "4096", "elf-core",
                    "linux", "x86_64", "4711", "/usr/bin/server", "0", "1.2.3", "1"}}));
  EXPECT_EQ(value_of(database,
                     "SELECT imported_at GLOB '20[0-9][0-9]-[0-1][0-9]-[0-3][0-9]T[0-2][0-9]:"
                     "[0-5][0-9]:[0-5][0-9]Z' FROM snapshot"),
            "1");
}

TEST(Store, EveryTableGetsItsRows) {
  Database database = open_or_die(":memory:", Mode::kWrite);
  ASSERT_TRUE(store(database, tiny().snapshot));
  const auto expect = [&](const std::string& sql, const Table& rows) {
    EXPECT_EQ(rows_of(database, sql), rows) << sql;
  };
  expect("SELECT * FROM module",
         {{"1", "0", "server", "/usr/bin/server", "0a0b", "4194304", "8192", "full"}});
  expect("SELECT snapshot, start, size, perms, kind, name, in_dump, rss FROM region",
         {{"1", "268435456", "135168", "rw-", "heap", "NULL", "131072", "NULL"}});
  expect("SELECT tid, name, crashed, signal, reason, fault_address FROM thread ORDER BY id",
         {{"4711", "main", "1", "11", "SIGSEGV / SEGV_MAPERR", "-256"},
          {"4712", "worker", "0", "0", "NULL", "NULL"}});
  expect("SELECT id, name, used_count, cached_bytes, uordblks, verified, problem FROM heap",
         {{"0", "main_arena", "12", "34", "56", "1", "NULL"},
          {"1", "mmapped", "12", "34", "56", "0", "3 bytes too many"}});
  expect("SELECT * FROM type", {{"1", "0", "Type0", "server", "vtable", "exact"},
                                {"1", "1", "Type1", "server", "vtable", "exact"}});
  expect("SELECT id, kind, name, module, file, line, thread FROM owner",
         {{"0", "global", "g0", "NULL", "NULL", "NULL", "NULL"}});
  expect("SELECT id, head, count, chunks, bytes, shape, type, verdict FROM cluster",
         {{"0", "268435472", "2", "4", "100", "Type0 + (40 bytes)", "NULL", "leaked"}});
  expect("SELECT category, bytes, in_dump FROM account", {{"used", "1000", "900"}});
  expect("SELECT severity, stage, place, bytes, message FROM diagnostic",
         {{"damage", "glibc", "0x10", "8", "a chunk reaches beyond its arena"}});
  for (const char* empty :
       {"frame", "site", "site_candidate", "process", "oom_event", "oom_task"}) {
    expect(std::string("SELECT snapshot FROM ") + empty, {});
  }
}

TEST(Store, ClustersKnowTheRuleThatHidesThem) {
  Database database = open_or_die(":memory:", Mode::kWrite);
  auto heap = tiny();
  ClusterRow hidden;
  hidden.head = Address(0x20);
  hidden.bytes_each = 31;
  hidden.shared = 5;
  hidden.suppression = 1;
  heap.snapshot.clusters.push_back(hidden);
  heap.snapshot.suppressions.push_back({"a.supp", 3, "leak", "foo", 0, 0, 0, 0});
  heap.snapshot.suppressions.push_back({"b.supp", 4, "leak-size", "16-", 1, 20, 3, 40});
  ASSERT_TRUE(store(database, heap.snapshot));
  EXPECT_EQ(rows_of(database, "SELECT id, bytes_each, shared, suppressed FROM cluster"),
            (Table{{"0", "0", "0", "NULL"}, {"1", "31", "5", "1"}}));
  EXPECT_EQ(rows_of(database, "SELECT * FROM suppression"),
            (Table{{"1", "0", "a.supp", "3", "leak", "foo", "0", "0", "0", "0"},
                   {"1", "1", "b.supp", "4", "leak-size", "16-", "1", "20", "3", "40"}}));
}

TEST(Store, DiagnosticsThatWereDroppedAreCounted) {
  Database database = open_or_die(":memory:", Mode::kWrite);
  auto heap = tiny();
  for (size_t i = 0; i < Diagnostics::kMaxEach + 5; ++i) {
    heap.snapshot.diagnostics.add(Severity::kNote, "elf-core", std::to_string(i), 0, "same");
  }
  ASSERT_TRUE(store(database, heap.snapshot));
  EXPECT_EQ(value_of(database, "SELECT message FROM diagnostic WHERE stage = 'diagnostics'"),
            "5 more messages like the ones above were not kept");
}

TEST(Store, EqualUsageKeysAddUp) {
  Database database = open_or_die(":memory:", Mode::kWrite);
  auto heap = tiny();
  heap.snapshot.usage = {
      {"type", "T", 1, 10, 2, 20}, {"type", "T", 3, 30, 4, 40}, {"owner", "", 5, 50, 6, 60}};
  ASSERT_TRUE(store(database, heap.snapshot));
  EXPECT_EQ(rows_of(database, "SELECT * FROM usage_by_type"),
            (Table{{"1", "T", "4", "40", "6", "60"}}));
  EXPECT_EQ(rows_of(database, "SELECT * FROM usage_by_owner"),
            (Table{{"1", "", "5", "50", "6", "60"}}));
}

TEST(Store, SameDumpIsStoredOnce) {
  const TempDir dir;
  Database database = open_or_die(dir.file("a.db"), Mode::kWrite);
  ASSERT_TRUE(store(database, tiny("core").snapshot));
  ASSERT_TRUE(store(database, tiny("core.2").snapshot));
  const auto again = store(database, tiny("core", "a label").snapshot);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->id, 1);
  EXPECT_TRUE(again->already_there);
  EXPECT_EQ(value_of(database, "SELECT count(*) FROM snapshot"), "2");
  // What tells dumps apart: path, size, time, process.
  auto other = tiny("core");
  other.snapshot.info.source_bytes = 1;
  EXPECT_FALSE(store(database, other.snapshot)->already_there);
  other.snapshot.info.taken_at = "2025-01-01T00:00:00Z";
  EXPECT_FALSE(store(database, other.snapshot)->already_there);
  other.snapshot.info.pid = 1;
  EXPECT_FALSE(store(database, other.snapshot)->already_there);
  EXPECT_EQ(value_of(database, "SELECT count(*) FROM snapshot"), "5");
}

TEST(Store, FramesReferToTheirThreadsAndPlaces) {
  auto heap = tiny();
  Snapshot& s = heap.snapshot;
  s.threads = {{70, "", false, 0, "", {}, ""}, {71, "", true, 11, "SIGSEGV", {}, ""}};
  PlaceRow named;
  named.module = "a.out";
  named.function = "f<int>";
  named.file = "/src/f.cpp";
  named.line = 12;
  named.inlined = true;
  s.places = {{}, named};
  s.frames = {{0, 0, 1, false, 0x1000, 0x7000, "context"},
              {1, 0, 0, false, 0x2000, 0x8000, "context"},
              {1, 1, 1, true, 0x3000, 0x8010, "scan"}};
  Database database = open_or_die(":memory:", Mode::kWrite);
  ASSERT_TRUE(store(database, s));
  EXPECT_EQ(
      rows_of(database,
              "SELECT tid, depth, pc, module, function, file, line, inlined, trust "
              "FROM frame ORDER BY id"),
      (std::vector<Row>{{"70", "0", "4096", "a.out", "f<int>", "/src/f.cpp", "12", "1", "context"},
                        {"71", "0", "8192", "NULL", "NULL", "NULL", "NULL", "0", "context"},
                        {"71", "1", "12288", "a.out", "f<int>", "/src/f.cpp", "12", "1", "scan"}}));
}

TEST(Store, OfARunawayRecursionBothEndsAreKept) {
  auto heap = tiny();
  Snapshot& s = heap.snapshot;
  s.threads = {{70, "", true, 11, "SIGSEGV", {}, ""}};
  s.places = {{}};
  constexpr uint32_t kDepth = 100000;
  for (uint32_t i = 0; i < kDepth; ++i) s.frames.push_back({0, i, 0, true, i, i, "cfi"});
  Database database = open_or_die(":memory:", Mode::kWrite);
  ASSERT_TRUE(store(database, s));
  EXPECT_EQ(value_of(database, "SELECT min(depth) FROM frame"), "0");
  EXPECT_EQ(value_of(database, "SELECT max(depth) FROM frame"), std::to_string(kDepth - 1));
  EXPECT_LT(std::stoi(value_of(database, "SELECT count(*) FROM frame")), 10000);
  EXPECT_GE(std::stoi(value_of(database, "SELECT count(*) FROM frame WHERE depth < 50000")), 1000);
  EXPECT_GE(std::stoi(value_of(database, "SELECT count(*) FROM frame WHERE depth > 50000")), 1000);
}

TEST(Store, OwnersSayWhereTheyAreDeclared) {
  auto heap = tiny();
  heap.snapshot.owners = {{"global", "table", "a.out", 0, "server.cpp", 41},
                          {"thread", "stack", "", 70, "", 0}};
  Database database = open_or_die(":memory:", Mode::kWrite);
  ASSERT_TRUE(store(database, heap.snapshot));
  EXPECT_EQ(
      rows_of(database, "SELECT name, file, line, thread FROM owner ORDER BY id"),
      (std::vector<Row>{{"table", "server.cpp", "41", "NULL"}, {"stack", "NULL", "NULL", "70"}}));
}

TEST(Store, LabelBelongsToOneSnapshot) {
  const TempDir dir;
  Database database = open_or_die(dir.file("a.db"), Mode::kWrite);
  ASSERT_TRUE(store(database, tiny("core", "before").snapshot));
  const auto stored = store(database, tiny("core.2", "before").snapshot);
  ASSERT_FALSE(stored);
  EXPECT_EQ(stored.error().code, ErrorCode::kUsage);
  EXPECT_NE(stored.error().message.find("'before'"), std::string::npos);
  EXPECT_EQ(value_of(database, "SELECT count(*) FROM snapshot"), "1");
  // Any number may have none.
  EXPECT_TRUE(store(database, tiny("core.3").snapshot));
  EXPECT_TRUE(store(database, tiny("core.4").snapshot));
}

TEST(Store, ReaderCannotStore) {
  const TempDir dir;
  {
    Database database = open_or_die(dir.file("a.db"), Mode::kWrite);
    ASSERT_TRUE(store(database, tiny().snapshot));
  }
  Database database = open_or_die(dir.file("a.db"), Mode::kRead);
  EXPECT_FALSE(store(database, tiny("other").snapshot));
  // Not even with SQL past our own checks.
  EXPECT_FALSE(run_sql(database.handle(), "DELETE FROM snapshot"));
}

// The text of everything in the database, to compare two states.
std::string contents(const std::string& path) {
  Database database = open_or_die(path, Mode::kRead);
  std::string text;
  for (const char* table : {"snapshot", "module", "type", "cluster", "usage", "diagnostic"}) {
    for (const Row& row : rows_of(database, std::string("SELECT * FROM ") + table)) {
      for (const auto& cell : row) text += cell + "|";
      text += "\n";
    }
  }
  for (const Row& row :
       rows_of(database, "SELECT snapshot, block, length(data), hex(data) FROM chunk_block")) {
    for (const auto& cell : row) text += cell + "|";
  }
  return text + value_of(database, "PRAGMA integrity_check");
}

TEST(Store, FullDiskLeavesTheDatabaseAsItWas) {
  const TempDir dir;
  const std::string path = dir.file("a.db");
  {
    Database database = open_or_die(path, Mode::kWrite);
    ASSERT_TRUE(store(database, tiny().snapshot));
  }
  const std::string before = contents(path);
  {
    Database database = open_or_die(path, Mode::kWrite);
    const int pages = std::stoi(value_of(database, "PRAGMA page_count"));
    ASSERT_TRUE(run_sql(database.handle(),
                        ("PRAGMA max_page_count = " + std::to_string(pages + 3)).c_str()));
    const auto stored = store(database, bulky("other").snapshot);
    ASSERT_FALSE(stored);
    EXPECT_EQ(stored.error().code, ErrorCode::kIo);
    EXPECT_NE(stored.error().message.find("full"), std::string::npos);
    EXPECT_NE(stored.error().message.find(path), std::string::npos);
  }
  EXPECT_EQ(contents(path), before);
  // And with room the same import works.
  Database database = open_or_die(path, Mode::kWrite);
  EXPECT_TRUE(store(database, bulky("other").snapshot));
}

TEST(Store, FailedImportIntoANewFileLeavesAnEmptyDatabase) {
  const TempDir dir;
  {
    Database database = open_or_die(dir.file("a.db"), Mode::kWrite);
    auto heap = tiny();
    heap.snapshot.chunks.type[0] = 99;  // there are two types
    const auto stored = store(database, heap.snapshot);
    ASSERT_FALSE(stored);
    EXPECT_EQ(stored.error().code, ErrorCode::kInternal);
  }
  EXPECT_EQ(dir.names(), std::vector<std::string>{"a.db"});
  {
    Database database = open_or_die(dir.file("a.db"), Mode::kRead);
    EXPECT_EQ(value_of(database,
                       "SELECT (SELECT count(*) FROM snapshot) + (SELECT count(*) FROM "
                       "type) + (SELECT count(*) FROM chunk_block)"),
              "0");
  }
  Database database = open_or_die(dir.file("a.db"), Mode::kWrite);
  EXPECT_EQ(store(database, tiny().snapshot)->id, 1);
}

TEST(Store, KilledImportLeavesTheDatabaseAsItWas) {
  const TempDir dir;
  const std::string path = dir.file("a.db");
  {
    Database database = open_or_die(path, Mode::kWrite);
    ASSERT_TRUE(store(database, tiny().snapshot));
  }
  const std::string before = contents(path);
  const SyntheticHeap heap = bulky("other");
  for (const int steps : {1, 400, 2000}) {
    const pid_t child = ::fork();
    if (child == 0) {
      Database database = open_or_die(path, Mode::kWrite);
      // A small page cache makes SQLite write pages before the commit.
      if (!run_sql(database.handle(), "PRAGMA cache_size = 2")) ::_exit(2);
      sqlite3_progress_handler(
          database.handle(), steps, [](void*) { return ::raise(SIGKILL); }, nullptr);
      ::_exit(store(database, heap.snapshot) ? 0 : 1);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the import ended before it was killed";
    EXPECT_EQ(contents(path), before) << steps;
  }
  Database database = open_or_die(path, Mode::kWrite);
  const auto stored = store(database, heap.snapshot);
  ASSERT_TRUE(stored);
  EXPECT_EQ(stored->id, 2);
}

TEST(Store, DiskThatIsFullAtAnyPointLeavesAUsableDatabase) {
  const SyntheticHeap heap = bulky("bulky");
  int failed = 0;
  for (rlim_t limit = 2048; limit < 2000000; limit = limit * 3 / 2) {
    const TempDir dir;
    const std::string path = dir.file("a.db");
    EXPECT_TRUE(testing::as_nobody([&] {
      ::signal(SIGXFSZ, SIG_IGN);  // writes beyond the limit then fail as on a full disk
      const rlimit size{limit, limit};
      ::setrlimit(RLIMIT_FSIZE, &size);
      auto database = Database::open(path, Mode::kWrite);
      if (!database) return database.error().code == ErrorCode::kIo;
      const auto stored = store(*database, heap.snapshot);
      return stored || stored.error().code == ErrorCode::kIo;
    })) << limit;
    Database database = open_or_die(path, Mode::kWrite);
    const bool is_there = value_of(database, "SELECT count(*) FROM snapshot") == "1";
    failed += is_there ? 0 : 1;
    const std::string chunks = is_there ? std::to_string(heap.expected.size()) : "0";
    EXPECT_EQ(value_of(database, "SELECT count(*) FROM chunk"), chunks) << limit;
    EXPECT_EQ(value_of(database, "PRAGMA integrity_check"), "ok") << limit;
    EXPECT_TRUE(store(database, tiny().snapshot)) << limit;
  }
  EXPECT_GT(failed, 5);
}

TEST(Store, SeveralProcessesStoreIntoOneNewFile) {
  const TempDir dir;
  const std::string path = dir.file("a.db");
  int gate[2] = {};
  ASSERT_EQ(::pipe(gate), 0);
  std::vector<pid_t> children;
  for (int i = 0; i < 8; ++i) {
    const pid_t child = ::fork();
    if (child == 0) {
      // Waits until the parent closes its end, so that all begin at once.
      ::close(gate[1]);
      char byte = 0;
      if (::read(gate[0], &byte, 1) != 0) ::_exit(3);
      auto database = Database::open(path, Mode::kWrite);
      if (!database) ::_exit(1);
      ::_exit(store(*database, tiny("core." + std::to_string(i)).snapshot) ? 0 : 2);
    }
    children.push_back(child);
  }
  // Holds them where all have seen an empty file and want to create the schema.
  sqlite3* lock = nullptr;
  ASSERT_EQ(sqlite3_open(path.c_str(), &lock), SQLITE_OK);
  ASSERT_TRUE(run_sql(lock, "BEGIN IMMEDIATE"));
  ::close(gate[0]);
  ::close(gate[1]);
  ::usleep(200000);
  EXPECT_TRUE(run_sql(lock, "ROLLBACK"));
  sqlite3_close(lock);
  for (const pid_t child : children) {
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << WEXITSTATUS(status);
  }
  Database database = open_or_die(path, Mode::kRead);
  EXPECT_EQ(value_of(database, "SELECT count(DISTINCT source) FROM snapshot"), "8");
}

TEST(AttachLive, ShowsTheSameTablesWithoutAFile) {
  const SyntheticHeap heap = tiny();
  Database database = open_or_die(":memory:", Mode::kWrite);
  const auto id = attach_live(database, heap.snapshot);
  ASSERT_TRUE(id);
  EXPECT_EQ(*id, 1);
  EXPECT_EQ(value_of(database, "SELECT count(*) FROM chunk_block"), "0");
  EXPECT_EQ(rows_of(database,
                    "SELECT t.name, c.size FROM chunk c JOIN type t ON t.snapshot = c.snapshot "
                    "AND t.id = c.type"),
            (Table{{"Type1", "24"}}));
}

}  // namespace
}  // namespace residue
