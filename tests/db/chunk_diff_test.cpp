// The tables `chunk_diff` and `growth`, against a comparison of the two lists of chunks with a map,
// and against plain SQL over `chunk`.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>

#include "db/statement.h"
#include "db/store.h"
#include "tests/db/support.h"
#include "tests/db/synthetic_snapshot.h"

namespace residue {
namespace {

using testing::ExpectedChunk;
using testing::kNoId;
using testing::open_or_die;
using testing::rows_of;
using testing::SyntheticHeap;
using testing::value_of;
using Mode = Database::Mode;
using Table = std::vector<std::vector<std::string>>;

constexpr uint32_t kTypes = 50;
constexpr uint32_t kOwners = 20;
constexpr uint32_t kClusters = 12;
// Where the names of the second snapshot begin: an id means another name there.
constexpr uint32_t kShift = 7;

SyntheticHeap::Facts random_facts(std::mt19937& random) {
  const auto below = [&random](uint32_t n) { return static_cast<uint32_t>(random() % n); };
  SyntheticHeap::Facts facts;
  facts.state = static_cast<ChunkState>(std::array{0, 0, 0, 1, 2}[below(5)]);
  facts.reach = facts.state == ChunkState::kUsed ? static_cast<Reach>(1 + below(6)) : Reach::kNone;
  if (facts.state != ChunkState::kUsed) return facts;
  facts.type = below(3) == 0 ? kNoId : below(kTypes);
  facts.owner = below(3) == 0 ? kNoId : below(kOwners);
  facts.cluster = is_leak(facts.reach) ? below(kClusters) : kNoId;
  return facts;
}

uint32_t shifted(uint32_t id, uint32_t count) {
  return id == kNoId ? kNoId : (id + count - kShift) % count;
}

// The same memory twice: `after` has nearly the chunks of `before`, but some have changed hands,
// some were split, some joined, some changed their type; and another arena came, one went.
struct Pair {
  SyntheticHeap before, after;

  explicit Pair(uint32_t chunks) {
    std::mt19937 random(chunks);
    begin(before, 0);
    begin(after, kShift);
    after.snapshot.info.source = "dumps/core.2";
    for (const uint64_t base :
         {uint64_t{0x10000010}, uint64_t{0x7f0000000010}, uint64_t{0x8000000000001010}}) {
      before.begin_run(base, base < 0x7f0000000000 ? 0 : 1, 8);
      after.begin_run(base, base < 0x7f0000000000 ? 0 : 1, 8);
      for (uint32_t i = 0; i < chunks; ++i) add_pair(random);
      before.end_run();
      after.end_run();
    }
    one_sided(before, 0x9000000000000010, random);
    one_sided(after, 0x9100000000000010, random);
    before.finish();
    after.finish();
  }

 private:
  static void begin(SyntheticHeap& heap, uint32_t shift) {
    testing::add_tables(heap.snapshot, kTypes, kOwners, kClusters);
    Snapshot& s = heap.snapshot;
    for (uint32_t i = 0; i < kTypes; ++i) {
      s.types[i].name = "Type" + std::to_string((i + shift) % kTypes);
      s.types[i].module = i % 5 == 0 ? "" : "lib" + std::to_string((i + shift) % kTypes % 4);
    }
    for (uint32_t i = 0; i < kOwners; ++i) {
      s.owners[i].name = "owner" + std::to_string((i + shift) % kOwners);
      s.owners[i].module = i % 3 == 0 ? "" : "server";
    }
    for (uint32_t i = 0; i < kClusters; ++i) {
      s.clusters[i].shape = "{shape " + std::to_string((i + shift) % kClusters) + "}";
      s.clusters[i].module = i % 2 == 0 ? "" : "liblost";
    }
    s.clusters[3].suppression = 0;
    s.suppressions.push_back({"file", 1, "leak", "pattern"});
  }

