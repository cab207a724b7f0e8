#include "analyzer/suppressions.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "formats/base/mapped_file.h"
#include "formats/base/text.h"

namespace residue {
namespace {

struct KindName {
  const char* name;
  SuppressionKind kind;
};
constexpr std::array<KindName, 6> kKinds = {{{"leak", SuppressionKind::kLeak},
                                             {"leak-type", SuppressionKind::kType},
                                             {"leak-module", SuppressionKind::kModule},
                                             {"leak-owner", SuppressionKind::kOwner},
                                             {"leak-site", SuppressionKind::kSite},
                                             {"leak-size", SuppressionKind::kSize}}};

// What AddressSanitizer and ThreadSanitizer know (compiler-rt's asan_suppressions.cpp,
// tsan_suppressions.cpp and ubsan_diag.cpp of LLVM 19). UndefinedBehaviorSanitizer's other kinds
// are the names of its checks.
constexpr std::array<std::string_view, 14> kForeignKinds = {"interceptor_name",
                                                            "interceptor_via_fun",
                                                            "interceptor_via_lib",
                                                            "odr_violation",
                                                            "alloc_dealloc_mismatch",
                                                            "race",
                                                            "race_top",
                                                            "mutex",
                                                            "thread",
                                                            "signal",
                                                            "deadlock",
                                                            "called_from_lib",
                                                            "vptr_check",
                                                            "undefined"};

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t' || text.back() == '\r')) {
    text.remove_suffix(1);
  }
  return text;
}

// At most so much of a user's text in a message.
std::string excerpt(std::string_view text) {
  constexpr size_t kShown = 60;
  std::string shown = printable(text.substr(0, kShown));
  return text.size() > kShown ? shown.append("...") : shown;
}

bool read_number(std::string_view text, uint64_t* value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *value);
  return error == std::errc() && end == text.data() + text.size() && !text.empty();
}

// "N", "N-M" or "N-".
bool read_sizes(std::string_view text, SuppressionRule* rule) {
  const size_t dash = text.find('-');
  if (!read_number(text.substr(0, dash), &rule->least)) return false;
  rule->most = rule->least;
  if (dash == std::string_view::npos) return true;
  rule->most = ~uint64_t{0};
  const std::string_view most = text.substr(dash + 1);
  if (!most.empty() && !read_number(most, &rule->most)) return false;
  return rule->least <= rule->most;
}

class Parser {
 public:
  Parser(const std::string& file, SuppressionList* list) : file_(file), list_(*list) {}

  void line(std::string_view text, uint32_t number) {
    number_ = number;
    text = trim(text);
    if (text.empty() || text.front() == '#') return;
    if (text.size() > SuppressionList::kMaxLine) return problem("the line is too long");
    const auto is_control = [](char c) {
      return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f;
    };
    if (std::any_of(text.begin(), text.end(), is_control)) {
      return problem("control characters: this is no text");
    }
    const size_t colon = text.find(':');
    if (colon == std::string_view::npos) {
      return problem(text == "{" ? "this is Valgrind's syntax, not LeakSanitizer's"
                                 : "'" + excerpt(text) + "' is not of the form KIND:PATTERN");
    }
    rule(text.substr(0, colon), text.substr(colon + 1));
  }

  void problem(const std::string& what) { add(what, &list_.problems); }

 private:
  void rule(std::string_view kind, std::string_view pattern) {
    const auto is_named = [kind](const KindName& known) { return kind == known.name; };
    const auto known = std::find_if(kKinds.begin(), kKinds.end(), is_named);
    if (known == kKinds.end()) return other_kind(kind);
    SuppressionRule rule;
    rule.kind = known->kind;
    rule.pattern = pattern;
    rule.file = file_;
    rule.line = number_;
    if (pattern.find_first_not_of("^$") == std::string_view::npos) {
      return problem("an empty pattern (to match everything, write " + std::string(kind) + ":*)");
    }
    if (rule.kind == SuppressionKind::kSize && !read_sizes(pattern, &rule)) {
      return problem("'" + excerpt(pattern) + "' is no size: bytes as N, N-M or N-");
    }
    if (list_.rules.size() >= SuppressionList::kMaxRules) {
      if (!full_) problem("too many suppressions");
      full_ = true;
      return;
    }
    list_.rules.push_back(std::move(rule));
  }

