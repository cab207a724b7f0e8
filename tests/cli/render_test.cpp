// Rendering: four formats, addresses by name, and text from dumps that cannot do harm.
#include "cli/render.h"

#include <gtest/gtest.h>

#include <limits>
#include <sstream>
#include <vector>

namespace residue {
namespace {

using std::string_view_literals::operator""sv;

std::string render(OutputFormat format, const std::vector<std::string>& columns,
                   const std::vector<std::vector<Cell>>& rows) {
  std::ostringstream out;
  Renderer renderer(out, format);
  renderer.begin(columns);
  for (const auto& row : rows) EXPECT_TRUE(renderer.row(row));
  renderer.end();
  return out.str();
}

const std::vector<std::string> kColumns = {"name", "bytes", "address"};
const std::vector<std::vector<Cell>> kRows = {{"Session"sv, int64_t{1200}, int64_t{0x7f00}},
                                              {std::monostate{}, int64_t{7}, int64_t{-16}}};

TEST(Render, Table) {
  EXPECT_EQ(render(OutputFormat::kTable, kColumns, kRows),
            "name     bytes             address\n"
            "-------  -----  ------------------\n"
            "Session   1200              0x7f00\n"
            "             7  0xfffffffffffffff0\n");
}

TEST(Render, Json) {
  EXPECT_EQ(render(OutputFormat::kJson, kColumns, kRows),
            "[\n"
            "{\"name\": \"Session\", \"bytes\": 1200, \"address\": \"0x7f00\"},\n"
            "{\"name\": null, \"bytes\": 7, \"address\": \"0xfffffffffffffff0\"}\n"
            "]\n");
}

TEST(Render, Csv) {
  EXPECT_EQ(render(OutputFormat::kCsv, kColumns, kRows),
            "name,bytes,address\n"
            "Session,1200,32512\n"
            ",7,-16\n");
}

TEST(Render, Tsv) {
  EXPECT_EQ(render(OutputFormat::kTsv, kColumns, kRows),
            "name\tbytes\taddress\n"
            "Session\t1200\t32512\n"
            "\t7\t-16\n");
}

TEST(Render, EmptyResults) {
  EXPECT_EQ(render(OutputFormat::kTable, {"a", "bc"}, {}), "a  bc\n-  --\n");
  EXPECT_EQ(render(OutputFormat::kJson, {"a", "bc"}, {}), "[]\n");
  EXPECT_EQ(render(OutputFormat::kCsv, {"a", "bc"}, {}), "a,bc\n");
  EXPECT_EQ(render(OutputFormat::kTsv, {"a", "bc"}, {}), "a\tbc\n");
}

TEST(Render, AddressColumnsAreKnownByName) {
  for (const char* name :
       {"address", "base", "start", "head", "pc", "fault_address", "x_address"}) {
    EXPECT_EQ(render(OutputFormat::kJson, {name}, {{int64_t{255}}}),
              "[\n{\"" + std::string(name) + "\": \"0xff\"}\n]\n");
  }
  for (const char* name : {"size", "addresses", "address_count", "baseline"}) {
    EXPECT_EQ(render(OutputFormat::kJson, {name}, {{int64_t{255}}}),
              "[\n{\"" + std::string(name) + "\": 255}\n]\n");
  }
}

TEST(Render, TableCutsLongTextsByCharacters) {
  std::string umlauts;
  for (int i = 0; i < 101; ++i) umlauts += "ä";
  const std::string table = render(OutputFormat::kTable, {"t"}, {{std::string_view(umlauts)}});
  std::string shown = umlauts.substr(0, 198);
  shown += "…\n";
  EXPECT_TRUE(table.ends_with(shown)) << table;
  // Exactly as long as allowed: left alone. And the other formats never cut.
  const std::string hundred = umlauts.substr(0, 200);
  EXPECT_NE(render(OutputFormat::kTable, {"t"}, {{std::string_view(hundred)}}).find(hundred),
            std::string::npos);
  const std::string csv = render(OutputFormat::kCsv, {"t"}, {{std::string_view(umlauts)}});
  EXPECT_EQ(csv.substr(2, umlauts.size()), umlauts);
}

TEST(Render, TableAlignsCharactersNotBytes) {
  EXPECT_EQ(render(OutputFormat::kTable, {"a", "b"}, {{"ä"sv, "x"sv}, {"ab"sv, "y"sv}}),
            "a   b\n--  -\nä   x\nab  y\n");
}

TEST(Render, TableIsHarmlessToATerminal) {
  const std::string table =
      render(OutputFormat::kTable, {"t\x1b[1m"}, {{"\x1b[31mred\r\nx\xc2\x9b\xff"sv}});
  for (const char c : table) EXPECT_TRUE(c == '\n' || static_cast<unsigned char>(c) >= 0x20);
  EXPECT_EQ(table.find("\xc2\x9b"), std::string::npos);
  EXPECT_NE(table.find(".[31mred..x.?"), std::string::npos) << table;
}

TEST(Render, JsonEscapes) {
  EXPECT_EQ(render(OutputFormat::kJson, {"a\"b"}, {{"q\" b\\ n\n t\t r\r z\0 d\x7f"sv}}),
            "[\n{\"a\\\"b\": \"q\\\" b\\\\ n\\n t\\t r\\u000d z\\u0000 d\\u007f\"}\n]\n");
}

TEST(Render, JsonIsValidUtf8WhateverTheText) {
  const auto one = [](std::string_view text) {
    const std::string json = render(OutputFormat::kJson, {"t"}, {{text}});
    return json.substr(9, json.size() - 9 - 5);  // between [\n{"t": " and "}\n]\n
  };
  EXPECT_EQ(one("ä€😀"), "ä€😀");
  EXPECT_EQ(one("\xff"), "\xef\xbf\xbd");
  EXPECT_EQ(one("a\xc3"), "a\xef\xbf\xbd");                                // cut
  EXPECT_EQ(one("\xc0\x80"), "\xef\xbf\xbd\xef\xbf\xbd");                  // overlong
  EXPECT_EQ(one("\xed\xa0\x80"), "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");  // surrogate
  EXPECT_EQ(one("\xf4\x90\x80\x80"), "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
  EXPECT_EQ(one("\xc2\x9b"), "\\u009b");  // a C1 control steers terminals
  EXPECT_EQ(one("\xc2\x80\x80"), "\\u0080\xef\xbf\xbd");
}

TEST(Render, CsvQuotes) {
  EXPECT_EQ(
      render(OutputFormat::kCsv, {"a,b"}, {{"x,y"sv}, {"say \"hi\""sv}, {"l1\nl2"sv}, {""sv}}),
      "\"a,b\"\n\"x,y\"\n\"say \"\"hi\"\"\"\n\"l1\nl2\"\n\"\"\n");
}

TEST(Render, TsvEscapes) {
  EXPECT_EQ(render(OutputFormat::kTsv, {"a\tb"}, {{"x\ty\nz\\ \r"sv}}),
            "a\\tb\nx\\ty\\nz\\\\ \\r\n");
}

TEST(Render, Reals) {
  const auto one = [](OutputFormat format, double value) {
    return render(format, {"r"}, {{value}});
  };
  EXPECT_EQ(one(OutputFormat::kCsv, 0.1), "r\n0.1\n");
  EXPECT_EQ(one(OutputFormat::kCsv, 2), "r\n2.0\n");
  EXPECT_EQ(one(OutputFormat::kJson, std::numeric_limits<double>::infinity()),
            "[\n{\"r\": null}\n]\n");
}

TEST(Render, BlobsAreHexadecimal) {
  const std::vector<std::byte> bytes = {std::byte{0}, std::byte{255}};
  const Cell blob = std::span<const std::byte>(bytes);
  EXPECT_EQ(render(OutputFormat::kCsv, {"b"}, {{blob}}), "b\n00ff\n");
  EXPECT_EQ(render(OutputFormat::kJson, {"b"}, {{blob}}), "[\n{\"b\": \"00ff\"}\n]\n");
}

TEST(Render, ColumnsOfMixedTypesAreAlignedToTheLeft) {
  EXPECT_EQ(render(OutputFormat::kTable, {"key", "n"},
                   {{int64_t{5}, int64_t{1}}, {"abc"sv, int64_t{10}}}),
            "key   n\n---  --\n5     1\nabc  10\n");
}

TEST(Render, LongTablesGoOnWithTheFirstWidths) {
  std::ostringstream out;
  Renderer renderer(out, OutputFormat::kTable);
  const std::vector<std::string> columns = {"n", "t"};
  renderer.begin(columns);
  const std::vector<Cell> narrow = {int64_t{1}, "x"sv};
  for (int i = 0; i < 10000; ++i) ASSERT_TRUE(renderer.row(narrow));
  const std::vector<Cell> wide = {int64_t{12345}, "y"sv};
  ASSERT_TRUE(renderer.row(wide));
  renderer.end();
  const std::string text = out.str();
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 10003);
  EXPECT_TRUE(text.starts_with("n  t\n-  -\n1  x\n"));
  EXPECT_TRUE(text.ends_with("1  x\n12345  y\n"));
}

TEST(Render, SeveralResultsFollowEachOther) {
  for (const auto& [format, text] : std::vector<std::pair<OutputFormat, std::string>>{
           {OutputFormat::kTable, "a\n-\n1\n\nb\n-\n2\n"},
           {OutputFormat::kJson, "[\n{\"a\": 1}\n]\n[\n{\"b\": 2}\n]\n"},
           {OutputFormat::kCsv, "a\n1\nb\n2\n"}}) {
    std::ostringstream out;
    Renderer renderer(out, format);
    for (const auto& [name, value] : {std::pair("a", 1), std::pair("b", 2)}) {
      const std::vector<std::string> columns = {name};
      const std::vector<Cell> row = {int64_t{value}};
      renderer.begin(columns);
      renderer.row(row);
      renderer.end();
    }
    EXPECT_EQ(out.str(), text);
  }
}

TEST(Render, StopsWhenTheStreamFails) {
  std::ostringstream out;
  Renderer renderer(out, OutputFormat::kCsv);
  const std::vector<std::string> columns = {"a"};
  renderer.begin(columns);
  out.setstate(std::ios::badbit);
  const std::vector<Cell> row = {int64_t{1}};
  int accepted = 0;
  while (renderer.row(row)) ASSERT_LT(++accepted, 1000000);
}

TEST(ParseOutputFormat, KnowsFourNames) {
  EXPECT_EQ(parse_output_format("table"), OutputFormat::kTable);
  EXPECT_EQ(parse_output_format("json"), OutputFormat::kJson);
  EXPECT_EQ(parse_output_format("csv"), OutputFormat::kCsv);
  EXPECT_EQ(parse_output_format("tsv"), OutputFormat::kTsv);
  EXPECT_EQ(parse_output_format("xml"), std::nullopt);
}

}  // namespace
}  // namespace residue
