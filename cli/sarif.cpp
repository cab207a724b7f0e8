#include "cli/sarif.h"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include "cli/cell_text.h"
#include "cli/version.h"
#include "formats/base/text.h"

namespace residue {
namespace {

struct RuleText {
  const char* id;
  const char* name;
  const char* summary;
  const char* help;
};

constexpr std::array kRules = {
    RuleText{"leak", "MemoryLeak", "Memory that nothing refers to any more",
             "Chunks of the heap that were not freed and that no register, stack, global or live "
             "chunk refers to. 'residue leaks DUMP' lists them, 'residue explain DUMP ADDRESS' "
             "shows one with its contents. Leaks that are meant to be can be suppressed with "
             "--suppressions FILE, in LeakSanitizer's syntax."},
    RuleText{"heap-corruption", "HeapCorruption", "The heap's bookkeeping was overwritten",
             "A word that the allocator keeps between chunks does not hold what it must: something "
             "wrote beyond a chunk, into a freed one, or freed one twice. The table 'corruption' "
             "has the bytes and the chunk that was probably misused."},
    RuleText{"unverified-heap", "UnverifiedHeap", "A heap that its own counters contradict",
             "What the walk over the heap found and what the allocator counted differ, so that "
             "figures of this heap may be wrong. The dump may be damaged, or was taken in the "
             "middle of an update."},
    RuleText{"growth", "MemoryGrowth", "Memory that grew since the baseline",
             "More bytes or chunks are in use than in the baseline. 'residue diff' compares two "
             "snapshots by type, owner, module, size and heap."},
    RuleText{"gate", "GateBreached", "A rule of --fail-on was breached",
             "The rule that the message names holds of this dump. docs/gates.md describes the "
             "metrics."},
};

size_t rule_index(std::string_view id) {
  const auto it =
      std::find_if(kRules.begin(), kRules.end(), [id](const RuleText& r) { return id == r.id; });
  return static_cast<size_t>(it - kRules.begin());
}

// JSON, one member or element after the other; commas are its business, nesting is the caller's.
class Json {
 public:
  Json& open(char bracket) {
    separate();
    text_ += bracket;
    fresh_ = true;
    return *this;
  }
  Json& close(char bracket) {
    text_ += bracket;
    fresh_ = false;
    return *this;
  }
  Json& key(std::string_view name) {
    separate();
    append_json_string(text_, name);
    text_ += ": ";
    fresh_ = true;
    return *this;
  }
  void value(std::string_view text) {
    separate();
    append_json_string(text_, text);
  }
  void value(uint64_t number) {
    separate();
    text_ += std::to_string(number);
  }
  void value(bool flag) {
    separate();
    text_ += flag ? "true" : "false";
  }
  template <typename T>
  Json& member(std::string_view name, const T& content) {
    key(name).value(content);
    return *this;
  }
  // Nothing, if there is nothing to say.
  Json& member_if(std::string_view name, const std::string& content) {
    if (!content.empty()) member(name, std::string_view(content));
    return *this;
  }
  // {"text": …}, which is what a message is.
  Json& message(std::string_view name, std::string_view content) {
    key(name).open('{').member("text", content).close('}');
    return *this;
  }
  void line() { text_ += '\n'; }
  std::string& text() { return text_; }

 private:
  void separate() {
    if (!fresh_) text_ += ", ";
    fresh_ = false;
  }

