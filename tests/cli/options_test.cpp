#include "cli/options.h"

#include <gtest/gtest.h>

#include <vector>

namespace residue {
namespace {

Result<Options> parse(std::vector<const char*> words) {
  words.insert(words.begin(), "residue");
  return parse_options(static_cast<int>(words.size()), words.data());
}

TEST(Options, MayStandBeforeAndAfterTheCommand) {
  const auto before = parse({"--format", "json", "info", "core"});
  const auto after = parse({"info", "core", "--format", "json"});
  ASSERT_TRUE(before);
  ASSERT_TRUE(after);
  EXPECT_EQ(before->format, OutputFormat::kJson);
  EXPECT_EQ(after->format, OutputFormat::kJson);
  EXPECT_EQ(after->command, "info");
  EXPECT_EQ(after->arguments, std::vector<std::string>{"core"});
}

TEST(Options, RepeatedSymbolDirectoriesKeepTheirOrder) {
  const auto options = parse({"info", "core", "--symbols", "a", "--symbols", "b"});
  ASSERT_TRUE(options);
  EXPECT_EQ(options->search.symbols, (std::vector<std::string>{"a", "b"}));
}

TEST(Options, SuppressionFilesAddUp) {
  const auto options = parse({"--suppressions", "a", "leaks", "core", "--suppressions", "b"});
  ASSERT_TRUE(options);
  EXPECT_EQ(options->suppressions, (std::vector<std::string>{"a", "b"}));
  EXPECT_TRUE(options->embedded_suppressions);
  const auto without = parse({"leaks", "core", "--no-embedded-suppressions"});
  ASSERT_TRUE(without);
  EXPECT_TRUE(without->suppressions.empty());
  EXPECT_FALSE(without->embedded_suppressions);
}

TEST(Options, StacksTakeAThreadAndALimit) {
  const auto options = parse({"--jobs", "3", "stacks", "core", "--tid", "71", "--limit", "0"});
  ASSERT_TRUE(options);
  EXPECT_EQ(options->command, "stacks");
  EXPECT_EQ(options->tid, 71U);
  EXPECT_EQ(options->limit, 0);
  EXPECT_EQ(options->jobs, 3U);
}

TEST(Options, GatesAddUp) {
  const auto options = parse({"leaks", "core", "--fail-on", "leaked_bytes > 0", "--fail-on",
                              "growth(type) > 1MB", "--baseline", "monday"});
  ASSERT_TRUE(options);
  ASSERT_EQ(options->gates.size(), 2U);
  EXPECT_EQ(options->gates[1].text, "growth(type) > 1MB");
  EXPECT_EQ(options->baseline, "monday");
}

TEST(Options, CompletionKnowsCommandsAndOptions) {
  const std::string script = completion_script();
  for (const char* word :
       {"analyze", "stacks", "--symbols", "--tid", "--format", "tsv", "--suppressions", "--fail-on",
        "--baseline", "sarif", "junit", "leaked_bytes", "new_leaks"}) {
    EXPECT_NE(script.find(word), std::string::npos) << word;
  }
}

TEST(Options, AbbreviationsAreRefused) {
  const auto options = parse({"info", "core", "--form", "json"});
  ASSERT_FALSE(options);
  EXPECT_EQ(options.error().code, ErrorCode::kUsage);
}

TEST(Options, WrongUsageIsAnError) {
  for (const std::vector<const char*>& words : std::vector<std::vector<const char*>>{
           {},
           {"nonsense"},
           {"info"},
           {"info", "a", "b"},
           {"explain", "core"},
           {"analyze"},
           {"analyze", "a", "--format", "xml"},
           {"analyze", "a", "--limit", "-1"},
           {"analyze", "a", "--limit", "many"},
           {"analyze", "a", "b", "--db", "d", "--label", "one"},
           {"analyze", "a", "--label", "no database"},
           {"info", "core", "--db", "x"},
           {"info", "core", "--tid", "1"},
           {"stacks", "core", "--tid", "main"},
           {"stacks"},
           {"info", "core", "--fail-on", "leaked_bytes > 0"},
           {"info", "core", "--format", "sarif"},
           {"query", "core", "SELECT 1", "--format", "junit"},
           {"query", "core", "SELECT 1", "--fail-on", "damage > 0"},
           {"leaks", "core", "--fail-on", "rows > 0"},
           {"leaks", "core", "--fail-on", "rubbish > 0"},
           {"diff", "db", "1", "2", "--baseline", "1"},
           {"info", "core", "--unknown"}}) {
    const auto options = parse(words);
    ASSERT_FALSE(options) << (words.empty() ? "(nothing)" : words.back());
    EXPECT_EQ(options.error().code, ErrorCode::kUsage);
  }
}

TEST(Options, HelpOfACommandIsAskedForInTwoWays) {
  const auto by_option = parse({"diff", "--help"});
  const auto by_command = parse({"help", "diff"});
  ASSERT_TRUE(by_option);
  ASSERT_TRUE(by_command);
  EXPECT_EQ(by_option->command, "help");
  EXPECT_EQ(by_option->arguments, by_command->arguments);
}

TEST(Options, EveryCommandHasAHelpText) {
  for (const char* name :
       {"analyze", "info", "stacks", "leaks", "explain", "diff", "query", "completion"}) {
    const auto text = help_text(name);
    ASSERT_TRUE(text) << name;
    EXPECT_NE(text->find(std::string("residue ") + name), std::string::npos);
    EXPECT_NE(help_text("")->find(std::string("residue ") + name), std::string::npos);
  }
  EXPECT_FALSE(help_text("nonsense"));
}

}  // namespace
}  // namespace residue
