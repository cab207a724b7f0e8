// The view `diff`: right for keys on either side, and fast for one pair of many.
#include "db/diff.h"

#include <gtest/gtest.h>

#include <chrono>

#include "db/statement.h"
#include "db/store.h"
#include "tests/db/support.h"

namespace residue {
namespace {

using testing::open_or_die;
using testing::rows_of;
using testing::value_of;
using Table = std::vector<std::vector<std::string>>;

Database with_usage(const std::vector<std::vector<UsageRow>>& snapshots) {
  Database database = open_or_die(":memory:", Database::Mode::kWrite);
  for (size_t i = 0; i < snapshots.size(); ++i) {
    Snapshot snapshot;
    snapshot.info.source = "core." + std::to_string(i);
    snapshot.usage = snapshots[i];
    EXPECT_TRUE(store(database, snapshot));
  }
  return database;
}

Database three() {
  return with_usage({{{"type", "Gone", 2, 20, 1, 10},
                      {"type", "Same", 3, 30, 0, 0},
                      {"type", "Grown", 1, 100, 0, 0},
                      {"site", "Grown", 7, 7, 7, 7}},
                     {{"type", "Same", 3, 30, 0, 0},
                      {"type", "Grown", 5, 600, 2, 150},
                      {"type", "New", 4, 40, 4, 40}},
                     {{"type", "Third", 1, 1, 1, 1}}});
}

TEST(Diff, HasEveryKeyOfEitherSnapshotOnce) {
  Database database = three();
  EXPECT_EQ(rows_of(database,
                    "SELECT * FROM diff WHERE from_snapshot = 1 AND to_snapshot = 2 "
                    "ORDER BY dimension, key"),
            (Table{{"1", "2", "site", "Grown", "7", "7", "0", "0", "-7", "-7", "-7"},
                   {"1", "2", "type", "Gone", "2", "20", "0", "0", "-2", "-20", "-10"},
                   {"1", "2", "type", "Grown", "1", "100", "5", "600", "4", "500", "150"},
                   {"1", "2", "type", "New", "0", "0", "4", "40", "4", "40", "40"},
                   {"1", "2", "type", "Same", "3", "30", "3", "30", "0", "0", "0"}}));
}

TEST(Diff, WorksBackwards) {
  Database database = three();
  EXPECT_EQ(rows_of(database,
                    "SELECT key, bytes_before, bytes_after, leaked_bytes_delta FROM diff "
                    "WHERE from_snapshot = 2 AND to_snapshot = 1 AND key = 'New'"),
            (Table{{"New", "40", "0", "-40"}}));
}

TEST(Diff, CoversAllOrderedPairs) {
  Database database = three();
  EXPECT_EQ(rows_of(database, "SELECT DISTINCT from_snapshot, to_snapshot FROM diff ORDER BY 1, 2"),
            (Table{{"1", "2"}, {"1", "3"}, {"2", "1"}, {"2", "3"}, {"3", "1"}, {"3", "2"}}));
}

TEST(Diff, OnePairIsReadThroughTheKeys) {
  Database database = three();
  for (const char* more : {"", " AND dimension = 'type' ORDER BY bytes_delta DESC LIMIT 10"}) {
    const auto plan = rows_of(database,
                              "EXPLAIN QUERY PLAN SELECT * FROM diff WHERE from_snapshot = 1 AND "
                              "to_snapshot = 2" +
                                  std::string(more));
    int searches = 0;
    for (const auto& row : plan) {
      const std::string& step = row.back();
      // A result of the view may be scanned (for sorting), a table may not.
      for (const char* table :
           {"SCAN f", "SCAN t", "SCAN a", "SCAN b", "SCAN k", "SCAN snapshot", "SCAN usage_row"}) {
        EXPECT_NE(step, table);
        EXPECT_NE(step.rfind(std::string(table) + " ", 0), 0U) << step;
      }
      searches += step.rfind("SEARCH", 0) == 0 ? 1 : 0;
    }
    EXPECT_EQ(searches, 10) << "two snapshots, two usages and the key's name in each half";
  }
}

TEST(Diff, OnePairOfManyIsFast) {
  constexpr int kSnapshots = 40;
  constexpr int kKeys = 3000;
  std::vector<std::vector<UsageRow>> snapshots(kSnapshots);
  for (int s = 0; s < kSnapshots; ++s) {
    for (int k = 0; k < kKeys; ++k) {
      snapshots[static_cast<size_t>(s)].push_back(
          {"type", "std::vector<Type" + std::to_string(k + s) + ">", 1, 1, 0, 0});
    }
  }
  Database database = with_usage(snapshots);
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(
      value_of(database, "SELECT count(*) FROM diff WHERE from_snapshot = 3 AND to_snapshot = 5"),
      std::to_string(kKeys + 2));
  // All pairs are 1560 times as much: seconds. One is milliseconds, even on a busy machine.
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::milliseconds(500));
}

// Snapshots without a process: compared by name, as far as the keys go the same.
std::vector<std::vector<std::string>> changed(Database& database, const char* dimension,
                                              int64_t limit, bool by_name) {
  DiffRequest request;
  request.from = 1;
  request.to = 2;
  request.by_name = by_name;
  request.dimension = dimension;
  request.limit = limit;
  testing::Rows rows;
  EXPECT_TRUE(changed_keys(database, request, rows));
  return rows.rows;
}

TEST(ChangedKeys, LeaveOutWhatIsUnchangedAndStartWithTheMostGrown) {
  Database database = three();
  const auto all = changed(database, "", 0, true);
  ASSERT_EQ(all.size(), 4U);
  EXPECT_EQ(all[0][1], "Grown");
  EXPECT_EQ(all[1][1], "New");
  EXPECT_EQ(changed(database, "type", 2, true).size(), 2U);
  EXPECT_EQ(changed(database, "site", 0, true).size(), 1U);
  testing::Rows refused;
  DiffRequest by_address;
  by_address.from = 1;
  by_address.to = 2;
  EXPECT_FALSE(changed_keys(database, by_address, refused)) << "of different processes";
}

}  // namespace
}  // namespace residue