  static SyntheticHeap::Facts renumbered(SyntheticHeap::Facts facts) {
    facts.type = shifted(facts.type, kTypes);
    facts.owner = shifted(facts.owner, kOwners);
    facts.cluster = shifted(facts.cluster, kClusters);
    return facts;
  }

  void add_pair(std::mt19937& random) {
    const uint64_t granules = 4 + random() % 40;
    const SyntheticHeap::Facts facts = random_facts(random);
    switch (random() % 12) {
      case 0:  // split in two, or the other way around
        before.add(granules, facts);
        after.add(granules / 2, random_facts(random));
        after.add(granules - granules / 2, random_facts(random));
        break;
      case 1:
        before.add(granules / 2, facts);
        before.add(granules - granules / 2, random_facts(random));
        after.add(granules, random_facts(random));
        break;
      case 2:  // the neighbour gives some of its memory
        before.add(granules, facts);
        before.add(8, random_facts(random));
        after.add(granules + 3, renumbered(facts));
        after.add(5, random_facts(random));
        break;
      case 3:
        before.add(granules, facts);
        after.add(granules, random_facts(random));
        break;
      default:
        before.add(granules, facts);
        after.add(granules, renumbered(facts));
    }
  }

  static void one_sided(SyntheticHeap& heap, uint64_t base, std::mt19937& random) {
    heap.begin_run(base, 1, 8);
    for (int i = 0; i < 100; ++i) heap.add(3, random_facts(random));
    heap.end_run();
  }
};

std::string text_of(const std::optional<uint64_t>& number) {
  return number ? std::to_string(static_cast<int64_t>(*number)) : "NULL";
}

std::string name_of(const char* prefix, uint32_t id, uint32_t count, uint32_t shift) {
  return id == kNoId ? "NULL" : prefix + std::to_string((id + shift) % count);
}

// The rows that chunk_diff must have, by looking every address up on both sides.
Table expected_rows(const Pair& pair) {
  std::map<uint64_t, std::pair<const ExpectedChunk*, const ExpectedChunk*>> all;
  for (const ExpectedChunk& chunk : pair.before.expected) all[chunk.address].first = &chunk;
  for (const ExpectedChunk& chunk : pair.after.expected) all[chunk.address].second = &chunk;
  std::map<uint64_t, const ExpectedChunk*> starts;
  for (const ExpectedChunk& chunk : pair.before.expected) starts[chunk.address] = &chunk;
  const auto used = [](const ExpectedChunk* c) { return c != nullptr && c->state == ChunkState{}; };
  const auto reach = [](const ExpectedChunk* c) {
    return kReachNames[static_cast<size_t>(c->reach)];
  };
  Table rows;
  for (const auto& [address, chunks] : all) {
    const ExpectedChunk* a = used(chunks.first) ? chunks.first : nullptr;
    const ExpectedChunk* b = used(chunks.second) ? chunks.second : nullptr;
    if (a == nullptr && b == nullptr) continue;
    const std::string was = a == nullptr ? "NULL" : name_of("Type", a->type, kTypes, 0);
    const std::string is = b == nullptr ? was : name_of("Type", b->type, kTypes, kShift);
    std::string status = "kept";
    if (a == nullptr) {
      status = "new";
    } else if (b == nullptr) {
      status = "gone";
    } else if (a->size != b->size) {
      status = "resized";
    } else if (was != is && was != "NULL" && is != "NULL") {
      status = "replaced";
    }
    const auto cover = starts.upper_bound(address);
    std::string state = "NULL";
    if (cover != starts.begin()) {
      const ExpectedChunk* c = std::prev(cover)->second;
      if (address - c->address < c->size) state = kChunkStateNames[static_cast<size_t>(c->state)];
    }
    const ExpectedChunk* fact = b != nullptr ? b : a;
    rows.push_back({"1", "2", text_of(address), status,
                    text_of(a ? std::optional(a->size) : std::nullopt),
                    text_of(b ? std::optional(b->size) : std::nullopt),
                    fact->heap == 0 ? "main_arena" : "mmapped", is, was,
                    name_of("owner", fact->owner, kOwners, b != nullptr ? kShift : 0),
                    fact->cluster == kNoId ? "NULL" : std::to_string(fact->cluster), reach(fact),
                    a == nullptr ? "NULL" : reach(a), state});
  }
  return rows;
}

struct Fixture {
  Pair pair{25000};  // more than one block a side
  Table expected = expected_rows(pair);
  Database stored = open_or_die(":memory:", Mode::kWrite);
  Database live = open_or_die(":memory:", Mode::kWrite);

