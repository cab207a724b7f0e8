// Forgetting and replacing: exactly these snapshots, every table, and nobody else's rows.
#include "db/forget.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

#include "db/statement.h"
#include "db/store.h"
#include "tests/db/support.h"
#include "tests/db/synthetic_snapshot.h"

namespace residue {
namespace {

using testing::open_or_die;
using testing::rows_of;
using testing::SyntheticHeap;
using testing::TempDir;
using testing::value_of;
using Mode = Database::Mode;
using Table = std::vector<std::vector<std::string>>;

// One that has rows in every table that snapshots of dumps have rows in.
SyntheticHeap full(const std::string& source, const std::string& taken_at,
                   const std::string& label = "") {
  SyntheticHeap heap;
  Snapshot& s = heap.snapshot;
  testing::add_tables(s, 3, 2, 2);
  s.info.source = source;
  s.info.taken_at = taken_at;
  s.info.label = label;
  s.usage = {{"type", "shared", 1, 2, 3, 4}, {"type", "of " + source, 5, 6, 7, 8}};
  s.places = {{}};
  s.frames = {{0, 0, 0, false, 0x1000, 0x7000, "context"}};
  s.suppressions = {{"a.supp", 3, "leak", "foo", 0, 0, 0, 0}};
  s.retainers.resize(1);
  s.suspects.resize(1);
  s.memory.resize(1);
  s.duplicates.resize(1);
  s.corruption.resize(1);
  std::mt19937 random(static_cast<unsigned>(source.size()));
  heap.begin_run(0x1000, 0, 8);
  for (int i = 0; i < 20000; ++i) heap.add(2 + random() % 100, {ChunkState::kUsed, Reach::kLeaked});
  heap.end_run();
  heap.finish();
  return heap;
}

std::map<std::string, Table> rows_of_snapshot(Database& database, int64_t id) {
  std::map<std::string, Table> all;
  for (const auto& table : rows_of(database,
                                   "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') "
                                   "AND name NOT IN ('usage_key', 'diff', 'chunk_block')")) {
    all[table[0]] =
        rows_of(database, "SELECT * FROM " + table[0] + " WHERE snapshot = " + std::to_string(id));
  }
  all["chunk_block"] = rows_of(
      database, "SELECT block, hex(data) FROM chunk_block WHERE snapshot = " + std::to_string(id));
  return all;
}

size_t tables_with_rows(const std::map<std::string, Table>& all) {
  size_t count = 0;
  for (const auto& [name, rows] : all) count += rows.empty() ? 0 : 1;
  return count;
}

std::vector<int64_t> ids_of(const std::vector<Forgotten>& list) {
  std::vector<int64_t> ids;
  for (const Forgotten& one : list) ids.push_back(one.id);
  return ids;
}

class Forget : public ::testing::Test {
 protected:
  Forget() : database(open_or_die(path, Mode::kWrite)) {
    int day = 1;
    for (const char* name : {"a", "b", "c", "d"}) {
      const std::string at = "2024-01-0" + std::to_string(day++) + "T00:00:00Z";
      EXPECT_TRUE(store(database, full(name, at, std::string("label ") + name).snapshot));
    }
  }
  const TempDir dir;
  const std::string path = dir.file("a.db");
  Database database;
};

TEST_F(Forget, TakesEveryRowOfTheOneAndNoneOfTheOthers) {
  const auto first = rows_of_snapshot(database, 1);
  const auto third = rows_of_snapshot(database, 3);
  EXPECT_GT(tables_with_rows(rows_of_snapshot(database, 2)), 20U);
  ForgetRules rules;
  rules.named = {2};
  const auto outcome = forget(database, rules);
  ASSERT_TRUE(outcome) << to_string(outcome.error());
  ASSERT_EQ(outcome->snapshots.size(), 1U);
  EXPECT_EQ(outcome->snapshots[0].label, "label b");
  EXPECT_EQ(outcome->snapshots[0].source, "b");
  EXPECT_EQ(outcome->snapshots[0].chunks, 20000);
  EXPECT_EQ(tables_with_rows(rows_of_snapshot(database, 2)), 0U);
  EXPECT_EQ(rows_of_snapshot(database, 1), first);
  EXPECT_EQ(rows_of_snapshot(database, 3), third);
  EXPECT_EQ(outcome->keys, 1) << "the key that only it had";
  EXPECT_EQ(rows_of(database, "SELECT key FROM usage_key ORDER BY 1"),
            (Table{{"of a"}, {"of c"}, {"of d"}, {"shared"}}));
  EXPECT_EQ(value_of(database, "PRAGMA integrity_check"), "ok");
  EXPECT_EQ(value_of(database, "SELECT count(*) FROM chunk"), "60000");
}

TEST_F(Forget, TablesThatCameLaterToo) {
  ASSERT_TRUE(run_sql(database.handle(),
                      "CREATE TABLE \"odd \"\" name\" (snapshot INTEGER, x); "
                      "INSERT INTO \"odd \"\" name\" VALUES (1, 1), (2, 2), (3, 3)"));
  ForgetRules rules;
  rules.named = {1, 3};
  ASSERT_TRUE(forget(database, rules));
  EXPECT_EQ(rows_of(database, "SELECT x FROM \"odd \"\" name\""), (Table{{"2"}}));
}

TEST_F(Forget, GivesSpaceBack) {
  auto bulky = testing::make_varied_heap();
  bulky.snapshot.info.source = "bulky";
  ASSERT_TRUE(store(database, bulky.snapshot));
  ASSERT_TRUE(run_sql(database.handle(), "PRAGMA wal_checkpoint"));
  const std::string size = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size";
  const auto before = static_cast<uint64_t>(std::stoll(value_of(database, size)));
  const auto on_disk = std::filesystem::file_size(path);
  ForgetRules rules;
  rules.named = {1, 5};
  const auto outcome = forget(database, rules);
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->bytes_before, before);
  EXPECT_LT(outcome->bytes_after, before / 2);
  EXPECT_EQ(static_cast<uint64_t>(std::stoll(value_of(database, size))), outcome->bytes_after);
  EXPECT_LT(std::filesystem::file_size(path), on_disk / 2);
  EXPECT_EQ(value_of(database, "PRAGMA freelist_count"), "0");
}

TEST_F(Forget, AReaderKeepsWhatItSees) {
  Database reader = open_or_die(path, Mode::kRead);
  ASSERT_TRUE(run_sql(reader.handle(), "BEGIN"));
  EXPECT_EQ(value_of(reader, "SELECT count(*) FROM chunk"), "80000");
  ForgetRules rules;
  rules.named = {1, 2, 3};
  ASSERT_TRUE(forget(database, rules));
  EXPECT_EQ(value_of(reader, "SELECT count(*) FROM chunk"), "80000");
  ASSERT_TRUE(run_sql(reader.handle(), "COMMIT"));
  EXPECT_EQ(value_of(reader, "SELECT count(*) FROM chunk"), "20000");
}

TEST_F(Forget, ByAgeAndNumber) {
  const auto found = [&](int64_t older, int64_t keep) {
    ForgetRules rules;
    rules.older_than_seconds = older;
    rules.keep_last = keep;
    const auto list = find_forgettable(database, rules);
    return list ? ids_of(*list) : std::vector<int64_t>{-1};
  };
  using Ids = std::vector<int64_t>;
  auto young = full("young", value_of(database, "SELECT strftime('%Y-%m-%dT%H:%M:%SZ', 'now')"));
  ASSERT_TRUE(store(database, young.snapshot));
  auto other = full("other", "2024-01-01T12:00:00Z");
  other.snapshot.info.executable = "/usr/bin/other";
  ASSERT_TRUE(store(database, other.snapshot));
  auto undated = full("undated", "");
  undated.snapshot.info.executable = "";
  ASSERT_TRUE(store(database, undated.snapshot));  // as old as its import
  EXPECT_EQ(found(3600, -1), (Ids{1, 2, 3, 4, 6}));
  EXPECT_EQ(found(-1, 2), (Ids{1, 2, 3}));
  EXPECT_EQ(found(-1, 0), (Ids{1, 2, 3, 4, 5, 6, 7}));
  EXPECT_EQ(found(3600, 3), (Ids{1, 2}));
  EXPECT_EQ(found(3600, 1), (Ids{1, 2, 3, 4}));
  // Between the second of January and the third.
  const int64_t age = std::stoll(
      value_of(database, "SELECT strftime('%s', 'now') - strftime('%s', '2024-01-02T12:00:00Z')"));
  EXPECT_EQ(found(age, -1), (Ids{1, 2, 6}));
  EXPECT_EQ(found(-1, -1), Ids{});
}

TEST_F(Forget, WithoutAnyItChangesNothing) {
  ForgetRules rules;
  rules.named = {99};
  const auto outcome = forget(database, rules);
  ASSERT_TRUE(outcome);
  EXPECT_TRUE(outcome->snapshots.empty());
  EXPECT_EQ(outcome->bytes_after, outcome->bytes_before);
  EXPECT_EQ(value_of(database, "SELECT count(*) FROM snapshot"), "4");
}

TEST_F(Forget, AReaderCannot) {
  Database reader = open_or_die(path, Mode::kRead);
  ForgetRules rules;
  rules.named = {1};
  EXPECT_FALSE(forget(reader, rules));
}

TEST_F(Forget, ReplacingKeepsIdAndLabel) {
  const auto others = rows_of_snapshot(database, 3);
  auto again = full("b", "2024-01-02T00:00:00Z");
  again.snapshot.usage = {{"type", "newly found", 1, 1, 1, 1}};
  again.snapshot.types.pop_back();
  StoreOptions options;
  options.tool_version = "2.0";
  const auto kept = store(database, again.snapshot, options);
  ASSERT_TRUE(kept);
  EXPECT_TRUE(kept->already_there);
  EXPECT_EQ(kept->label, "label b");
  options.replace = true;
  const auto replaced = store(database, again.snapshot, options);
  ASSERT_TRUE(replaced) << to_string(replaced.error());
  EXPECT_EQ(replaced->id, 2);
  EXPECT_TRUE(replaced->replaced);
  EXPECT_FALSE(replaced->already_there);
  EXPECT_EQ(rows_of(database, "SELECT id, label, tool_version FROM snapshot WHERE source = 'b'"),
            (Table{{"2", "label b", "2.0"}}));
  EXPECT_EQ(rows_of(database, "SELECT key FROM usage_by_type WHERE snapshot = 2"),
            (Table{{"newly found"}}));
  EXPECT_EQ(value_of(database, "SELECT count(*) FROM type WHERE snapshot = 2"), "2");
  EXPECT_EQ(value_of(database, "SELECT count(*) FROM chunk"), "80000");
  EXPECT_EQ(rows_of_snapshot(database, 3), others);
  // With a label of its own it takes that, unless it is somebody else's.
  again.snapshot.info.label = "label c";
  EXPECT_FALSE(store(database, again.snapshot, options));
  again.snapshot.info.label = "renamed";
  EXPECT_EQ(store(database, again.snapshot, options)->label, "renamed");
  EXPECT_EQ(value_of(database, "SELECT label FROM snapshot WHERE id = 2"), "renamed");
  // A dump that is not there is simply stored.
  const auto fresh = store(database, full("e", "2024-01-05T00:00:00Z").snapshot, options);
  ASSERT_TRUE(fresh);
  EXPECT_FALSE(fresh->replaced);
  EXPECT_EQ(fresh->id, 5);
}

TEST(SameDump, IsKnownByItsBytes) {
  Database database = open_or_die(":memory:", Mode::kWrite);
  auto heap = full("core", "2024-01-01T00:00:00Z");
  SnapshotInfo& info = heap.snapshot.info;
  info.dump_id = "0123456789abcdef";
  ASSERT_TRUE(store(database, heap.snapshot));
  const auto stored = [&] { return *store(database, heap.snapshot); };
  info.source = "copy.zst";
  info.source_bytes = 17;
  info.taken_at = "2024-02-02T00:00:00Z";
  EXPECT_TRUE(stored().already_there) << "a compressed copy";
  // The same place, size and time, but other bytes: overwritten within a second.
  info.source = "core";
  info.source_bytes = 4096;
  info.taken_at = "2024-01-01T00:00:00Z";
  info.dump_id = "fedcba9876543210";
  EXPECT_FALSE(stored().already_there);
  // A part of the bytes is equal, what was found is not.
  info.source = "another";
  heap.snapshot.heaps[0].used_bytes += 1;
  EXPECT_FALSE(stored().already_there);
  // Nothing is known of the bytes.
  info.dump_id = "";
  EXPECT_TRUE(stored().already_there);
  info.source = "yet another";
  EXPECT_FALSE(stored().already_there);
}

}  // namespace
}  // namespace residue
