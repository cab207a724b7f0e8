// Suppression files: what a line means, what a pattern matches, and any damage survived.
#include "analyzer/suppressions.h"

#include <gtest/gtest.h>

#include <random>

namespace residue {
namespace {

SuppressionList parse(std::string_view text) {
  SuppressionList list;
  parse_suppressions(text, "file", &list);
  return list;
}

struct Matched {
  const char* pattern;
  const char* text;
  bool expected;
};

// The answers are those of TemplateMatch() of LLVM 19's runtime; fuzz_suppressions asks it again.
TEST(Suppressions, PatternsMatchAsInLeakSanitizer) {
  for (const Matched& c :
       std::initializer_list<Matched>{{"foobar", "foobar", true},
                                      {"foobar", "prefix_foobar_postfix", true},
                                      {"*foobar*", "foobar", true},
                                      {"foo*bar", "foo_middle_bar", true},
                                      {"foo*bar", "foobar", true},
                                      {"foo*bar", "bar_foo", false},
                                      {"foo*bar*baz", "foo_middle_bar_another_baz", true},
                                      {"foo*bar*baz", "foobaz", false},
                                      {"foo", "fo", false},
                                      {"Foo", "foo", false},
                                      {"^foo", "foobar", true},
                                      {"^foo", "a foo", false},
                                      {"^*foo", "a foo", true},
                                      {"^foo*bar", "foo bar baz", true},
                                      {"foo$", "a foo", true},
                                      {"foo$", "foo bar", false},
                                      {"^foo$", "foo", true},
                                      {"^foo$", "foo ", false},
                                      {"foo*$", "foo bar", true},
                                      {"foo$bar", "foo", true},  // nothing behind $ is looked at
                                      {"b$", "abab", false},     // the first place counts
                                      {"*b$", "abab", false},
                                      {"a*b$", "ab b", false},
                                      {"a^b", "a^b", true},
                                      {"^", "x", true},
                                      {"*", "x", true},
                                      {"a*", "a", true},
                                      {"a*b", "a", false},
                                      {"**a**", "a", true},
                                      {"$", "x", false},
                                      {"*$", "x", true},
                                      {"foo", "", false},
                                      {"*", "", false},
                                      {"", "", false}}) {
    EXPECT_EQ(matches_template(c.pattern, c.text), c.expected) << c.pattern << " on " << c.text;
  }
}

TEST(Suppressions, LinesAreRulesInTheirOrder) {
  const SuppressionList list = parse(
      "# a comment\n"
      "\n"
      "leak:Foo::bar\r\n"
      "  \tleak-type:^app::Session$ \t\n"
      "   # another\n"
      "leak-module:libfoo.so\n"
      "leak-owner:cache\n"
      "leak-site:make_*_node\n"
      "leak-size:4096");
  EXPECT_TRUE(list.problems.empty());
  EXPECT_TRUE(list.notes.empty());
  ASSERT_EQ(list.rules.size(), 6U);
  EXPECT_EQ(list.rules[0].kind, SuppressionKind::kLeak);
  EXPECT_EQ(list.rules[0].pattern, "Foo::bar");
  EXPECT_EQ(list.rules[0].line, 3U);
  EXPECT_EQ(list.rules[0].file, "file");
  EXPECT_EQ(list.rules[1].kind, SuppressionKind::kType);
  EXPECT_EQ(list.rules[1].pattern, "^app::Session$");
  EXPECT_EQ(list.rules[1].line, 4U);
  EXPECT_EQ(list.rules[2].kind, SuppressionKind::kModule);
  EXPECT_EQ(list.rules[3].kind, SuppressionKind::kOwner);
  EXPECT_EQ(list.rules[4].kind, SuppressionKind::kSite);
  EXPECT_EQ(list.rules[5].kind, SuppressionKind::kSize);
  EXPECT_EQ(list.rules[5].least, 4096U);
  EXPECT_EQ(list.rules[5].line, 9U);
}

// As LeakSanitizer: only a line that begins with it is a comment, and blanks belong to a pattern.
TEST(Suppressions, PatternsKeepBlanksAndHashes) {
  const SuppressionList list = parse("leak: operator new # really\n");
  ASSERT_EQ(list.rules.size(), 1U);
  EXPECT_EQ(list.rules[0].pattern, " operator new # really");
}

TEST(Suppressions, SizesAreOneARangeOrOpen) {
  const SuppressionList list = parse("leak-size:24\nleak-size:100-200\nleak-size:4096-\n");
  ASSERT_EQ(list.rules.size(), 3U);
  const auto hidden = [&list](uint64_t size) {
    LeakFacts facts;
    facts.size = size;
    std::string which;
    for (const SuppressionRule& rule : list.rules) which += matches(rule, facts) ? '1' : '0';
    return which;
  };
  EXPECT_EQ(hidden(23), "000");
  EXPECT_EQ(hidden(24), "100");
  EXPECT_EQ(hidden(99), "000");
  EXPECT_EQ(hidden(100), "010");
  EXPECT_EQ(hidden(200), "010");
  EXPECT_EQ(hidden(201), "000");
  EXPECT_EQ(hidden(4095), "000");
  EXPECT_EQ(hidden(4096), "001");
  EXPECT_EQ(hidden(~uint64_t{0}), "001");
}

TEST(Suppressions, OtherSanitizersKindsAreNotedAndIgnored) {
  const SuppressionList list = parse("race:foo\nleak:bar\ninterceptor_via_fun:qux\n");
  EXPECT_TRUE(list.problems.empty());
  ASSERT_EQ(list.rules.size(), 1U);
  ASSERT_EQ(list.notes.size(), 2U);
  EXPECT_EQ(list.notes[0], "file:1: 'race' is not about leaks: ignored");
  EXPECT_EQ(list.notes[1], "file:3: 'interceptor_via_fun' is not about leaks: ignored");
}

TEST(Suppressions, EachKindLooksAtItsOwnFacts) {
  LeakFacts facts;
  facts.type = "TYPE";
  facts.module = "MODULE";
  facts.module_path = "/lib/MODULE";
  facts.function = "FUNCTION";
  facts.file = "FILE";
  facts.site_module = "CALLER";
  facts.site_module_path = "/bin/CALLER";
  facts.owner = "OWNER";
  const auto matching = [&facts](const std::string& kind) {
    std::string names;
    for (const char* name : {"TYPE", "^MODULE", "^/lib/MODULE", "FUNCTION", "FILE", "^CALLER",
                             "^/bin/CALLER", "OWNER"}) {
      const SuppressionList list = parse(kind + ":" + name + "$");
      EXPECT_EQ(list.rules.size(), 1U);
      if (matches(list.rules[0], facts)) names.append(name).append(" ");
    }
    return names;
  };
  EXPECT_EQ(matching("leak"), "TYPE ^MODULE ^/lib/MODULE FUNCTION FILE ^CALLER ^/bin/CALLER ");
  EXPECT_EQ(matching("leak-type"), "TYPE ");
  EXPECT_EQ(matching("leak-module"), "^MODULE ^/lib/MODULE ^CALLER ^/bin/CALLER ");
  EXPECT_EQ(matching("leak-site"), "FUNCTION FILE ");
  EXPECT_EQ(matching("leak-owner"), "OWNER ");
}

TEST(Suppressions, WhatNothingIsKnownOfOnlyAWildcardMatches) {
  EXPECT_TRUE(matches(parse("leak:*").rules[0], {}));
  EXPECT_TRUE(matches(parse("leak:^<unknown module>$").rules[0], {}));
  EXPECT_FALSE(matches(parse("leak:foo").rules[0], {}));
  EXPECT_FALSE(matches(parse("leak-type:*").rules[0], {}));
  EXPECT_FALSE(matches(parse("leak-module:*").rules[0], {}));
}

struct Damaged {
  const char* line;
  const char* says;
};

TEST(Suppressions, MalformedLinesAreNamed) {
  for (const Damaged& c :
       std::initializer_list<Damaged>{{"foo", "not of the form KIND:PATTERN"},
                                      {"leak", "not of the form KIND:PATTERN"},
                                      {"{", "Valgrind's syntax"},
                                      {"leek:foo", "unknown kind 'leek'"},
                                      {"Leak:foo", "unknown kind 'Leak'"},
                                      {"leak :foo", "unknown kind 'leak '"},
                                      {":foo", "unknown kind ''"},
                                      {"service::Session", "unknown kind 'service'"},
                                      {"leak:", "an empty pattern"},
                                      {"leak:  ", "an empty pattern"},
                                      {"leak:^$", "an empty pattern"},
                                      {"leak-type:", "an empty pattern"},
                                      {"leak-size:", "an empty pattern"},
                                      {"leak-size:big", "is no size"},
                                      {"leak-size:-5", "is no size"},
                                      {"leak-size:9-5", "is no size"},
                                      {"leak-size:5-6-7", "is no size"},
                                      {"leak-size:1k", "is no size"},
                                      {"leak-size:99999999999999999999", "is no size"},
                                      {"leak:a\x01", "no text"},
                                      {"\x7f"
                                       "ELF",
                                       "no text"}}) {
    const SuppressionList list = parse(std::string("leak:fine\n") + c.line + "\nleak:fine too\n");
    ASSERT_EQ(list.problems.size(), 1U) << c.line;
    EXPECT_EQ(list.problems[0].rfind("file:2: ", 0), 0U) << list.problems[0];
    EXPECT_NE(list.problems[0].find(c.says), std::string::npos) << list.problems[0];
    EXPECT_EQ(list.rules.size(), 2U) << "the lines around it count";
  }
}

TEST(Suppressions, ANulByteIsNoText) {
  const SuppressionList list = parse(std::string_view("leak:a\0b\n", 9));
  EXPECT_EQ(list.problems.size(), 1U);
}

TEST(Suppressions, HugeFilesAreBounded) {
  std::string text;
  for (size_t i = 0; i < SuppressionList::kMaxRules + 100; ++i) text += "leak:a\n";
  SuppressionList list = parse(text);
  EXPECT_EQ(list.rules.size(), SuppressionList::kMaxRules);
  ASSERT_EQ(list.problems.size(), 1U);
  EXPECT_EQ(list.problems[0], "file:10001: too many suppressions");

  list = parse("leak:" + std::string(SuppressionList::kMaxLine, 'a'));
  EXPECT_TRUE(list.rules.empty());
  EXPECT_EQ(list.problems.size(), 1U);

  list = parse(std::string(SuppressionList::kMaxBytes + 1, '\n'));
  EXPECT_EQ(list.problems.size(), 1U);

  text.clear();
  for (size_t i = 0; i < 100000; ++i) text += "nonsense\n";
  EXPECT_EQ(parse(text).problems.size(), SuppressionList::kMaxMessages);
}

TEST(Suppressions, EveryCutOfAFileIsSurvived) {
  const std::string text = "# c\nleak:a*b$\n\n leak-size:1-20\nrace:x\nleak-owner:^g\n";
  for (size_t cut = 0; cut <= text.size(); ++cut) {
    const SuppressionList list = parse(std::string_view(text).substr(0, cut));
    EXPECT_LE(list.rules.size(), 3U);
    EXPECT_LE(list.problems.size(), 1U);
  }
}

TEST(Suppressions, NoisyBytesAreSurvived) {
  std::mt19937 random(7);
  for (int round = 0; round < 2000; ++round) {
    std::string text = "leak:abc\nleak-size:1-2\nleak-type:^x*y$\n";
    for (int i = 0; i < 4; ++i) text[random() % text.size()] = static_cast<char>(random());
    const SuppressionList list = parse(text);
    EXPECT_LE(list.rules.size(), 7U);
  }
}

TEST(Suppressions, AFileThatIsNotThereIsWrongUsage) {
  const auto list = read_suppressions({"/nonexistent/suppressions"});
  ASSERT_FALSE(list);
  EXPECT_EQ(list.error().code, ErrorCode::kUsage);
  EXPECT_NE(list.error().message.find("/nonexistent/suppressions"), std::string::npos);
}

}  // namespace
}  // namespace residue
