// The table `chunk`: shows every chunk, skips only what a condition excludes, survives damage.
#include <gtest/gtest.h>

#include <memory>

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

// The same chunks stored and in memory; the stored database holds a second snapshot, so that a
// condition on the snapshot has something to exclude.
struct Fixture {
  SyntheticHeap heap = testing::make_varied_heap();
  SyntheticHeap other = testing::make_varied_heap(100);
  Database stored = open_or_die(":memory:", Mode::kWrite);
  Database live = open_or_die(":memory:", Mode::kWrite);

  Fixture() {
    other.snapshot.info.source = "other";
    EXPECT_TRUE(store(stored, heap.snapshot));
    EXPECT_TRUE(store(stored, other.snapshot));
    EXPECT_TRUE(attach_live(live, heap.snapshot));
  }
};

Fixture& fixture() {
  static const auto kFixture = std::make_unique<Fixture>();
  return *kFixture;
}

std::string text_of_number(uint64_t number) {
  return number == 0 ? "NULL" : std::to_string(static_cast<int64_t>(number));
}

std::string text_of_id(uint32_t id) { return id == testing::kNoId ? "NULL" : std::to_string(id); }

void expect_all_chunks(Database& database, const std::vector<testing::ExpectedChunk>& expected) {
  const auto rows = rows_of(database, "SELECT * FROM chunk WHERE snapshot = 1");
  ASSERT_EQ(rows.size(), expected.size());
  for (size_t i = 0; i < rows.size(); ++i) {
    const auto& c = expected[i];
    const std::string reach = kReachNames[static_cast<size_t>(c.reach)];
    const std::vector<std::string> row = {"1",
                                          std::to_string(static_cast<int64_t>(c.address)),
                                          std::to_string(c.size),
                                          "NULL",
                                          text_of_id(c.heap),
                                          kChunkStateNames[static_cast<size_t>(c.state)],
                                          reach.empty() ? "NULL" : reach,
                                          text_of_id(c.type),
                                          "NULL",
                                          "NULL",
                                          text_of_id(c.owner),
                                          text_of_id(c.cluster),
                                          text_of_number(c.retained),
                                          text_of_number(c.dominator)};
    ASSERT_EQ(rows[i], row) << i;
  }
}

TEST(ChunkTable, ShowsEveryStoredChunk) {
  expect_all_chunks(fixture().stored, fixture().heap.expected);
}

TEST(ChunkTable, ShowsEveryChunkInMemory) {
  expect_all_chunks(fixture().live, fixture().heap.expected);
}

TEST(ChunkTable, HasTheContractsColumns) {
  testing::Rows sink;
  ASSERT_TRUE(query(fixture().live, "SELECT * FROM chunk LIMIT 0", sink));
  EXPECT_EQ(sink.columns,
            (std::vector<std::string>{"snapshot", "address", "size", "requested", "heap", "state",
                                      "reach", "type", "site", "site_group", "owner", "cluster",
                                      "retained", "dominator"}));
}

TEST(ChunkTable, ShowsTheChunksOfAllSnapshots) {
  Fixture& f = fixture();
  EXPECT_EQ(
      rows_of(f.stored, "SELECT snapshot, count(*) FROM chunk GROUP BY 1"),
      (std::vector<std::vector<std::string>>{{"1", std::to_string(f.heap.expected.size())},
                                             {"2", std::to_string(f.other.expected.size())}}));
}

// The condition with its columns in parentheses of a CAST to their own type: SQLite cannot hand it
// down.
std::string not_handed_down(std::string condition) {
  for (size_t at = 0; (at = condition.find('@', at)) != std::string::npos;) {
    size_t end = at + 1;
    while (end < condition.size() && condition[end] >= 'a' && condition[end] <= 'z') ++end;
    const std::string column = condition.substr(at + 1, end - at - 1);
    const bool is_text = column == "state" || column == "reach";
    const std::string cast = "CAST(" + column + (is_text ? " AS TEXT)" : " AS INTEGER)");
    condition.replace(at, end - at, cast);
    at += cast.size();
  }
  return condition;
}

