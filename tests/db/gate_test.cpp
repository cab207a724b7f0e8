// The grammar of gates' rules: what is one, what it means, and where a wrong one goes wrong.
#include "db/gate.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace residue {
namespace {

using enum GateOperator;

GateRule parsed(const std::string& text) {
  auto rule = parse_gate_rule(text);
  EXPECT_TRUE(rule) << text << ": " << (rule ? "" : to_string(rule.error()));
  return rule ? *rule : GateRule();
}

// The only condition of a rule.
GateCondition only(const std::string& text) {
  const GateRule rule = parsed(text);
  EXPECT_EQ(rule.any_of.size(), 1U) << text;
  if (rule.any_of.empty() || rule.any_of[0].size() != 1) return {};
  return rule.any_of[0][0];
}

TEST(GateRule, ExamplesOfTheManualMeanWhatTheySay) {
  struct Example {
    const char* text;
    const char* metric;
    const char* dimension;
    GateOperator op;
    double value;
    bool percent;
  };
  for (const Example& e : std::vector<Example>{
           {"leaked_bytes > 0", "leaked_bytes", "", kGreater, 0, false},
           {"growth(type) > 1MB", "growth", "type", kGreater, 1e6, false},
           {"growth > 5 %", "growth", "", kGreater, 5, true},
           {"growth(type)>=2.5MiB", "growth", "type", kAtLeast, 2.5 * 1048576, false},
           {"leaked_count<=7", "leaked_count", "", kAtMost, 7, false},
           {"  corruption!=0  ", "corruption", "", kNotEqual, 0, false},
           {"rows = 12", "rows", "", kEqual, 12, false},
           {"growth < -1kB", "growth", "", kLess, -1000, false},
           {"free_bytes ( heap ) > 1 GiB", "free_bytes", "heap", kGreater, 1073741824, false},
           {"used_bytes > 3KB", "used_bytes", "", kGreater, 3000, false},
           {"used_bytes > 3KiB", "used_bytes", "", kGreater, 3072, false},
           {"used_bytes > 1TB", "used_bytes", "", kGreater, 1e12, false},
           {"used_bytes > 1TiB", "used_bytes", "", kGreater, 1099511627776.0, false},
           {"used_bytes > 17 B", "used_bytes", "", kGreater, 17, false},
           {"slope(type) > 1MB/h", "slope", "type", kGreater, 1e6, false},
           {"slope(type) > 1MB / d", "slope", "type", kGreater, 1e6 / 24, false},
           {"slope(owner) > 2kB/min", "slope", "owner", kGreater, 120000, false},
           {"slope(owner) > 3/s", "slope", "owner", kGreater, 10800, false},
           {"slope(type) > 0", "slope", "type", kGreater, 0, false},
           {"leaked_slope > 1kB/h", "leaked_slope", "", kGreater, 1000, false}}) {
    const GateCondition c = only(e.text);
    ASSERT_NE(c.metric, nullptr) << e.text;
    EXPECT_STREQ(c.metric->name, e.metric) << e.text;
    EXPECT_EQ(c.dimension, e.dimension) << e.text;
    EXPECT_EQ(c.op, e.op) << e.text;
    EXPECT_DOUBLE_EQ(c.value, e.value) << e.text;
    EXPECT_EQ(c.percent, e.percent) << e.text;
    EXPECT_FALSE(c.key) << e.text;
  }
}

TEST(GateRule, KeysStandInQuotationMarksOfEitherKind) {
  EXPECT_EQ(only("growth(type = 'app::Session') > 1").key, "app::Session");
  EXPECT_EQ(only("growth(type, \"app::Session\") > 1").key, "app::Session");
  EXPECT_EQ(only("growth(type='it''s (a) \"type\"') > 1").key, "it's (a) \"type\"");
  EXPECT_EQ(only("growth(type=\"a\"\"b'c\") > 1").key, "a\"b'c");
  EXPECT_EQ(only("growth(type='') > 1").key, "");
}

TEST(GateRule, AndBindsTighterThanOr) {
  const GateRule rule =
      parsed("leaked_bytes > 0 or growth(type) > 10% and growth(type) > 1MB or corruption > 0");
  ASSERT_EQ(rule.any_of.size(), 3U);
  EXPECT_EQ(rule.any_of[0].size(), 1U);
  EXPECT_EQ(rule.any_of[1].size(), 2U);
  EXPECT_EQ(rule.any_of[2].size(), 1U);
  EXPECT_TRUE(rule.needs_baseline());
  EXPECT_TRUE(rule.has(GateTopic::kCorruption));
  EXPECT_FALSE(rule.has(GateTopic::kDamage));
  EXPECT_TRUE(rule.names("growth"));
  EXPECT_FALSE(rule.names("rows"));
  EXPECT_FALSE(parsed("leaked_bytes > 0").needs_baseline());
  EXPECT_TRUE(parsed("new_leaks > 0").needs_baseline());
}

TEST(GateRule, WrongOnesSayAtWhichCharacter) {
  struct Wrong {
    const char* text;
    int character;
    const char* reason;
  };
  for (const Wrong& w :
       std::vector<Wrong>{{"", 1, "expected a metric"},
                          {"   ", 4, "expected a metric"},
                          {"> 0", 1, "expected a metric"},
                          {"leaks > 0", 1, "unknown metric 'leaks'"},
                          {"Leaked_bytes > 0", 1, "unknown metric 'Leaked_bytes'"},
                          {"leaked_bytes", 13, "expected one of >"},
                          {"leaked_bytes 0", 14, "expected one of >"},
                          {"leaked_bytes == 0", 15, "expected a number"},
                          {"leaked_bytes > ", 16, "expected a number"},
                          {"leaked_bytes > many", 16, "expected a number"},
                          {"leaked_bytes > 0x10", 17, "unknown unit 'x'"},
                          {"leaked_bytes > 1.", 16, "expected a number"},
                          {"leaked_bytes > .5", 16, "expected a number"},
                          {"leaked_bytes > 1e6", 17, "unknown unit 'e'"},
                          {"leaked_bytes > -1", 16, "never negative"},
                          {"leaked_bytes > 1 mb", 18, "unknown unit 'mb'"},
                          {"leaked_bytes > 10%", 18, "no growth"},
                          {"leaked_bytes > 1MB/h", 19, "no slope"},
                          {"leaked_count > 1MB", 17, "counts"},
                          {"growth(type) > 1 1", 18, "expected 'and', 'or'"},
                          {"growth(tpye) > 1", 8, "unknown dimension 'tpye'"},
                          {"growth() > 1", 8, "unknown dimension ''"},
                          {"growth(type > 1", 13, "expected ')'"},
                          {"growth(type=Session) > 1", 13, "quotation marks"},
                          {"growth(type='Session) > 1", 13, "never closed"},
                          {"corruption(type) > 1", 11, "no dimensions"},
                          {"free_bytes(type) > 1", 12, "no dimension but heap"},
                          {"slope > 1B", 11, "/h"},
                          {"slope(type) > 1MB", 18, "/h"},
                          {"slope(type) > 1MB/y", 19, "/h"},
                          {"leaked_bytes > 0 and", 21, "expected a metric"},
                          {"leaked_bytes > 0 or", 20, "expected a metric"},
                          {"leaked_bytes > 0 xor rows > 1", 18, "unknown unit 'xor'"},
                          {"leaked_bytes > 0, rows > 1", 17, "expected 'and', 'or'"},
                          {"leaked_bytes > 99999999999999999999", 16, "too long"},
                          {"leaked_bytes \xff > 0", 14, "expected one of >"}}) {
    const auto rule = parse_gate_rule(w.text);
    ASSERT_FALSE(rule) << w.text;
    EXPECT_EQ(rule.error().code, ErrorCode::kUsage) << w.text;
    const std::string& message = rule.error().message;
    EXPECT_NE(message.find("at character " + std::to_string(w.character) + ":"), std::string::npos)
        << message;
    EXPECT_NE(message.find(w.reason), std::string::npos) << message;
  }
}

TEST(GateRule, EveryBeginningOfARuleIsSurvived) {
  const std::string rule =
      "growth(type = 'it''s') >= 1.5MiB and slope(owner,\"x\") < -2kB/min or rows != 3";
  for (size_t length = 0; length < rule.size(); ++length) {
    const auto part = parse_gate_rule(rule.substr(0, length));
    if (part) continue;  // some beginnings are rules themselves
    EXPECT_EQ(part.error().code, ErrorCode::kUsage);
  }
  std::string many = "rows > 1";
  for (int i = 0; i < 10000; ++i) many += " or rows > 1";
  EXPECT_FALSE(parse_gate_rule(many));
}

}  // namespace
}  // namespace residue