  std::string text_;
  bool fresh_ = true;
};

// FNV-1a with 64 bits (Fowler, Noll, Vo; public domain): equal texts, equal numbers, everywhere.
std::string fingerprint(std::string_view rule, std::string_view identity) {
  uint64_t hash = 0xcbf29ce484222325;
  const auto add = [&hash](std::string_view text) {
    for (const char c : text) {
      hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
    }
  };
  add(rule);
  add("|");
  add(identity);
  const std::string digits = hex(hash).substr(2);
  return std::string(16 - digits.size(), '0') + digits;
}

// A path as a URI reference (RFC 3986): absolute ones as file:, the rest relative.
std::string uri_of(std::string_view path) {
  static constexpr char kDigits[] = "0123456789ABCDEF";
  const bool drive = path.size() > 2 && path[1] == ':' && (path[2] == '\\' || path[2] == '/');
  std::string uri;
  if (path.starts_with("/")) uri = "file://";
  if (drive) uri = "file:///";
  for (size_t i = 0; i < path.size(); ++i) {
    const char c = path[i];
    const auto code = static_cast<unsigned char>(c);
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       std::string_view("-._~/").find(c) != std::string_view::npos;
    if (plain || (drive && i == 1)) {
      uri += c;
    } else if (drive && c == '\\') {
      uri += '/';
    } else {
      uri += '%';
      uri += kDigits[code >> 4];
      uri += kDigits[code & 15];
    }
  }
  return uri;
}

void write_driver(Json& json) {
  json.key("tool").open('{').key("driver").open('{');
  json.member("name", std::string_view("residue")).member("version", std::string_view(kVersion));
  json.key("rules").open('[');
  for (const RuleText& rule : kRules) {
    json.line();
    json.open('{').member("id", std::string_view(rule.id));
    json.member("name", std::string_view(rule.name));
    json.message("shortDescription", rule.summary);
    json.message("fullDescription", rule.help).message("help", rule.help);
    json.key("defaultConfiguration").open('{').member("level", std::string_view("warning"));
    json.close('}').close('}');
  }
  json.close(']').close('}').close('}');
}

void write_artifacts(const Report& report, Json& json) {
  json.key("artifacts").open('[');
  for (const DumpReport& dump : report.dumps) {
    json.line();
    json.open('{').key("location").open('{').member("uri", std::string_view(uri_of(dump.source)));
    json.close('}').key("roles").open('[').value(std::string_view("analysisTarget"));
    json.close(']');
    if (dump.source_bytes > 0) json.member("length", dump.source_bytes);
    json.key("properties").open('{').member_if("executable", dump.executable);
    json.member_if("format", dump.format).member_if("takenAt", dump.taken_at);
    json.member_if("baseline", dump.baseline).close('}').close('}');
  }
  json.close(']');
}

void write_notification(const DumpReport& dump, size_t index, std::string_view level,
                        const std::string& message, Json& json) {
  json.line();
  json.open('{').member("level", level).message("message", message);
  json.key("locations").open('[').open('{').key("physicalLocation").open('{');
  json.key("artifactLocation").open('{').member("uri", std::string_view(uri_of(dump.source)));
  json.member("index", index).close('}').close('}').close('}').close(']').close('}');
}

void write_invocation(const Report& report, Json& json) {
  json.line();
  json.key("invocations").open('[').open('{');
  json.member("executionSuccessful", report.exit_code <= kExitBreached);
  json.member("exitCode", static_cast<uint64_t>(report.exit_code));
  json.key("toolExecutionNotifications").open('[');
  for (size_t i = 0; i < report.dumps.size(); ++i) {
    const DumpReport& dump = report.dumps[i];
    if (dump.error) write_notification(dump, i, "error", to_string(*dump.error), json);
    for (const JudgedRule& rule : dump.judgement.rules) {
      if (rule.error) write_notification(dump, i, "error", to_string(*rule.error), json);
    }
    for (const DumpDiagnostic& d : dump.diagnostics) {
      std::string message = d.severity + ": " + d.stage;
      message.append(": ").append(d.place).append(": ").append(d.message);
      write_notification(dump, i, "warning", message, json);
    }
    if (dump.left_out > 0) {
      write_notification(dump, i, "note",
                         std::to_string(dump.left_out) + " findings were left out (--limit)", json);
    }
  }
  json.close(']').close('}').close(']');
}

void write_logical(std::string_view name, std::string_view kind, Json& json) {
  if (name.empty()) return;
  json.open('{').member("name", name).member("fullyQualifiedName", name).member("kind", kind);
  json.close('}');
}

// If nothing is known of the finding, then at least which program it is of.
void write_location(const DumpReport& dump, const Finding& finding, Json& json) {
  const std::string_view module =
      finding.module.empty() ? base_name(dump.executable) : std::string_view(finding.module);
  const bool logical = !finding.type.empty() || !module.empty() || !finding.function.empty();
  json.key("locations").open('[').open('{');
  if (!finding.file.empty()) {
    json.key("physicalLocation").open('{').key("artifactLocation").open('{');
    json.member("uri", std::string_view(uri_of(finding.file))).close('}');
    if (finding.line > 0) {
      json.key("region").open('{').member("startLine", finding.line).close('}');
    }
    json.close('}');
  }
  if (logical) {
    json.key("logicalLocations").open('[');
    write_logical(finding.type, "type", json);
    write_logical(finding.function, "function", json);
    write_logical(module, "module", json);
    json.close(']');
  }
  json.close('}').close(']');
}

void begin_result(const DumpReport& dump, std::string_view rule, bool is_error,
                  std::string_view message, std::string_view identity, Json& json) {
  json.line();
  json.open('{').member("ruleId", rule).member("ruleIndex", rule_index(rule));
  json.member("level", std::string_view(is_error ? "error" : "warning"));
  json.message("message", message);
  json.key("analysisTarget").open('{').member("uri", std::string_view(uri_of(dump.source)));
  json.close('}').key("partialFingerprints").open('{');
  json.member("residueIdentity/v1", std::string_view(fingerprint(rule, identity))).close('}');
}

void write_finding(const DumpReport& dump, const Finding& finding, bool is_error, bool states,
                   Json& json) {
  begin_result(dump, finding.rule, is_error, finding.message, finding.identity, json);
  write_location(dump, finding, json);
  if (finding.count > 0) json.member("occurrenceCount", finding.count);
  if (states && finding.state != nullptr)
    json.member("baselineState", std::string_view(finding.state));
  json.key("properties").open('{').member("bytes", finding.bytes).member("count", finding.count);
  json.member_if("confidence", finding.confidence).member_if("evidence", finding.evidence);
  json.close('}').close('}');
}

// All results of a run have a baselineState, or none has one.
void write_results(const Report& report, Json& json) {
  const bool states = std::all_of(
      report.dumps.begin(), report.dumps.end(),
      [](const DumpReport& dump) { return dump.error.has_value() || !dump.baseline.empty(); });
  json.line();
  json.key("results").open('[');
  for (const DumpReport& dump : report.dumps) {
    for (const Finding& finding : dump.findings) {
      write_finding(dump, finding, dump.breached(finding.topic, *report.rules), states, json);
    }
    for (size_t i = 0; i < dump.judgement.rules.size(); ++i) {
      const JudgedRule& rule = dump.judgement.rules[i];
      if (!rule.breached()) continue;
      const std::string& text = (*report.rules)[i].text;
      std::string message = "gate breached: " + text;
      message.append(" (found ").append(gate_found_text(rule.verdict)).append(")");
      begin_result(dump, "gate", true, message, text, json);
      if (states) json.member("baselineState", std::string_view("new"));
      json.close('}');
    }
  }
  json.close(']');
}

}  // namespace

void write_sarif(const Report& report, std::ostream& out) {
  Json json;
  json.open('{');
  json.member("$schema", std::string_view("https://docs.oasis-open.org/sarif/sarif/v2.1.0/"
                                          "errata01/os/schemas/sarif-schema-2.1.0.json"));
  json.member("version", std::string_view("2.1.0")).key("runs").open('[').open('{');
  write_driver(json);
  write_invocation(report, json);
  json.line();
  write_artifacts(report, json);
  write_results(report, json);
  json.line();
  json.member("columnKind", std::string_view("utf16CodeUnits"));
  json.close('}').close(']').close('}').line();
  out << json.text();
}

}  // namespace residue