TEST(ChunkTable, PushedDownConditionsLeaveTheSameRows) {
  Fixture& f = fixture();
  const std::string middle = std::to_string(f.heap.expected[100000].address);
  const std::string later = std::to_string(f.heap.expected[100020].address);
  const std::string mmapped = std::to_string(0x7f0000000010 + int64_t{7} * 0x100000);
  const std::vector<std::pair<std::string, bool>> conditions = {
      // column, operator and value; whether any row of the fixture meets it
      {"@snapshot = 1", true},
      {"@snapshot = 2.0", true},
      {"@snapshot = 3", false},
      {"@snapshot = '1'", true},
      {"@snapshot = NULL", false},
      {"@snapshot = -1", false},
      {"@address = " + middle, true},
      {"@address = " + middle + " + 1", false},
      {"@address = '" + middle + "'", true},
      {"@address >= " + middle + " AND @address < " + later, true},
      {"@address > " + middle + " AND @address <= " + later, true},
      {"@address > " + later + " AND @address < " + middle, false},
      {"@address BETWEEN " + mmapped + " AND " + mmapped, true},
      {"@address < 0", true},  // the upper half of the address space
      {"@address > 1e5 AND @address < 2.5e8", false},
      {"@address <= 268435472", true},
      {"@state = 'used'", true},
      {"@state = 'free'", true},
      {"@state = 'cached'", true},
      {"@state = 'USED'", false},
      {"@state = 'USED' COLLATE NOCASE", true},
      {"@state = ''", false},
      {"@state = 1", false},
      {"@state = x'75736564'", false},
      {"@state = NULL", false},
      {"@reach = 2.5", false},
      {"@state = (SELECT 'free')", true},
      {"@type = (SELECT '7')", true},
      {"@type = (SELECT x'37')", false},
      {"@type = '7.0'", true},
      {"@type = ' 7 '", true},
      {"@type = 'x'", false},
      {"@type = 1e300", false},
      {"@type = NULL", false},
      {"@heap = 'nan'", false},
      {"@address = 268435472.0", true},
      {"@address = 268435472.5", false},
      {"@address >= 'x'", false},
      {"@address < 'x'", true},
      {"@state IS 'used'", true},
      {"@state IN ('free', 'cached')", true},
      {"@state <> 'used'", true},
      {"@reach = 'leaked'", true},
      {"@reach = 'system'", true},
      {"@reach = ''", false},
      {"@reach IS NULL", true},
      {"@reach = 'leaked' AND @state = 'free'", false},
      {"@reach IN ('stale', 'leaked', 'indirect') AND @type = 7", true},
      {"@type = 2999", true},
      {"@type = 3000", false},
      {"@type = -1", false},
      {"@type = 4294967295", false},
      {"@type = 4294967303", false},
      {"@type = '7'", true},
      {"@type = 7.5", false},
      {"@type IS NULL", true},
      {"@heap = 1", true},
      {"@heap = 4294967295", false},
      {"@heap IS NULL", true},
      {"@owner = 5 AND @cluster = 6", true},
      {"@type = 7 OR @address = " + middle, true}};
  for (Database* database : {&f.stored, &f.live}) {
    for (const auto& [condition, any] : conditions) {
      // A sum of products that any other set of rows would change.
      const auto digest = [database](const std::string& where) {
        return rows_of(*database,
                       "SELECT count(*), total((address % 1000003) * (size % 1009 + snapshot)), "
                       "min(address), max(address), sum(type), min(state) FROM chunk WHERE " +
                           where);
      };
      std::string plain = condition;
      std::erase(plain, '@');
      const auto pushed = digest(plain);
      EXPECT_EQ(pushed, digest(not_handed_down(condition))) << condition;
      // The second snapshot exists only in the stored database.
      const bool only_stored = condition == "@snapshot = 2.0" && database == &f.live;
      EXPECT_EQ(pushed[0][0] != "0", any && !only_stored) << condition;
    }
  }
}

TEST(ChunkTable, ConditionsAreHandedDown) {
  const auto plan = [](const std::string& where) {
    std::string text;
    for (const auto& row :
         rows_of(fixture().stored, "EXPLAIN QUERY PLAN SELECT size FROM chunk WHERE " + where)) {
      text += row.back();
    }
    return text;
  };
  // The plan's text ends with the conditions, a letter each (chunk_filter.cpp).
  EXPECT_TRUE(plan("snapshot = 1 AND state = 'used'").ends_with(":st"));
  EXPECT_TRUE(plan("address >= 1 AND address < 9").ends_with(":><"));
  EXPECT_TRUE(plan("reach = 'leaked' AND type = 1 AND heap = 1").ends_with(":ryh"));
  EXPECT_TRUE(plan("address = 1").ends_with(":="));
  EXPECT_TRUE(plan("size = 1").ends_with(":"));
}

TEST(ChunkTable, AJoinLooksChunksUpByAddress) {
  Fixture& f = fixture();
  std::string values;
  for (size_t i = 0; i < f.heap.expected.size(); i += 997) {
    values += (values.empty() ? "(" : ",(") +
              std::to_string(static_cast<int64_t>(f.heap.expected[i].address)) + ")";
  }
  const std::string sql = "WITH a(x) AS (VALUES " + values +
                          ") SELECT count(*) FROM a JOIN chunk ON chunk.snapshot = 1 AND "
                          "chunk.address = a.x";
  const std::string expected = std::to_string((f.heap.expected.size() + 996) / 997);
  EXPECT_EQ(value_of(f.stored, sql), expected);
  EXPECT_EQ(value_of(f.live, sql), expected);
}

