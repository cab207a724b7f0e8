// The table `reference`: shows every reference, skips only what a condition excludes, reads no more
// blocks than it must, survives damage; and what is stored of it stays within its budget.
#include <gtest/gtest.h>

#include <memory>

#include "db/reference_block.h"
#include "db/statement.h"
#include "db/store.h"
#include "tests/db/support.h"
#include "tests/db/synthetic_references.h"

namespace residue {
namespace {

using testing::ExpectedReference;
using testing::open_or_die;
using testing::rows_of;
using testing::SyntheticHeap;
using testing::TempDir;
using testing::value_of;
using Mode = Database::Mode;

struct Sample {
  SyntheticHeap heap;
  std::vector<ExpectedReference> rows;

  explicit Sample(uint32_t chunks, uint32_t largest = 10)
      : heap(testing::make_varied_heap(chunks)) {
    rows = testing::make_references(heap, largest);
    testing::set_references(heap.snapshot, rows);
  }
  int64_t address(uint32_t id) const { return static_cast<int64_t>(heap.expected[id].address); }
};

StoreOptions always() {
  StoreOptions options;
  options.references = StoreReferences::kAlways;
  return options;
}

// The same references stored and in memory; the stored database holds a second snapshot.
struct Fixture {
  Sample sample = Sample(100000, 300000);
  Sample other = Sample(100);
  Database stored = open_or_die(":memory:", Mode::kWrite);
  Database live = open_or_die(":memory:", Mode::kWrite);

  Fixture() {
    other.heap.snapshot.info.source = "other";
    EXPECT_TRUE(store(stored, sample.heap.snapshot, always()));
    EXPECT_TRUE(store(stored, other.heap.snapshot, always()));
    EXPECT_TRUE(attach_live(live, sample.heap.snapshot));
  }
};

Fixture& fixture() {
  static const auto kFixture = std::make_unique<Fixture>();
  return *kFixture;
}

// Checks each row as it comes: there are half a million.
class ExpectRows final : public RowSink {
 public:
  explicit ExpectRows(const Sample& sample) : sample_(sample) {}
  void begin(std::span<const std::string> names) override {
    EXPECT_EQ(std::vector<std::string>(names.begin(), names.end()),
              (std::vector<std::string>{"snapshot", "source", "target", "interior", "kind"}));
  }
  bool row(std::span<const Cell> cells) override {
    if (at_ == sample_.rows.size()) return ++at_, false;
    const ExpectedReference& r = sample_.rows[at_++];
    const bool same = std::get<int64_t>(cells[0]) == 1 &&
                      std::get<int64_t>(cells[1]) == sample_.address(r.source) &&
                      std::get<int64_t>(cells[2]) == sample_.address(r.target) &&
                      std::get<int64_t>(cells[3]) == (r.interior ? 1 : 0) &&
                      std::get<std::string_view>(cells[4]) == r.kind;
    EXPECT_TRUE(same) << "row " << at_ - 1;
    return same;
  }
  void end() override {}
  size_t seen() const { return at_; }