  void other_kind(std::string_view kind) {
    if (std::find(kForeignKinds.begin(), kForeignKinds.end(), kind) != kForeignKinds.end()) {
      return add("'" + std::string(kind) + "' is not about leaks: ignored", &list_.notes);
    }
    std::string what = "unknown kind '" + excerpt(kind) + "' (known:";
    for (const KindName& known : kKinds) what.append(" ").append(known.name);
    problem(what.append(")"));
  }

  void add(const std::string& what, std::vector<std::string>* messages) const {
    if (messages->size() >= SuppressionList::kMaxMessages) return;
    std::string text = file_;
    messages->push_back(text.append(":").append(std::to_string(number_)).append(": ").append(what));
  }

  const std::string& file_;
  SuppressionList& list_;
  uint32_t number_ = 0;
  bool full_ = false;
};

}  // namespace

const char* to_string(SuppressionKind kind) {
  for (const KindName& known : kKinds) {
    if (known.kind == kind) return known.name;
  }
  return "";
}

void parse_suppressions(std::string_view text, const std::string& file, SuppressionList* list) {
  Parser parser(file, list);
  if (text.size() > SuppressionList::kMaxBytes) {
    parser.problem("the file is too large");
    return;
  }
  for (uint32_t number = 1; !text.empty(); ++number) {
    const size_t end = text.find('\n');
    parser.line(text.substr(0, end), number);
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
}

Result<SuppressionList> read_suppressions(const std::vector<std::string>& files) {
  SuppressionList list;
  for (const std::string& path : files) {
    auto file = MappedFile::open(path);
    if (!file) return Error{ErrorCode::kUsage, path + ": " + file.error().message, {}};
    const auto bytes = file->bytes();
    std::string text(bytes.size() <= SuppressionList::kMaxBytes ? bytes.size() : 0, '\0');
    std::transform(bytes.begin(), bytes.begin() + static_cast<int64_t>(text.size()), text.begin(),
                   [](std::byte b) { return static_cast<char>(b); });
    if (text.size() != bytes.size()) {
      return Error{ErrorCode::kUsage, path + ": too large for a suppression file", {}};
    }
    parse_suppressions(text, path, &list);
    if (!list.problems.empty()) return Error{ErrorCode::kUsage, list.problems.front(), {}};
  }
  return list;
}

bool matches_template(std::string_view pattern, std::string_view text) {
  if (text.empty()) return false;
  bool at_start = !pattern.empty() && pattern.front() == '^';
  if (at_start) pattern.remove_prefix(1);
  bool after_star = false;
  while (!pattern.empty()) {
    if (pattern.front() == '*') {
      pattern.remove_prefix(1);
      at_start = false;
      after_star = true;
      continue;
    }
    if (pattern.front() == '$') return text.empty() || after_star;
    const std::string_view piece = pattern.substr(0, pattern.find_first_of("*$"));
    const size_t place = text.find(piece);
    if (place == std::string_view::npos || (at_start && place != 0)) return false;
    text.remove_prefix(place + piece.size());
    pattern.remove_prefix(piece.size());
    at_start = false;
    after_star = false;
  }
  return true;
}

bool matches(const SuppressionRule& rule, const LeakFacts& facts) {
  const auto any_of = [&rule](std::initializer_list<std::string_view> texts) {
    return std::any_of(texts.begin(), texts.end(), [&rule](std::string_view text) {
      return matches_template(rule.pattern, text);
    });
  };
  switch (rule.kind) {
    case SuppressionKind::kLeak:
      return any_of({facts.type, facts.module, facts.module_path, facts.function, facts.file,
                     facts.site_module, facts.site_module_path}) ||
             // LeakSanitizer's name of a module that it does not know.
             (facts.module.empty() && facts.site_module.empty() && any_of({"<unknown module>"}));
    case SuppressionKind::kType:
      return any_of({facts.type});
    case SuppressionKind::kModule:
      return any_of({facts.module, facts.module_path, facts.site_module, facts.site_module_path});
    case SuppressionKind::kOwner:
      return any_of({facts.owner});
    case SuppressionKind::kSite:
      return any_of({facts.function, facts.file});
    case SuppressionKind::kSize:
      return facts.size >= rule.least && facts.size <= rule.most;
  }
  return false;
}

}  // namespace residue
