// Rules judged over databases made by hand: every figure below is arithmetic on the rows beside it.
#include "db/gate_check.h"

#include <gtest/gtest.h>

#include <deque>
#include <string>
#include <vector>

#include "db/leak_identity.h"
#include "db/store.h"
#include "tests/db/support.h"

namespace residue {
namespace {

using testing::open_or_die;
using State = GateVerdict::State;

ClusterRow leak(const std::string& type, const std::string& shape, uint64_t count, uint64_t chunks,
                uint64_t bytes) {
  ClusterRow row;
  row.type = type;
  row.module = "app";
  row.shape = shape;
  row.count = count;
  row.chunks = chunks;
  row.bytes = bytes;
  row.verdict = "leaked";
  return row;
}

HeapRow heap(const std::string& name, uint64_t used, uint64_t free, bool verified) {
  HeapRow row;
  row.allocator = "glibc";
  row.name = name;
  row.used_count = used / 100;
  row.used_bytes = used;
  row.free_bytes = free;
  row.cached_bytes = 7;
  row.overhead_bytes = 11;
  row.mapped_bytes = used + free + 18;
  row.verified = verified;
  return row;
}

// Monday: 10000 bytes used, one kind of leak of 300 bytes. Tuesday: 15000 bytes used, that leak has
// doubled and another came; a third is suppressed; one heap of two does not balance.
Snapshot monday() {
  Snapshot s;
  s.info.source = "core.1";
  s.heaps = {heap("main_arena", 10000, 500, true)};
  s.clusters = {leak("Session", "{Session, 24 bytes of text}", 3, 6, 300)};
  s.usage = {{"type", "Session", 10, 1000, 3, 300},
             {"type", "Table", 1, 8000, 0, 0},
             {"type", "Gone", 1, 1000, 0, 0}};
  return s;
}

Snapshot tuesday() {
  Snapshot s;
  s.info.source = "core.2";
  s.heaps = {heap("main_arena", 14000, 100, true), heap("arena 1", 1000, 900, false)};
  s.clusters = {leak("Session", "{Session, 24-40 bytes of text}", 6, 12, 600),
                leak("", "{400 bytes}", 1, 1, 400), leak("Hidden", "{Hidden}", 9, 9, 9000)};
  s.clusters[2].suppression = 0;
  s.suppressions.push_back({"file", 1, "leak", "Hidden", 9, 9000, 9, 9000});
  s.usage = {{"type", "Session", 20, 2000, 6, 600},
             {"type", "Table", 1, 9500, 0, 0},
             {"type", "Hidden", 9, 9000, 0, 0},
             {"type", "(unknown)", 1, 400, 1, 400}};
  s.corruption.push_back({});
  s.diagnostics.add(Severity::kDamage, "elf-core", "0x10", 8, "cut");
  s.diagnostics.add(Severity::kWarning, "elf-core", "0x20", 8, "odd");
  s.suspects.push_back({});
  return s;
}

class GateCheck : public ::testing::Test {
 protected:
  GateCheck() : database_(open_or_die(":memory:", Database::Mode::kWrite)) {
    EXPECT_TRUE(store(database_, monday()));
    EXPECT_TRUE(store(database_, tuesday()));
    input_.current = {&database_, 2};
    input_.baseline = GateSide{&database_, 1};
  }

  Result<GateVerdict> check(const std::string& text) {
    auto rule = parse_gate_rule(text);
    if (!rule) return std::move(rule).error();
    rules_.push_back(std::move(*rule));
    return check_gate(rules_.back(), input_);
  }
  State state(const std::string& text) {
    const auto verdict = check(text);
    EXPECT_TRUE(verdict) << text << ": " << (verdict ? "" : to_string(verdict.error()));
    return verdict ? verdict->state : State::kKept;
  }
  std::string found(const std::string& text) {
    const auto verdict = check(text);
    if (!verdict) return "error: " + to_string(verdict.error());
    return verdict->state == State::kBreached ? gate_found_text(*verdict) : "kept";
  }

