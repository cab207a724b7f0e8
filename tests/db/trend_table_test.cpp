// The virtual table `trend`: which snapshots make a series, what conditions do, and that its values
// are those that plain SQL finds in `usage`.
#include <gtest/gtest.h>

#include <chrono>

#include "db/statement.h"
#include "db/store.h"
#include "tests/db/support.h"

namespace residue {
namespace {

using testing::open_or_die;
using testing::Rows;
using testing::rows_of;
using testing::value_of;
using Table = std::vector<std::vector<std::string>>;

struct Taken {
  std::string process;
  uint32_t pid;
  std::string executable;
  std::string at;
  std::vector<UsageRow> usage;
  uint64_t heap_used = 0;
};

Database with_snapshots(const std::vector<Taken>& all) {
  Database database = open_or_die(":memory:", Database::Mode::kWrite);
  for (size_t i = 0; i < all.size(); ++i) {
    Snapshot snapshot;
    snapshot.info.source = "core." + std::to_string(i);
    snapshot.info.process = all[i].process;
    snapshot.info.dump_id = "dump" + std::to_string(i);
    snapshot.info.pid = all[i].pid;
    snapshot.info.executable = all[i].executable;
    snapshot.info.taken_at = all[i].at;
    snapshot.usage = all[i].usage;
    if (all[i].heap_used > 0) {
      HeapRow heap;
      heap.name = "main_arena";
      heap.used_bytes = all[i].heap_used;
      heap.used_count = 3;
      heap.mapped_bytes = all[i].heap_used * 2;
      snapshot.heaps.push_back(heap);
      heap.name = "mmapped";
      snapshot.heaps.push_back(heap);
    }
    EXPECT_TRUE(store(database, snapshot));
  }
  return database;
}

// One process whose snapshots were stored out of order; one that is known by its pid only and
// restarted; one with a single snapshot.
Database some() {
  const auto usage = [](uint64_t a, uint64_t b) {
    std::vector<UsageRow> rows = {{"type", "A", 1, a, 1, a / 2},
                                  {"heap", "main", 2, a + b, 1, a / 2}};
    if (b > 0) rows.push_back({"type", "B", 1, b, 0, 0});
    return rows;
  };
  return with_snapshots({{"p1", 7, "/bin/one", "2024-01-01T00:00:00Z", usage(100, 0), 1000},
                         {"p1", 7, "/bin/one", "2024-01-01T02:00:00Z", usage(300, 50), 1000},
                         {"p1", 7, "/bin/one", "2024-01-01T01:00:00Z", usage(200, 0), 2000},
                         {"", 8, "/bin/two", "2024-01-01T00:00:00Z", usage(10, 1)},
                         {"", 8, "/bin/two", "", usage(20, 1)},
                         {"", 8, "/bin/two", "2024-01-01T00:30:00Z", usage(40, 1)},
                         {"", 9, "/bin/two", "2024-01-02T00:00:00Z", usage(5, 5)},
                         {"p4", 10, "/bin/two", "2024-01-03T00:00:00Z", usage(3, 6)}});
}

TEST(TrendTable, HasTheSnapshotsOfOneProcessInOrderOfTime) {
  Database database = some();
  EXPECT_EQ(
      rows_of(database,
              "SELECT process, pid, executable, snapshots, first_snapshot, last_snapshot, "
              "first_at, last_at, first_value, last_value, series, slope, unit FROM trend "
              "WHERE process = 'p1' AND dimension = 'type' ORDER BY key"),
      (Table{{"p1", "7", "/bin/one", "3", "1", "2", "2024-01-01T00:00:00Z", "2024-01-01T02:00:00Z",
              "100", "300", "[100,200,300]", "100.000000", "per hour"},
             {"p1", "7", "/bin/one", "3", "1", "2", "2024-01-01T00:00:00Z", "2024-01-01T02:00:00Z",
              "0", "50", "[0,0,50]", "25.000000", "per hour"}}));
}

TEST(TrendTable, AProcessWithoutIdentityIsItsPidAndExecutable) {
  Database database = some();
  // One of its times is missing: the order is that of import.
  EXPECT_EQ(rows_of(database,
                    "SELECT process, pid, snapshots, series, unit, first_at FROM trend "
                    "WHERE executable = '/bin/two' AND key = 'A'"),
            (Table{{"NULL", "8", "3", "[10,20,40]", "per snapshot", "2024-01-01T00:00:00Z"}}));
}

TEST(TrendTable, RunsOfOneExecutableAreTheirLastSnapshots) {
  Database database = some();
  EXPECT_EQ(rows_of(database,
                    "SELECT process, pid, executable, grouping, snapshots, series FROM trend "
                    "WHERE grouping = 'executable' AND key = 'A'"),
            (Table{{"NULL", "NULL", "/bin/two", "executable", "3", "[40,5,3]"}}));
}

TEST(TrendTable, AllMeasuresWhereOneIsNamed) {
  Database database = some();
  EXPECT_EQ(rows_of(database, "SELECT DISTINCT measure FROM trend"), (Table{{"used_bytes"}}));
  EXPECT_EQ(value_of(database,
                     "SELECT series FROM trend WHERE process = 'p1' AND dimension = 'type' AND "
                     "key = 'A' AND measure = 'leaked_bytes'"),
            "[50,100,150]");
  const Table all = {{"leaked_bytes"}, {"leaked_count"}, {"used_bytes"}, {"used_count"}};
  const Table bytes = {{"leaked_bytes"}, {"used_bytes"}};
  const std::string select = "SELECT DISTINCT measure FROM trend WHERE ";
  EXPECT_EQ(rows_of(database, select + "measure <> '' ORDER BY 1"), all);
  EXPECT_EQ(rows_of(database, select + "measure LIKE '%bytes' ORDER BY 1"), bytes);
  EXPECT_EQ(rows_of(database, select + "measure IN ('used_bytes', 'leaked_bytes') ORDER BY 1"),
            bytes);
  EXPECT_EQ(rows_of(database, select + "measure = 'USED_BYTES' COLLATE NOCASE"),
            (Table{{"used_bytes"}}));
  EXPECT_EQ(rows_of(database, select + "measure = 'nothing'"), Table{});
  EXPECT_EQ(rows_of(database, select + "measure = NULL"), Table{});
}

TEST(TrendTable, TotalsAreSumsOverHeaps) {
  Database database = some();
  EXPECT_EQ(rows_of(database,
                    "SELECT key, series FROM trend WHERE process = 'p1' AND dimension = 'total' "
                    "ORDER BY key"),
            (Table{{"cached", "[0,0,0]"},
                   {"free", "[0,0,0]"},
                   {"leaked", "[50,100,150]"},
                   {"mapped", "[4000,8000,4000]"},
                   {"overhead", "[0,0,0]"},
                   {"used", "[2000,4000,2000]"}}));
  EXPECT_EQ(rows_of(database,
                    "SELECT key, series FROM trend WHERE process = 'p1' AND dimension = 'total' "
                    "AND measure = 'used_count' AND key IN ('used', 'leaked') ORDER BY key"),
            (Table{{"leaked", "[1,1,1]"}, {"used", "[6,6,6]"}}));
  EXPECT_EQ(rows_of(database,
                    "SELECT key, series FROM trend WHERE process = 'p1' AND dimension = 'total' "
                    "AND measure = 'leaked_bytes'"),
            (Table{{"leaked", "[50,100,150]"}}));
}

// Every condition that is pushed down finds what a filter over all rows finds.
TEST(TrendTable, ConditionsFindWhatPlainFiltersFind) {
  Database database = some();
  const std::string columns =
      "SELECT process, pid, executable, dimension, key, measure, grouping, series, slope, verdict "
      "FROM ";
  const std::string everything =
      "(SELECT * FROM trend WHERE measure <> '' AND grouping <> '' LIMIT -1 OFFSET 0) ";
  const std::string order = " ORDER BY 7, 6, 4, 5, 1, 2, 3";
  for (const std::string& where :
       {std::string("process = 'p1'"), std::string("pid = 8"), std::string("pid = 8.0"),
        std::string("pid = '8'"), std::string("executable = '/bin/two'"),
        std::string("dimension = 'type'"), std::string("dimension = 'total'"),
        std::string("key = 'A'"), std::string("key = 'used'"),
        std::string("dimension = 'heap' AND key = 'main'"), std::string("key = 3"),
        std::string("process IS NULL"), std::string("process = 'none'"),
        std::string("dimension = x'74797065'"), std::string("key IN ('A', 'used', 'x')"),
        std::string("pid = NULL"), std::string("pid > 7 AND dimension = 'type'")}) {
    const std::string more = " AND measure <> '' AND grouping <> ''";
    const auto found = rows_of(database, columns + "trend WHERE " + where + more + order);
    EXPECT_EQ(found, rows_of(database, columns + everything + "WHERE " + where + order)) << where;
  }
  EXPECT_EQ(value_of(database, "SELECT count(*) > 20 FROM " + everything), "1");
}

TEST(TrendTable, ValuesAreThoseOfUsage) {
  Database database = some();
  // Sums of first values, last values and series over plain SQL.
  EXPECT_EQ(value_of(database,
                     "SELECT sum(v.value) FROM trend t, json_each(t.series) v "
                     "WHERE t.process = 'p1' AND t.dimension <> 'total'"),
            value_of(database,
                     "SELECT sum(used_bytes) FROM usage JOIN snapshot s ON s.id = usage.snapshot "
                     "WHERE s.process = 'p1'"));
  EXPECT_EQ(rows_of(database,
                    "SELECT dimension, key, lowest, highest FROM trend WHERE process = 'p1' AND "
                    "dimension <> 'total' ORDER BY 1, 2"),
            rows_of(database,
                    "SELECT dimension, key, CASE WHEN count(*) < 3 THEN 0 ELSE min(used_bytes) "
                    "END, max(used_bytes) FROM usage JOIN snapshot s ON s.id = usage.snapshot "
                    "WHERE s.process = 'p1' GROUP BY dimension, key ORDER BY 1, 2"));
}

TEST(TrendTable, MemoryIsADimension) {
  Database database = open_or_die(":memory:", Database::Mode::kWrite);
  for (uint64_t i = 0; i < 3; ++i) {
    Snapshot snapshot;
    snapshot.info.source = "core." + std::to_string(i);
    snapshot.info.process = "p";
    MemoryRow row;
    row.category = "stack";
    row.bytes = 100 + i;
    snapshot.memory = {row, row};
    row.category = "file";
    row.bytes = 7;
    row.rss = 5 + i;
    snapshot.memory.push_back(row);
    EXPECT_TRUE(store(database, snapshot));
  }
  EXPECT_EQ(rows_of(database, "SELECT dimension, key, series FROM trend ORDER BY 1, 2"),
            (Table{{"memory", "file", "[7,7,7]"},
                   {"memory", "stack", "[200,202,204]"},
                   {"total", "rss", "[5,6,7]"}}));
  EXPECT_EQ(rows_of(database, "SELECT key, series FROM trend WHERE dimension = 'total'"),
            (Table{{"rss", "[5,6,7]"}}));
  EXPECT_EQ(rows_of(database, "SELECT dimension, series FROM trend WHERE key = 'stack'"),
            (Table{{"memory", "[200,202,204]"}}));
}

TEST(TrendTable, OneSnapshotIsNoTrend) {
  Database database = some();
  EXPECT_EQ(rows_of(database, "SELECT * FROM trend WHERE pid IN (9, 10)"), Table{});
  Database empty = open_or_die(":memory:", Database::Mode::kWrite);
  EXPECT_EQ(rows_of(empty, "SELECT * FROM trend"), Table{});
}

TEST(TrendTable, MayBeJoined) {
  Database database = some();
  EXPECT_EQ(rows_of(database,
                    "SELECT s.id, t.series FROM snapshot s JOIN trend t ON t.process = s.process "
                    "AND t.last_snapshot = s.id WHERE t.key = 'A'"),
            (Table{{"2", "[100,200,300]"}}));
}

TEST(TrendTable, IsReadOnly) {
  Database database = some();
  Rows sink;
  EXPECT_FALSE(query(database, "DELETE FROM trend", sink));
  EXPECT_FALSE(query(database, "CREATE VIRTUAL TABLE mine USING trend", sink));
}

TEST(TrendTable, HugeHeapsDoNotWrap) {
  const uint64_t most = INT64_MAX;
  Database database =
      with_snapshots({{"p", 1, "/x", "", {}, most / 2 + 2}, {"p", 1, "/x", "", {}, most / 2 - 5}});
  EXPECT_EQ(value_of(database, "SELECT series FROM trend WHERE key = 'used'"),
            "[9223372036854775807,9223372036854775796]");
}

TEST(TrendTable, OneProcessOfManyIsFast) {
  Database database = open_or_die(":memory:", Database::Mode::kWrite);
  for (int s = 0; s < 200; ++s) {
    Snapshot snapshot;
    snapshot.info.source = "core." + std::to_string(s);
    snapshot.info.dump_id = snapshot.info.source;
    snapshot.info.process = s % 2 == 0 ? "even" : "odd";
    for (int k = 0; k < 1000; ++k) {
      snapshot.usage.push_back({"type", "ns::Type" + std::to_string(k), 1,
                                static_cast<uint64_t>(1000 + s * (k % 3)), 0, 0});
    }
    ASSERT_TRUE(store(database, snapshot));
  }
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(value_of(database,
                     "SELECT count(*) FROM trend WHERE process = 'even' AND verdict = 'growing'"),
            "666");
  // 0.05 s; the bar of 1 s for ten times as many rows is measured in bench/. Room for slow machines
  // and sanitizers.
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(3));
}

}  // namespace
}  // namespace residue
