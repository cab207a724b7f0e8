// Any bytes as a suppression file, and as a pattern and a text.
//
// The first line is a pattern, the second a text: our matcher must agree with LeakSanitizer's own,
// which is linked into every fuzz target with AddressSanitizer. All lines are a file.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "analyzer/suppressions.h"

namespace __sanitizer {  // compiler-rt/lib/sanitizer_common/sanitizer_common.h, LLVM 14 to 19
bool TemplateMatch(const char* templ, const char* str);
}  // namespace __sanitizer

namespace residue {
namespace {

constexpr size_t kMaxInput = 1 << 16;

void law(bool holds, const char* text) {
  if (holds) return;
  std::fprintf(stderr, "broken law: %s\n", text);
  std::abort();
}

std::string take_line(std::string_view* rest) {
  const size_t end = std::min(rest->find('\n'), rest->size());
  std::string line(rest->substr(0, end));
  rest->remove_prefix(std::min(end + 1, rest->size()));
  return line.substr(0, line.find('\0'));
}

void check_match(std::string_view input) {
  std::string pattern = take_line(&input);
  const std::string text = take_line(&input);
  const bool ours = matches_template(pattern, text);
  // Theirs writes into the pattern while it looks at it.
  const bool theirs = __sanitizer::TemplateMatch(pattern.data(), text.c_str());
  law(ours == theirs, "patterns match as in LeakSanitizer");
}

void check_file(std::string_view input) {
  SuppressionList list;
  parse_suppressions(input, "fuzz", &list);
  const auto lines = static_cast<size_t>(std::count(input.begin(), input.end(), '\n')) + 1;
  law(list.rules.size() <= lines, "a line is one rule at most");
  law(list.problems.size() <= SuppressionList::kMaxMessages, "messages are bounded");
  law(list.notes.size() <= SuppressionList::kMaxMessages, "notes are bounded");
  LeakFacts facts;
  facts.type = "app::Session";
  facts.module = "server";
  facts.module_path = "/opt/app/server";
  facts.owner = "app::cache";
  facts.size = 4096;
  for (const SuppressionRule& rule : list.rules) {
    law(rule.line >= 1 && rule.line <= lines, "a rule knows its line");
    law(!rule.pattern.empty(), "no rule is empty");
    const bool is_size = rule.kind == SuppressionKind::kSize;
    law(!is_size || rule.least <= rule.most, "sizes are in order");
    (void)matches(rule, facts);
    law(is_size || rule.kind == SuppressionKind::kLeak || !matches(rule, {}),
        "what nothing is known of, nothing matches");
  }
}

}  // namespace
}  // namespace residue

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size > residue::kMaxInput) return 0;
  const std::string text(data, data + size);
  residue::check_match(text);
  residue::check_file(text);
  return 0;
}