  Database database_;
  GateInput input_;
  std::deque<GateRule> rules_;  // verdicts refer to them
};

TEST_F(GateCheck, LevelsAreSumsOverTheSnapshot) {
  // A level is met exactly: neither more nor less.
  for (const auto& [metric, value] :
       std::vector<std::pair<std::string, int>>{{"leaked_bytes", 1000},
                                                {"leaked_count", 13},
                                                {"leaked_clusters", 7},
                                                {"leaked_shapes", 2},
                                                {"used_bytes", 15000},
                                                {"used_count", 150},
                                                {"free_bytes", 1000},
                                                {"cached_bytes", 14},
                                                {"overhead_bytes", 22},
                                                {"mapped_bytes", 16036},
                                                {"heaps", 2},
                                                {"unverified_heaps", 1},
                                                {"corruption", 1},
                                                {"damage", 1},
                                                {"suspects", 1}}) {
    const std::string text = std::to_string(value);
    EXPECT_EQ(state(metric + " = " + text), State::kBreached) << metric;
    EXPECT_EQ(state(metric + " != " + text), State::kKept) << metric;
    EXPECT_EQ(state(metric + " > " + text), State::kKept) << metric;
    EXPECT_EQ(state(metric + " >= " + text), State::kBreached) << metric;
    EXPECT_EQ(state(metric + " < " + text), State::kKept) << metric;
    EXPECT_EQ(state(metric + " <= " + text), State::kBreached) << metric;
  }
}

TEST_F(GateCheck, BreachesSayOfWhat) {
  EXPECT_EQ(found("leaked_bytes > 0"), "1000 B: {Session, 24-40 bytes of text}");
  EXPECT_EQ(found("used_bytes(type) > 5kB"), "9500 B: Table; 1 more");
  EXPECT_EQ(found("growth > 0"), "+5000 B");
  EXPECT_EQ(found("growth > 49%"), "+50.0 %");
  EXPECT_EQ(found("growth > 50%"), "kept");
  EXPECT_EQ(found("growth(type) > 0"), "+9000 B: Hidden; 3 more");
  EXPECT_EQ(found("growth(type) < 0"), "-1000 B: Gone");
  EXPECT_EQ(found("free_bytes(heap) > 500"), "900 B: arena 1");
  EXPECT_EQ(found("free_bytes(heap='main_arena') > 50"), "100 B: main_arena");
  EXPECT_EQ(found("damage > 0"), "1: elf-core: cut");
}

TEST_F(GateCheck, GrowthIsTheSnapshotLessTheBaseline) {
  EXPECT_EQ(found("growth(type='Session') = 1000"), "+1000 B: Session");
  EXPECT_EQ(found("growth(type='Session') = 100%"), "+100.0 %: Session");
  EXPECT_EQ(found("growth(type='Gone') = -100%"), "-100.0 %: Gone");
  EXPECT_EQ(found("growth(type='Hidden') > 1000000%"), "from nothing: Hidden");
  EXPECT_EQ(found("count_growth(type='Session') = 10"), "+10: Session");
  EXPECT_EQ(found("count_growth = 50"), "+50");
  EXPECT_EQ(found("leaked_growth = 700"), "+700 B: {Session, 24-40 bytes of text}");
  EXPECT_EQ(found("leaked_growth(type='Session') = 300"), "+300 B: Session");
  EXPECT_EQ(found("leaked_growth(type='Hidden') != 0"), "kept");
}

TEST_F(GateCheck, NewLeaksAreKindsThatTheBaselineHasNot) {
  EXPECT_EQ(found("new_leaks > 0"), "1: {400 bytes}");
  EXPECT_EQ(found("new_leaks > 1"), "kept");
  EXPECT_EQ(found("new_leaks(type) > 0"), "1: (unknown)");
  EXPECT_EQ(found("new_leaks(type='Session') > 0"), "kept");
}

TEST_F(GateCheck, ConditionsOfOneDimensionAskOfOneKey) {
  // Hidden grew most, from nothing; Table grew by 1500 bytes, which is 18.75 %.
  EXPECT_EQ(found("growth(type) > 1400 and growth(type) < 20%"),
            "+1500 B: Table and +18.8 %: Table");
  // Of each condition there is a key, but not the same one.
  EXPECT_EQ(state("growth(type) > 8kB"), State::kBreached);
  EXPECT_EQ(state("leaked_bytes(type) > 500"), State::kBreached);
  EXPECT_EQ(state("growth(type) > 8kB and leaked_bytes(type) > 500"), State::kKept);
  EXPECT_EQ(state("growth(type) > 8kB or leaked_bytes(type) > 500"), State::kBreached);
  EXPECT_EQ(state("leaked_bytes > 0 and corruption > 5"), State::kKept);
  EXPECT_EQ(found("leaked_bytes > 9000 or corruption > 5 or growth > 0"), "+5000 B");
}

TEST_F(GateCheck, WithoutABaselineGrowthIsNotJudged) {
  input_.baseline.reset();
  EXPECT_EQ(state("growth > 0"), State::kNotYet);
  EXPECT_EQ(state("new_leaks > 0"), State::kNotYet);
  EXPECT_EQ(state("growth > 0 or leaked_bytes > 0"), State::kBreached);
  EXPECT_EQ(state("growth > 0 or leaked_bytes > 1MB"), State::kNotYet);
  EXPECT_EQ(state("leaked_bytes > 1MB"), State::kKept);
}

TEST_F(GateCheck, ADimensionWithoutFiguresIsAnErrorRatherThanAPass) {
  const auto verdict = check("growth(site) > 1");
  ASSERT_FALSE(verdict);
  EXPECT_EQ(verdict.error().code, ErrorCode::kNotFound);
  EXPECT_NE(verdict.error().message.find("site"), std::string::npos);
  EXPECT_EQ(found("rows > 1"), "error: --fail-on 'rows > 1': rows are those of a query");
}

TEST_F(GateCheck, KeysThatNobodyHasAreNamed) {
  const auto verdict = check("growth(type='Sesion') > 1");
  ASSERT_TRUE(verdict);
  EXPECT_EQ(verdict->state, State::kKept);
  EXPECT_EQ(verdict->unknown_keys, std::vector<std::string>{"Sesion"});
  EXPECT_TRUE(check("growth(type='Session') > 1")->unknown_keys.empty());
}

TEST_F(GateCheck, TheBaselineMayBeOfAnotherDatabase) {
  Database other = open_or_die(":memory:", Database::Mode::kWrite);
  ASSERT_TRUE(store(other, monday()));
  input_.baseline = GateSide{&other, 1};
  EXPECT_EQ(found("growth(type='Session') = 1000"), "+1000 B: Session");
  EXPECT_EQ(found("growth = 5000"), "+5000 B");
}

TEST_F(GateCheck, GrowthByTypeIsWhatTheViewDiffSays) {
  const auto rows = testing::rows_of(
      database_,
      "SELECT key, bytes_delta FROM diff WHERE from_snapshot = 1 AND to_snapshot = 2 AND "
      "dimension = 'type'");
  ASSERT_EQ(rows.size(), 5U);
  for (const auto& row : rows) {
    EXPECT_EQ(state("growth(type='" + row[0] + "') = " + row[1]), State::kBreached) << row[0];
  }
}

std::string found_in(Database& database, int64_t current, int64_t baseline, const char* text) {
  const auto rule = parse_gate_rule(text);
  if (!rule) return to_string(rule.error());
  GateInput input;
  input.current = {&database, current};
  input.history = input.current;
  input.baseline = GateSide{&database, baseline};
  const auto verdict = check_gate(*rule, input);
  if (!verdict) return to_string(verdict.error());
  if (verdict->state == State::kNotYet) return std::string("missing: ") + verdict->missing;
  return verdict->state == State::kBreached ? gate_found_text(*verdict) : "kept";
}

TEST(GateCheckSlopes, AreThoseOfTheSnapshotsProcess) {
  Database database = open_or_die(":memory:", Database::Mode::kWrite);
  // One process gains 2000 bytes in each hour, another (the last) has a single snapshot.
  for (int hour = 0; hour < 4; ++hour) {
    Snapshot s;
    s.info.source = "core." + std::to_string(hour);
    s.info.process = hour < 3 ? "aa" : "bb";
    s.info.taken_at = "2024-05-06T0" + std::to_string(hour) + ":00:00Z";
    s.heaps = {heap("main_arena", 10000, 0, true)};
    s.usage = {{"type", "Session", 1, 1000 + 2000 * static_cast<uint64_t>(hour), 0, 0},
               {"type", "Table", 1, 5000, 0, 0}};
    ASSERT_TRUE(store(database, s));
  }
  EXPECT_EQ(found_in(database, 3, 1, "slope(type) > 1999 B/h"), "+2000 B/h: Session");
  EXPECT_EQ(found_in(database, 3, 1, "slope(type) > 2000 B/h"), "kept");
  EXPECT_EQ(found_in(database, 3, 1, "slope(type='Session') >= 48kB/d"), "+2000 B/h: Session");
  EXPECT_EQ(found_in(database, 3, 1, "slope(type='Table') > 0"), "kept");
  EXPECT_EQ(found_in(database, 3, 1, "leaked_slope(type) > 0"), "kept");
  EXPECT_EQ(found_in(database, 4, 4, "slope(type) > 0"), "missing: a second snapshot");
}

TEST(GateCheckNames, AddressesMeanNothingBetweenProcesses) {
  Database database = open_or_die(":memory:", Database::Mode::kWrite);
  for (int i = 0; i < 3; ++i) {
    Snapshot s;
    s.info.source = "core." + std::to_string(i);
    s.info.process = i < 2 ? "aa" : "bb";
    s.heaps = {heap("main_arena", 10000, 0, true)};
    s.usage = {{"heap", "arena 0x7f0" + std::to_string(i), 1, 4000, 0, 0}};
    ASSERT_TRUE(store(database, s));
  }
  EXPECT_EQ(found_in(database, 3, 1, "growth(heap) > 0"), "kept") << "another process";
  EXPECT_NE(found_in(database, 2, 1, "growth(heap) > 0"), "kept") << "another arena";
}

TEST(GateCheckRows, AreCountedByTheQuery) {
  Database database = open_or_die(":memory:", Database::Mode::kWrite);
  GateInput input;
  input.current = {&database, 0};
  input.rows = 3;
  const auto rule = parse_gate_rule("rows > 2");
  ASSERT_TRUE(rule);
  const auto verdict = check_gate(*rule, input);
  ASSERT_TRUE(verdict);
  EXPECT_EQ(gate_found_text(*verdict), "3");
}

TEST(LeakIdentity, IsBlindToWhatDiffersWithoutMeaning) {
  const auto id = [](const char* shape) { return leak_identity("T", "app", shape); };
  EXPECT_EQ(id("{T, 24-56 bytes of text}"), id("{T, 90 bytes}"));
  EXPECT_EQ(id("{T, 2 × 24 bytes, 40 bytes of text}"), id("{T, 3 × 16-40 bytes of text}"));
  EXPECT_EQ(id("{T, A, B}"), id("{T, B, A}"));
  EXPECT_EQ(id("{T, A}"), id("{T, A} sharing {3 × B}"));
  EXPECT_EQ(id("{4088 bytes of text}"), id("{4000 bytes of text}"));
}

TEST(LeakIdentity, TellsApartWhatIsDifferent) {
  const auto id = [](const char* shape) { return leak_identity("T", "app", shape); };
  EXPECT_NE(id("{T, A}"), id("{T, 2 × A}"));
  EXPECT_NE(id("{T, 24 bytes}"), id("{T, 2 × 24 bytes}"));
  EXPECT_NE(id("{T, M<A, B>}"), id("{T, M<A, C>}"));
  EXPECT_NE(id("{400 bytes}"), id("{416 bytes}"));
  EXPECT_NE(id("{40 bytes of text}"), id("{4000 bytes of text}"));
  EXPECT_NE(leak_identity("T", "app", "{T}"), leak_identity("T", "lib", "{T}"));
  EXPECT_NE(leak_identity("T", "app", "{T}"), leak_identity("U", "app", "{T}"));
}

TEST(LeakIdentity, SurvivesAnyShape) {
  for (const char* shape :
       {"", "{", "}", "{}", "{{{{", "}}}}", "{,,,}", "{a, b", "no braces",
        "{18446744073709551616 × T}", "{9 × 9 × 9 bytes}", "{operator<}",
        "{99999999999999999999 bytes}", "{18446744073709551615 bytes of text}"}) {
    EXPECT_EQ(leak_identity("", "", shape), leak_identity("", "", shape)) << shape;
  }
}

}  // namespace
}  // namespace residue
