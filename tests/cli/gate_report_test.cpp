// Reports of findings whose texts are whatever a dump held.
#include "cli/gate_report.h"

#include <gtest/gtest.h>

#include <sstream>
#include <string>

#include "cli/junit.h"

namespace residue {
namespace {

DumpReport dump_with(const std::string& text) {
  DumpReport dump;
  dump.source = "dir/" + text;
  dump.executable = text;
  Finding finding;
  finding.message = text;
  finding.type = text;
  finding.identity = text;
  finding.count = 1;
  dump.findings.push_back(finding);
  dump.diagnostics.push_back({"damage", text, text, text});
  return dump;
}

std::string written(const DumpReport& dump, OutputFormat format) {
  static const std::vector<GateRule> kNoRules;
  Report report;
  report.command = "analyze";
  report.rules = &kNoRules;
  report.dumps.push_back(dump);
  std::ostringstream out;
  write_report(report, format, out);
  return out.str();
}

std::string every_byte() {
  std::string text;
  for (int c = 0; c < 256; ++c) text += static_cast<char>(c);
  return text;
}

TEST(XmlText, ReplacesWhatXmlCannotHold) {
  EXPECT_EQ(xml_text("a<b>&\"c\""), "a&lt;b&gt;&amp;&quot;c&quot;");
  EXPECT_EQ(xml_text(std::string_view("\0\x01\x1b\n", 4)), "....");
  EXPECT_EQ(xml_text("\xff\xfe"), "??");
  EXPECT_EQ(xml_text("\xef\xbf\xbe|\xef\xbf\xbf|\xef\xbf\xbd"), "?|?|\xef\xbf\xbd");
  EXPECT_EQ(xml_text("\xc3\xa4 \xf0\x9f\x98\x80"), "\xc3\xa4 \xf0\x9f\x98\x80");
  EXPECT_EQ(xml_text("]]>"), "]]&gt;");
}

TEST(Junit, HoldsNothingButWhatXmlAllows) {
  const std::string xml = written(dump_with(every_byte()), OutputFormat::kJunit);
  for (const char c : xml) EXPECT_TRUE(c == '\n' || (c >= 0x20 && c < 0x7f)) << int{c};
  EXPECT_NE(xml.find("failures=\"2\""), std::string::npos) << "leaks and damage";
}

TEST(Junit, ADumpThatCannotBeReadIsAnError) {
  DumpReport dump;
  dump.source = "x";
  dump.error = Error{ErrorCode::kIo, "gone", {}};
  const std::string xml = written(dump, OutputFormat::kJunit);
  EXPECT_NE(xml.find("<error message=\"gone\""), std::string::npos);
  EXPECT_NE(xml.find("errors=\"1\""), std::string::npos);
}

TEST(Sarif, IsPlainTextWhateverTheDumpHeld) {
  const std::string json = written(dump_with(every_byte()), OutputFormat::kSarif);
  EXPECT_NE(json.find("\\u0000"), std::string::npos);
  for (const char c : json) EXPECT_TRUE(c == '\n' || static_cast<unsigned char>(c) >= 0x20);
  EXPECT_EQ(json.find('\xff'), std::string::npos);
}

TEST(Sarif, PathsAreUriReferences) {
  const auto uri = [](const std::string& path) {
    DumpReport dump;
    dump.source = path;
    const std::string json = written(dump, OutputFormat::kSarif);
    const size_t at = json.find("\"uri\": \"") + 8;
    return json.substr(at, json.find('"', at) - at);
  };
  EXPECT_EQ(uri("core.1"), "core.1");
  EXPECT_EQ(uri("/tmp/a core#1"), "file:///tmp/a%20core%231");
  EXPECT_EQ(uri("C:\\dumps\\x.dmp"), "file:///C:/dumps/x.dmp");
  EXPECT_EQ(uri("\xc3\xa4"), "%C3%A4");
  EXPECT_EQ(uri("a:b"), "a%3Ab");  // no scheme
}

TEST(Sarif, FingerprintsDependOnTheIdentityAlone) {
  const auto print_of = [](const std::string& identity, const std::string& message) {
    DumpReport dump = dump_with(message);
    dump.findings[0].identity = identity;
    const std::string json = written(dump, OutputFormat::kSarif);
    const size_t at = json.find("\"residueIdentity/v1\": \"") + 23;
    return json.substr(at, 16);
  };
  EXPECT_EQ(print_of("one", "at 0x10"), print_of("one", "at 0x20"));
  EXPECT_NE(print_of("one", "x"), print_of("two", "x"));
  // FNV-1a's published test value for "" is the offset basis; for "a" it is af63dc4c8601ec8c. The
  // hash covers "leak|" and the identity: computed from the definition with Python.
  EXPECT_EQ(print_of("a", "x"), "c893827adf814735");
}

}  // namespace
}  // namespace residue