  Fixture() {
    EXPECT_TRUE(store(stored, pair.before.snapshot));
    EXPECT_TRUE(store(stored, pair.after.snapshot));
    EXPECT_TRUE(attach_live(live, pair.before.snapshot));
    EXPECT_TRUE(attach_live(live, pair.after.snapshot));
  }
};

Fixture& fixture() {
  static const auto kFixture = std::make_unique<Fixture>();
  return *kFixture;
}

constexpr const char* kBoth = " WHERE from_snapshot = 1 AND to_snapshot = 2";

void expect_rows(const Table& rows, const Table& expected) {
  ASSERT_EQ(rows.size(), expected.size());
  for (size_t i = 0; i < rows.size(); ++i) ASSERT_EQ(rows[i], expected[i]) << i;
}

TEST(ChunkDiff, SaysWhatBecameOfEveryChunk) {
  for (Database* database : {&fixture().stored, &fixture().live}) {
    expect_rows(rows_of(*database, std::string("SELECT * FROM chunk_diff") + kBoth),
                fixture().expected);
  }
}

TEST(ChunkDiff, ContainsEveryStatus) {
  std::map<std::string, int> counts;
  for (const auto& row : fixture().expected) ++counts[row[3]];
  for (const char* status : {"new", "gone", "kept", "resized", "replaced"}) {
    EXPECT_GT(counts[status], 100) << status;
    EXPECT_EQ(value_of(fixture().stored, std::string("SELECT count(*) FROM chunk_diff") + kBoth +
                                             " AND status = '" + status + "'"),
              std::to_string(counts[status]));
  }
}

TEST(ChunkDiff, AddressRangesLeaveExactlyTheRowsWithin) {
  const Table& all = fixture().expected;
  const auto number = [](const std::string& text) { return std::stoll(text); };
  std::mt19937 random(5);
  std::vector<std::pair<int64_t, int64_t>> ranges = {
      {0, INT64_MAX}, {INT64_MIN, -1}, {-5, 0x10000100}, {INT64_MIN, INT64_MAX}};
  for (int i = 0; i < 40; ++i) {
    const int64_t low = number(all[random() % all.size()][2]) + static_cast<int64_t>(random() % 3);
    ranges.emplace_back(low, low + static_cast<int64_t>(random() % 5000));
  }
  for (const auto& [low, high] : ranges) {
    Table expected;
    for (const auto& row : all) {
      if (number(row[2]) >= low && number(row[2]) <= high) expected.push_back(row);
    }
    const std::string range =
        " AND address >= " + std::to_string(low) + " AND address <= " + std::to_string(high);
    expect_rows(rows_of(fixture().stored, std::string("SELECT * FROM chunk_diff") + kBoth + range),
                expected);
  }
}

TEST(ChunkDiff, AsksForBothSnapshots) {
  testing::Rows rows;
  for (const char* sql : {"SELECT * FROM chunk_diff", "SELECT * FROM growth WHERE to_snapshot = 2",
                          "SELECT * FROM diff_by_name WHERE from_snapshot > 0"}) {
    const auto refused = query(fixture().stored, sql, rows);
    ASSERT_FALSE(refused) << sql;
    EXPECT_EQ(refused.error().code, ErrorCode::kUsage);
    EXPECT_NE(refused.error().message.find("compares two snapshots"), std::string::npos);
  }
}

TEST(ChunkDiff, CanBeJoined) {
  for (const char* table : {"chunk_diff", "growth"}) {
    const std::string name(table);
    EXPECT_EQ(rows_of(fixture().stored,
                      "SELECT a.id, b.id, count(*) > 0 FROM snapshot a, snapshot b, " + name +
                          " d WHERE a.id < b.id AND d.from_snapshot = a.id AND d.to_snapshot = "
                          "b.id AND (d.rowid >= 0 OR d.rowid < 0)"),
              (Table{{"1", "2", "1"}}));
  }
}

TEST(ChunkDiff, ASnapshotThatIsNotThereHasNoRows) {
  for (const char* table : {"chunk_diff", "growth", "diff_by_name"}) {
    for (const char* pair :
         {"1 AND to_snapshot = 9", "9 AND to_snapshot = 1", "'x' AND to_snapshot = 1"}) {
      EXPECT_EQ(value_of(fixture().stored, std::string("SELECT count(*) FROM ") + table +
                                               " WHERE from_snapshot = " + pair),
                "0");
    }
  }
}

// ---- growth ----

// SQL for a chunk's key, of a chunk `c` with its type `t`, owner `o`, cluster `k` and heap `h`.
const std::map<std::string, std::string>& key_expressions() {
  static const std::map<std::string, std::string> kKeys = {
      {"type", "coalesce(t.name, '(unknown)')"},
      {"owner", "coalesce(o.name, '(nobody)')"},
      {"module", "coalesce(t.module, k.module, o.module, '(unknown)')"},
      {"heap", "h.name"},
      {"size", "CAST(c.size AS TEXT)"},
      {"region", "CASE h.name WHEN 'main_arena' THEN '[heap]' ELSE 'mmapped chunks' END"},
      {"shape", "CASE WHEN k.suppressed IS NULL THEN k.shape END"}};
  return kKeys;
}

std::string keyed_chunks(const std::string& key, int snapshot) {
  return "SELECT c.address AS address, c.size AS size, " + key +
         " AS key, c.reach IN ('stale', 'leaked', 'indirect') AND k.suppressed IS NULL AS leaked "
         "FROM chunk c JOIN heap h ON h.snapshot = c.snapshot AND h.id = c.heap "
         "LEFT JOIN type t ON t.snapshot = c.snapshot AND t.id = c.type "
         "LEFT JOIN owner o ON o.snapshot = c.snapshot AND o.id = c.owner "
         "LEFT JOIN cluster k ON k.snapshot = c.snapshot AND k.id = c.cluster "
         "WHERE c.snapshot = " +
         std::to_string(snapshot) + " AND c.state = 'used'";
}

// What `growth` must say of one dimension, by joining the chunks of both snapshots.
std::string growth_by_join(const std::string& key) {
  const auto sums = [](const std::string& condition, const std::string& bytes) {
    return ", sum(" + condition + "), coalesce(sum(CASE WHEN " + condition + " THEN " + bytes +
           " END), 0)";
  };
  std::string sql = "WITH a AS MATERIALIZED (" + keyed_chunks(key, 1) + "), b AS MATERIALIZED (" +
                    keyed_chunks(key, 2) +
                    "), pairs AS (SELECT a.address AS x, b.address AS y, a.size AS p, b.size AS q, "
                    "a.key AS f, b.key AS t, a.leaked AS l, b.leaked AS m FROM a "
                    "LEFT JOIN b ON a.address = b.address UNION ALL SELECT NULL, address, NULL, "
                    "size, NULL, key, 0, leaked FROM b WHERE address NOT IN (SELECT address FROM "
                    "a)), "
                    "sides AS (SELECT *, f AS key, 0 AS later FROM pairs WHERE f IS NOT NULL "
                    "UNION ALL SELECT *, t, 1 FROM pairs WHERE t IS NOT NULL) SELECT key";
  sql += sums("x IS NULL", "q") + sums("y IS NULL", "p");
  sql += sums("later AND f IS t AND p <> q", "q - p") + sums("later AND f IS t AND p = q", "q");
  sql += sums("later AND x IS NOT NULL AND f IS NOT t", "q");
  sql += sums("NOT later AND y IS NOT NULL AND f IS NOT t", "p");
  sql += sums("x IS NULL AND m", "q") + sums("later AND x IS NOT NULL AND m AND NOT l", "q");
  return sql + " FROM sides GROUP BY key ORDER BY key";
}

TEST(Growth, IsWhatAJoinOfTheChunksSays) {
  for (const auto& [dimension, key] : key_expressions()) {
    const Table expected = rows_of(fixture().stored, growth_by_join(key));
    ASSERT_GT(expected.size(), 1U);
    for (Database* database : {&fixture().stored, &fixture().live}) {
      expect_rows(
          rows_of(*database,
                  "SELECT key, new_count, new_bytes, gone_count, gone_bytes, "
                  "resized_count, resized_bytes, kept_count, kept_bytes, joined_count, "
                  "joined_bytes, left_count, left_bytes, new_leaked_count, "
                  "new_leaked_bytes, lost_count, lost_bytes FROM growth" +
                      std::string(kBoth) + " AND dimension = '" + dimension + "' ORDER BY key"),
          expected);
    }
  }
}

TEST(Growth, OfAllDimensionsIsThatOfEach) {
  EXPECT_EQ(value_of(fixture().stored,
                     std::string("SELECT group_concat(DISTINCT dimension) FROM growth") + kBoth),
            "type,module,owner,heap,size,region,shape");
  EXPECT_EQ(value_of(fixture().stored, "SELECT count(*) FROM growth" + std::string(kBoth) +
                                           " AND dimension = 'colour'"),
            "0");
}

TEST(Growth, OfDifferentProcessesIsRefused) {
  Pair pair(10);
  pair.after.snapshot.info.process = "00000000000000aa";
  pair.before.snapshot.info.process = "00000000000000bb";
  Database database = open_or_die(":memory:", Mode::kWrite);
  ASSERT_TRUE(store(database, pair.before.snapshot));
  ASSERT_TRUE(store(database, pair.after.snapshot));
  testing::Rows rows;
  for (const char* table : {"growth", "chunk_diff"}) {
    const auto refused = query(database, std::string("SELECT * FROM ") + table + kBoth, rows);
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().message.find("different processes"), std::string::npos);
  }
}

TEST(ChunkDiff, OfADamagedBlockNamesIt) {
  Pair pair(100);
  testing::TempDir directory;
  {
    Database database = open_or_die(directory.file("t.db"), Mode::kWrite);
    ASSERT_TRUE(store(database, pair.before.snapshot));
    ASSERT_TRUE(store(database, pair.after.snapshot));
    ASSERT_TRUE(run_sql(database.handle(),
                        "UPDATE chunk_block SET data = substr(data, 1, 40) WHERE snapshot = 2"));
    ASSERT_TRUE(run_sql(database.handle(), "DELETE FROM type WHERE snapshot = 1 AND id = 3"));
  }
  Database database = open_or_die(directory.file("t.db"), Mode::kRead);
  testing::Rows rows;
  const auto gap = query(database, std::string("SELECT * FROM growth") + kBoth, rows);
  ASSERT_FALSE(gap);
  EXPECT_EQ(gap.error().code, ErrorCode::kCorrupt);
  EXPECT_NE(gap.error().message.find("before id 4"), std::string::npos) << gap.error().message;
  const auto block =
      query(database, "SELECT * FROM chunk_diff WHERE from_snapshot = 2 AND to_snapshot = 2", rows);
  ASSERT_FALSE(block);
  EXPECT_EQ(block.error().code, ErrorCode::kCorrupt);
}

}  // namespace
}  // namespace residue