 private:
  const Sample& sample_;
  size_t at_ = 0;
};

TEST(ReferenceTable, ShowsEveryReference) {
  for (Database* database : {&fixture().stored, &fixture().live}) {
    ExpectRows sink(fixture().sample);
    ASSERT_TRUE(query(*database, "SELECT * FROM reference WHERE snapshot = 1", sink));
    EXPECT_EQ(sink.seen(), fixture().sample.rows.size());
  }
}

TEST(ReferenceTable, ShowsTheReferencesOfAllSnapshotsAndHowManyThereAre) {
  Fixture& f = fixture();
  const std::vector<std::vector<std::string>> counts = {{"1", std::to_string(f.sample.rows.size())},
                                                        {"2", std::to_string(f.other.rows.size())}};
  EXPECT_EQ(rows_of(f.stored, "SELECT snapshot, count(*) FROM reference GROUP BY 1"), counts);
  EXPECT_EQ(rows_of(f.stored, "SELECT id, reference_count FROM snapshot"), counts);
  EXPECT_EQ(value_of(f.live, "SELECT reference_count FROM snapshot"), counts[0][1]);
}

TEST(ReferenceTable, RowidsAreUnique) {
  for (Database* database : {&fixture().stored, &fixture().live}) {
    EXPECT_EQ(value_of(*database, "SELECT count(*) = count(DISTINCT rowid) FROM reference"), "1");
  }
}

// The condition with its columns in parentheses of a CAST to their own type: SQLite cannot hand it
// down.
std::string not_handed_down(std::string condition) {
  for (size_t at = 0; (at = condition.find('@', at)) != std::string::npos;) {
    size_t end = at + 1;
    while (end < condition.size() && condition[end] >= 'a' && condition[end] <= 'z') ++end;
    const std::string cast = "CAST(" + condition.substr(at + 1, end - at - 1) + " AS INTEGER)";
    condition.replace(at, end - at, cast);
    at += cast.size();
  }
  return condition;
}

TEST(ReferenceTable, PushedDownConditionsLeaveTheSameRows) {
  Fixture& f = fixture();
  const auto at = [&](uint32_t id) { return std::to_string(f.sample.address(id)); };
  const auto chunks = static_cast<uint32_t>(f.sample.heap.expected.size());
  const std::string common = at(17);
  const std::string many = at(chunks / 3);
  const std::vector<std::pair<std::string, bool>> conditions = {
      // column, operator and value; whether any row of the fixture meets it
      {"@snapshot = 1", true},
      {"@snapshot = 2.0", true},
      {"@snapshot = 3", false},
      {"@snapshot = NULL", false},
      {"@source = " + many, true},
      {"@source = " + many + " + 1", false},
      {"@source = '" + many + "'", true},
      {"@source = NULL", false},
      {"@source = 'x'", false},
      {"@source >= 'x'", false},
      {"@source >= " + at(70000) + " AND @source < " + at(70020), true},
      {"@source > " + at(70020) + " AND @source <= " + at(70000), false},
      {"@source > " + at(65535) + " AND @source <= " + at(65543), true},
      {"@source < 0", true},  // the upper half of the address space
      {"@source >= 0 AND @snapshot = 1", true},
      {"@source < " + at(12), true},
      {"@target = " + common, true},
      {"@target = " + common + " + 8", false},
      {"@target = 268435472.0", true},
      {"@target = 268435472.5", false},
      {"@target IN (" + common + ", " + many + ")", true},
      {"@target >= " + at(90000) + " AND @target < " + at(90100), true},
      {"@target < 0", true},
      {"@target >= -9223372036854775807 AND @target <= 268435472", true},
      {"@target <= 9223372036854775807", true},
      {"@target > 9223372036854775806", false},
      {"@source = " + many + " AND @target < " + at(1000), true},
      {"@source = @target", true},
      {"@source = " + many + " OR @target = " + common, true},
      {"@interior = 1", true},
      {"kind = 'spare' AND @source < " + at(30000), true},
      {"kind = 'free' AND @target = " + common, true}};
  for (Database* database : {&f.stored, &f.live}) {
    for (const auto& [condition, any] : conditions) {
      // A sum of products that any other set of rows would change.
      const auto digest = [database](const std::string& where) {
        return rows_of(*database,
                       "SELECT count(*), total((source % 1000003) * (target % 1009 + interior)), "
                       "min(source), max(target), min(kind) FROM reference WHERE " +
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

TEST(ReferenceTable, ConditionsAreHandedDown) {
  const auto plan = [](const std::string& where) {
    std::string text;
    for (const auto& row : rows_of(
             fixture().stored, "EXPLAIN QUERY PLAN SELECT source FROM reference WHERE " + where)) {
      text += row.back();
    }
    return text;
  };
  // The plan's text ends with the conditions, a letter each (reference_filter.cpp).
  EXPECT_TRUE(plan("snapshot = 1 AND source = 5").ends_with(":s="));
  EXPECT_TRUE(plan("source >= 1 AND source < 9").ends_with(":><"));
  EXPECT_TRUE(plan("target >= 1 AND target < 9").ends_with(":fu"));
  EXPECT_TRUE(plan("target = 1").ends_with(":t"));
  EXPECT_TRUE(plan("interior = 1").ends_with(":"));
}

TEST(ReferenceTable, JoinsWithTheChunksOfEitherEnd) {
  Fixture& f = fixture();
  const uint32_t id = 17;
  size_t expected = 0;
  for (const ExpectedReference& r : f.sample.rows) {
    if (r.target != id) continue;
    expected += f.sample.heap.expected[r.source].state == ChunkState::kUsed ? 1 : 0;
  }
  for (Database* database : {&f.stored, &f.live}) {
    EXPECT_EQ(value_of(*database,
                       "SELECT count(*) FROM reference r JOIN chunk c ON c.snapshot = r.snapshot "
                       "AND c.address = r.source WHERE r.snapshot = 1 AND c.state = 'used' AND "
                       "r.target = " +
                           std::to_string(f.sample.address(id))),
              std::to_string(expected));
  }
}

TEST(ReferenceTable, AWalkAlongReferencesReachesWhatTheyReach) {
  Fixture& f = fixture();
  // By plain code: from one chunk, three steps.
  const uint32_t start = f.sample.rows[1000].source;
  std::vector<bool> seen(f.sample.heap.expected.size());
  std::vector<uint32_t> front = {start};
  seen[start] = true;
  size_t reached = 1;
  for (int step = 0; step < 3; ++step) {
    std::vector<uint32_t> next;
    for (const ExpectedReference& r : f.sample.rows) {
      if (std::find(front.begin(), front.end(), r.source) == front.end() || seen[r.target]) {
        continue;
      }
      seen[r.target] = true;
      next.push_back(r.target);
      ++reached;
    }
    front = next;
  }
  const std::string sql =
      "WITH RECURSIVE walk(a, n) AS (VALUES(" + std::to_string(f.sample.address(start)) +
      ", 0) UNION SELECT r.target, n + 1 FROM walk JOIN reference r ON r.snapshot = 1 AND "
      "r.source = walk.a WHERE n < 3) SELECT count(DISTINCT a) FROM walk";
  EXPECT_EQ(value_of(f.stored, sql), std::to_string(reached));
  EXPECT_EQ(value_of(f.live, sql), std::to_string(reached));
}

// The error of a query that must fail.
Error failure_of(Database& database, const std::string& sql) {
  testing::Rows sink;
  const auto done = query(database, sql, sink);
  EXPECT_FALSE(done) << sql;
  return done ? Error{} : done.error();
}

Database store_sample() {
  Database database = open_or_die(":memory:", Mode::kWrite);
  EXPECT_TRUE(store(database, fixture().sample.heap.snapshot, always()));
  return database;
}

void run_or_die(Database& database, const std::string& sql) {
  const auto done = run_sql(database.handle(), sql.c_str());
  ASSERT_TRUE(done) << sql << ": " << done.error().message;
}

TEST(ReferenceTable, ALookUpUnpacksOneBlock) {
  const Sample& sample = fixture().sample;
  // A chunk of the second block that refers to one of the second block of chunks.
  const auto row = std::find_if(sample.rows.begin(), sample.rows.end(), [](const auto& r) {
    return r.source == 70001 && r.target < 131072;
  });
  ASSERT_NE(row, sample.rows.end());
  Database database = store_sample();
  const std::string block =
      value_of(database,
               "SELECT block FROM reference_block WHERE 70001 BETWEEN first_id AND "
               "first_id + chunk_count - 1");
  const auto of_source = [&](const std::string& what) {
    return value_of(database, "SELECT " + what +
                                  " FROM reference WHERE snapshot = 1 AND source = " +
                                  std::to_string(sample.address(70001)));
  };
  const std::string targets = of_source("group_concat(target)");
  const std::string chunk_block = std::to_string(70001 / 65536);
  run_or_die(database, "UPDATE reference_block SET data = x'00' WHERE block <> " + block);
  run_or_die(database, "UPDATE chunk_block SET data = x'00' WHERE block <> " + chunk_block);
  EXPECT_EQ(of_source("group_concat(target)"), targets);
}

TEST(ReferenceTable, ATargetIsComparedWithoutLookingUpOthers) {
  const Sample& sample = fixture().sample;
  size_t expected = 0;
  for (const ExpectedReference& r : sample.rows) expected += r.target == 17 ? 1 : 0;
  Database database = store_sample();
  // All addresses but those of the first block are gone; and no row needs more than that of 17.
  run_or_die(database, "UPDATE chunk_block SET data = x'00' WHERE block <> 0");
  EXPECT_EQ(value_of(database, "SELECT count(*) FROM reference WHERE target = " +
                                   std::to_string(sample.address(17))),
            std::to_string(expected));
}

TEST(ReferenceTable, BlocksThatCannotHoldATargetAreNotUnpacked) {
  // Each chunk refers to its neighbour, so that a block's targets lie together.
  SyntheticHeap heap = testing::make_varied_heap(150000);
  std::vector<ExpectedReference> rows;
  for (uint32_t i = 0; i + 1 < heap.expected.size(); ++i) {
    if (heap.expected[i].state == ChunkState::kUsed) rows.push_back({i, i + 1});
  }
  testing::set_references(heap.snapshot, rows);
  Database database = open_or_die(":memory:", Mode::kWrite);
  ASSERT_TRUE(store(database, heap.snapshot));
  ASSERT_NE(value_of(database, "SELECT count(*) FROM reference_block"), "1");
  run_or_die(database, "UPDATE reference_block SET data = x'00' WHERE block <> 1");
  const uint32_t source = rows[rows.size() / 2].source;
  EXPECT_EQ(value_of(database, "SELECT source FROM reference WHERE target = " +
                                   std::to_string(heap.expected[source + 1].address)),
            std::to_string(heap.expected[source].address));
}

TEST(ReferenceTable, ADamagedBlockIsNamed) {
  Database database = store_sample();
  run_or_die(database,
             "UPDATE reference_block SET data = CAST(substr(data, 1, length(data) / 3) || "
             "x'ff' || substr(data, length(data) / 3 + 2) AS BLOB) WHERE block = 1");
  const Error error = failure_of(database, "SELECT sum(target) FROM reference");
  EXPECT_EQ(error.code, ErrorCode::kCorrupt);
  EXPECT_NE(error.message.find("snapshot 1, reference block 1"), std::string::npos)
      << error.message;
}

TEST(ReferenceTable, RowsThatLieAboutTheirBlocksAreErrors) {
  const std::vector<std::string> lies = {
      "DELETE FROM reference_block WHERE block = 0",
      "DELETE FROM reference_block WHERE block = 1",
      "DELETE FROM reference_block WHERE block = (SELECT max(block) FROM reference_block)",
      "DELETE FROM reference_block",
      "UPDATE snapshot SET reference_count = NULL",
      "UPDATE snapshot SET reference_count = reference_count - 1",
      "UPDATE snapshot SET reference_count = 'x'",
      "UPDATE reference_block SET data = x''",
      "UPDATE reference_block SET data = 'text'",
      "UPDATE reference_block SET chunk_count = 0 WHERE block = 1",
      "UPDATE reference_block SET chunk_count = -1 WHERE block = 1",
      "UPDATE reference_block SET chunk_count = 5000000000 WHERE block = 1",
      "UPDATE reference_block SET chunk_count = 5 WHERE block = 2",
      "UPDATE reference_block SET first_id = 1 WHERE block = 0",
      "UPDATE reference_block SET first_id = first_id - 1 WHERE block = 1",
      "UPDATE reference_block SET reference_count = -1 WHERE block = 1",
      "UPDATE reference_block SET reference_count = 1 << 40 WHERE block = 1",
      "UPDATE reference_block SET lowest_target = lowest_target + 1 WHERE block = 0",
      "UPDATE reference_block SET lowest_target = -1 WHERE block = 0",
      "UPDATE reference_block SET highest_target = highest_target - 1 WHERE block = 0",
      "UPDATE reference_block SET highest_target = 1 << 33 WHERE block = 0",
      "UPDATE reference_block SET block = block + 1000",
      "UPDATE reference_block SET data = (SELECT data FROM reference_block WHERE block = 0)",
      "UPDATE chunk_block SET data = x'00' WHERE block = 1",
      "DELETE FROM chunk_block WHERE block = 1"};
  for (const std::string& lie : lies) {
    Database database = store_sample();
    run_or_die(database, lie);
    EXPECT_EQ(failure_of(database, "SELECT sum(source + target) FROM reference").code,
              ErrorCode::kCorrupt)
        << lie;
  }
}

TEST(ReferenceTable, ASnapshotWithoutKnownReferencesHasNone) {
  SyntheticHeap heap = testing::make_varied_heap(100);
  for (const bool stored : {true, false}) {
    Database database = open_or_die(":memory:", Mode::kWrite);
    if (stored) {
      ASSERT_TRUE(store(database, heap.snapshot));
    } else {
      ASSERT_TRUE(attach_live(database, heap.snapshot));
    }
    EXPECT_EQ(value_of(database, "SELECT count(*) FROM reference"), "0");
    EXPECT_EQ(value_of(database, "SELECT reference_count FROM snapshot"), "NULL");
  }
}

TEST(ReferenceTable, AnEmptyHeapHasNoReferences) {
  SyntheticHeap heap;
  heap.finish();
  testing::set_references(heap.snapshot, {});
  Database database = open_or_die(":memory:", Mode::kWrite);
  ASSERT_TRUE(store(database, heap.snapshot));
  EXPECT_EQ(value_of(database, "SELECT count(*) FROM reference"), "0");
  EXPECT_EQ(value_of(database, "SELECT reference_count FROM snapshot"), "0");
}

// Chunks with ten references each at random: 20 bytes a chunk, three times the budget.
SyntheticHeap tangled_heap() {
  SyntheticHeap heap;
  testing::add_tables(heap.snapshot, 1, 1, 1);
  constexpr uint32_t kChunks = 200000;
  heap.begin_run(0x10000, 0, 8);
  for (uint32_t i = 0; i < kChunks; ++i) heap.add(2, {});
  heap.end_run();
  heap.finish();
  std::mt19937 random(5);
  std::vector<ExpectedReference> rows;
  for (uint32_t i = 0; i < 10 * kChunks; ++i) {
    rows.push_back({i / 10, static_cast<uint32_t>(random() % kChunks)});
  }
  testing::set_references(heap.snapshot, rows);
  return heap;
}

TEST(StoreReferences, WhatExceedsTheBudgetIsNotStoredAndTheSnapshotSaysSo) {
  const SyntheticHeap heap = tangled_heap();
  const TempDir dir;
  Database database = open_or_die(dir.file("a.db"), Mode::kWrite);
  ASSERT_TRUE(store(database, heap.snapshot));
  EXPECT_EQ(value_of(database, "SELECT count(*) FROM reference_block"), "0");
  EXPECT_EQ(value_of(database, "SELECT count(*) FROM reference"), "0");
  EXPECT_EQ(value_of(database, "SELECT reference_count FROM snapshot"), "NULL");
  const auto note = rows_of(database,
                            "SELECT severity, stage, bytes, message FROM diagnostic WHERE place = "
                            "'references'");
  ASSERT_EQ(note.size(), 1U);
  EXPECT_EQ(note[0][0], "note");
  EXPECT_EQ(note[0][1], "store");
  // Two million targets of 17.6 bits are 4.4 MB; the estimate is of all, not of what was tried.
  EXPECT_NEAR(std::stod(note[0][2]), 4.5e6, 0.3e6);
  EXPECT_NE(note[0][3].find("--references always"), std::string::npos);
  EXPECT_EQ(value_of(database, "SELECT count(*) FROM diagnostic"), "2");  // the heap's own is there
}

TEST(StoreReferences, AllAreStoredOrNoneIfThatIsWanted) {
  const SyntheticHeap heap = tangled_heap();
  StoreOptions options = always();
  for (const unsigned jobs : {1U, 3U}) {
    options.jobs = jobs;
    Database database = open_or_die(":memory:", Mode::kWrite);
    ASSERT_TRUE(store(database, heap.snapshot, options));
    EXPECT_EQ(value_of(database, "SELECT count(*) FROM reference"), "2000000");
    EXPECT_EQ(value_of(database, "SELECT count(*) FROM diagnostic WHERE stage = 'store'"), "0");
  }
  options.references = StoreReferences::kNever;
  Database database = open_or_die(":memory:", Mode::kWrite);
  ASSERT_TRUE(store(database, fixture().other.heap.snapshot, options));
  EXPECT_EQ(value_of(database, "SELECT count(*) FROM reference_block"), "0");
  EXPECT_EQ(value_of(database, "SELECT message FROM diagnostic WHERE stage = 'store'"),
            "references are not stored: not wanted");
}

TEST(StoreReferences, AGraphThatContradictsTheChunksIsStoredByNobody) {
  SyntheticHeap heap = testing::make_varied_heap(100);
  auto rows = testing::make_references(heap, 10);
  rows[3].target = static_cast<uint32_t>(heap.expected.size());
  testing::set_references(heap.snapshot, rows);
  Database database = open_or_die(":memory:", Mode::kWrite);
  EXPECT_FALSE(store(database, heap.snapshot));
  EXPECT_EQ(value_of(database, "SELECT count(*) FROM snapshot"), "0");
  EXPECT_FALSE(attach_live(database, heap.snapshot));
}

}  // namespace
}  // namespace residue
