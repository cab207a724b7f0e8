#include "cli/junit.h"

#include <algorithm>
#include <vector>

#include "formats/base/text.h"

namespace residue {
namespace {

constexpr size_t kMaxLines = 100;  // of findings in one failure

struct Case {
  std::string name;
  const char* outcome = nullptr;  // 'failure', 'error', 'skipped'; null: passed
  std::string message;
  std::vector<std::string> lines;
};

std::vector<std::string> findings_of(const DumpReport& dump, const GateRule& rule) {
  std::vector<std::string> lines;
  for (const Finding& finding : dump.findings) {
    if (rule.has(finding.topic)) lines.push_back(finding.message);
  }
  if (!rule.has(GateTopic::kDamage)) return lines;
  for (const DumpDiagnostic& d : dump.diagnostics) {
    if (d.severity == "damage") lines.push_back(d.stage + ": " + d.place + ": " + d.message);
  }
  return lines;
}

Case case_of(const DumpReport& dump, const GateRule& rule, const JudgedRule& judged) {
  Case result;
  result.name = rule.text;
  if (judged.error) {
    result.outcome = "error";
    result.message = to_string(*judged.error);
  } else if (judged.verdict.state == GateVerdict::State::kNotYet) {
    result.outcome = "skipped";
    result.message = std::string("there is not ") + judged.verdict.missing + " yet";
  } else if (judged.breached()) {
    result.outcome = "failure";
    result.message = "found " + gate_found_text(judged.verdict);
    result.lines = findings_of(dump, rule);
  }
  return result;
}

// What is checked if nobody says what should be.
Case check(const DumpReport& dump, const char* name, GateTopic topic) {
  Case result;
  result.name = name;
  for (const Finding& finding : dump.findings) {
    if (finding.topic == topic) result.lines.push_back(finding.message);
  }
  if (topic == GateTopic::kDamage) {
    for (const DumpDiagnostic& d : dump.diagnostics) {
      if (d.severity == "damage")
        result.lines.push_back(d.stage + ": " + d.place + ": " + d.message);
    }
  }
  if (!result.lines.empty()) {
    result.outcome = "failure";
    result.message = std::to_string(result.lines.size()) + " found";
  } else if (topic == GateTopic::kHeaps && dump.heaps == 0) {
    result.outcome = "skipped";
    result.message = "no heap was found";
  }
  return result;
}

std::vector<Case> cases_of(const DumpReport& dump, const std::vector<GateRule>& rules) {
  if (dump.error) return {{"read", "error", to_string(*dump.error), {}}};
  std::vector<Case> cases;
  for (size_t i = 0; i < dump.judgement.rules.size(); ++i) {
    cases.push_back(case_of(dump, rules[i], dump.judgement.rules[i]));
  }
  if (!rules.empty()) return cases;
  cases.push_back(check(dump, "leaks", GateTopic::kLeaks));
  cases.push_back(check(dump, "corruption", GateTopic::kCorruption));
  cases.push_back(check(dump, "damage", GateTopic::kDamage));
  cases.push_back(check(dump, "heaps verified", GateTopic::kHeaps));
  return cases;
}

size_t count(const std::vector<Case>& cases, std::string_view outcome) {
  return static_cast<size_t>(std::count_if(cases.begin(), cases.end(), [outcome](const Case& c) {
    return c.outcome != nullptr && c.outcome == outcome;
  }));
}

std::string counts(const std::vector<Case>& cases) {
  std::string text = " tests=\"" + std::to_string(cases.size());
  text.append("\" failures=\"").append(std::to_string(count(cases, "failure")));
  text.append("\" errors=\"").append(std::to_string(count(cases, "error")));
  text.append("\" skipped=\"").append(std::to_string(count(cases, "skipped")));
  return text.append("\"");
}

void write_case(const std::string& command, const Case& c, std::ostream& out) {
  out << "    <testcase classname=\"residue." << command << "\" name=\"" << xml_text(c.name)
      << "\"";
  if (c.outcome == nullptr) {
    out << "/>\n";
    return;
  }
  out << ">\n      <" << c.outcome << " message=\"" << xml_text(c.message) << "\"";
  if (c.outcome != std::string_view("skipped")) out << " type=\"residue\"";
  if (c.lines.empty()) {
    out << "/>\n    </testcase>\n";
    return;
  }
  out << ">\n";
  for (size_t i = 0; i < std::min(kMaxLines, c.lines.size()); ++i) {
    out << xml_text(c.lines[i]) << "\n";
  }
  if (c.lines.size() > kMaxLines) out << "and " << c.lines.size() - kMaxLines << " more\n";
  out << "      </" << c.outcome << ">\n    </testcase>\n";
}

void write_suite(const Report& report, const DumpReport& dump, const std::vector<Case>& cases,
                 std::ostream& out) {
  out << "  <testsuite name=\"" << xml_text(dump.source) << "\"" << counts(cases);
  if (!dump.taken_at.empty()) out << " timestamp=\"" << xml_text(dump.taken_at) << "\"";
  out << ">\n    <properties>\n";
  const auto property = [&out](const char* name, const std::string& value) {
    if (value.empty()) return;
    out << "      <property name=\"" << name << "\" value=\"" << xml_text(value) << "\"/>\n";
  };
  property("format", dump.format);
  property("executable", dump.executable);
  property("baseline", dump.baseline);
  property("exit code", std::to_string(report.exit_code));
  out << "    </properties>\n";
  for (const Case& c : cases) write_case(report.command, c, out);
  out << "  </testsuite>\n";
}

}  // namespace

std::string xml_text(std::string_view text) {
  std::string out;
  const std::string clean = printable(text);
  out.reserve(clean.size());
  for (size_t i = 0; i < clean.size(); ++i) {
    // U+FFFE and U+FFFF are characters of UTF-8, but not of XML.
    if (clean.compare(i, 2, "\xef\xbf") == 0 && i + 2 < clean.size() &&
        static_cast<unsigned char>(clean[i + 2]) >= 0xbe) {
      out += '?';
      i += 2;
      continue;
    }
    switch (clean[i]) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += clean[i];
    }
  }
  return out;
}

void write_junit(const Report& report, std::ostream& out) {
  std::vector<std::vector<Case>> suites;
  std::vector<Case> all;
  for (const DumpReport& dump : report.dumps) {
    suites.push_back(cases_of(dump, *report.rules));
    all.insert(all.end(), suites.back().begin(), suites.back().end());
  }
  out << "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"residue\"" << counts(all)
      << ">\n";
  for (size_t i = 0; i < suites.size(); ++i) {
    write_suite(report, report.dumps[i], suites[i], out);
  }
  out << "</testsuites>\n";
}

}  // namespace residue