TEST(ChunkTable, TwoCursorsDoNotDisturbEachOther) {
  Fixture& f = fixture();
  // Both walk; the inner one starts again for each outer row.
  const auto rows =
      rows_of(f.stored,
              "SELECT count(*) FROM (SELECT * FROM chunk WHERE snapshot = 2 LIMIT 50) "
              "a JOIN chunk b ON b.snapshot = 2 AND b.address > a.address");
  const auto n = static_cast<int64_t>(f.other.expected.size());
  // As signed numbers the ten chunks of the upper half come first; the 50 are the lowest others.
  int64_t pairs = 0;
  for (int64_t i = 0; i < 50; ++i) pairs += n - 10 - 1 - i;
  EXPECT_EQ(rows[0][0], std::to_string(pairs));
}

TEST(ChunkTable, AnEmptySnapshotHasNoChunks) {
  Database database = open_or_die(":memory:", Mode::kWrite);
  SyntheticHeap heap;
  heap.finish();
  ASSERT_TRUE(store(database, heap.snapshot));
  EXPECT_EQ(value_of(database, "SELECT count(*) FROM chunk"), "0");
}

TEST(ChunkTable, AMillionRegularChunksTakeLittleSpace) {
  const TempDir dir;
  SyntheticHeap heap;
  testing::add_tables(heap.snapshot, 10, 1, 1);
  heap.begin_run(0x10000, 0, 8);
  for (uint32_t i = 0; i < 1000000; ++i)
    heap.add(2 + i % 7, {ChunkState::kUsed, Reach::kLeaked, i % 7});
  heap.end_run();
  heap.finish();
  {
    Database database = open_or_die(dir.file("a.db"), Mode::kWrite);
    ASSERT_TRUE(store(database, heap.snapshot));
  }
  // Ten million are to stay well under 80 MB; a tenth of that, the file's empty tables included.
  EXPECT_LT(std::filesystem::file_size(dir.file("a.db")), 1000000U);
}

// The error of a query that must fail.
Error failure_of(Database& database, const std::string& sql) {
  testing::Rows sink;
  const auto done = query(database, sql, sink);
  EXPECT_FALSE(done) << sql;
  return done ? Error{} : done.error();
}

TEST(ChunkTable, ADamagedBlockIsNamed) {
  Database database = open_or_die(":memory:", Mode::kWrite);
  ASSERT_TRUE(store(database, fixture().heap.snapshot));
  ASSERT_TRUE(run_sql(database.handle(),
                      "UPDATE chunk_block SET data = CAST(substr(data, 1, length(data) / 3) || "
                      "x'ff' || substr(data, length(data) / 3 + 2) AS BLOB) WHERE block = 1"));
  const Error error = failure_of(database, "SELECT sum(size), max(type), max(state) FROM chunk");
  EXPECT_EQ(error.code, ErrorCode::kCorrupt);
  EXPECT_NE(error.message.find("snapshot 1, chunk block 1"), std::string::npos) << error.message;
  // Chunks of other blocks can still be read.
  EXPECT_EQ(value_of(database, "SELECT count(*) FROM chunk WHERE address = 268435472"), "1");
}

TEST(ChunkTable, RowsThatLieAboutTheirBlocksAreErrors) {
  const std::vector<std::string> lies = {
      "DELETE FROM chunk_block WHERE block = 0",
      "DELETE FROM chunk_block WHERE block = 1",
      "DELETE FROM chunk_block WHERE block = 2",
      "UPDATE chunk_block SET data = x''",
      "UPDATE chunk_block SET data = 'text'",
      "UPDATE chunk_block SET chunk_count = 0 WHERE block = 1",
      "UPDATE chunk_block SET chunk_count = -1 WHERE block = 1",
      "UPDATE chunk_block SET chunk_count = 5000000000 WHERE block = 1",
      "UPDATE chunk_block SET chunk_count = 5 WHERE block = 2",
      "UPDATE chunk_block SET first_id = 1 WHERE block = 0",
      "UPDATE chunk_block SET first_address = first_address + 16 WHERE block = 1",
      "UPDATE chunk_block SET block = block + 1000",
      "UPDATE chunk_block SET data = (SELECT data FROM chunk_block WHERE block = 0)"};
  for (const std::string& lie : lies) {
    Database database = open_or_die(":memory:", Mode::kWrite);
    ASSERT_TRUE(store(database, fixture().heap.snapshot));
    ASSERT_TRUE(run_sql(database.handle(), lie.c_str())) << lie;
    EXPECT_EQ(failure_of(database, "SELECT sum(size) FROM chunk").code, ErrorCode::kCorrupt) << lie;
  }
}

}  // namespace
}  // namespace residue
