// Suppressions: leaks that the user knows of and does not want to hear about, in LeakSanitizer's
// syntax, extended. docs/suppressions.md is the user's view.
//
// A file is lines "KIND:PATTERN"; empty lines and lines that begin with # are passed over, blanks
// around a line too. Kinds:
//
//   leak         LeakSanitizer's: a function, source file or module of the allocation's stack, or
//                (ours) the type of the block or that type's module
//   leak-type    the type
//   leak-module  the module of the type, or of the site
//   leak-owner   what keeps the block: only blocks that dead memory still refers to have one
//   leak-site    function or source file of the allocation
//   leak-size    usable bytes: N, N-M or N-
//
// Kinds of the other sanitizers are noted and otherwise ignored, so that one file serves all.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "formats/base/result.h"

namespace residue {

enum class SuppressionKind : uint8_t { kLeak, kType, kModule, kOwner, kSite, kSize };
const char* to_string(SuppressionKind kind);

struct SuppressionRule {
  SuppressionKind kind = SuppressionKind::kLeak;
  std::string pattern;
  std::string file;
  uint32_t line = 0;             // from 1
  uint64_t least = 0, most = 0;  // of kSize
};

struct SuppressionList {
  static constexpr size_t kMaxBytes = 16 << 20;  // of a file
  static constexpr size_t kMaxLine = 64 << 10;
  static constexpr size_t kMaxRules = 10000;  // of all files together
  static constexpr size_t kMaxMessages = 20;

  std::vector<SuppressionRule> rules;
  std::vector<std::string> notes;     // "FILE:LINE: what was passed over"
  std::vector<std::string> problems;  // "FILE:LINE: what is wrong"; those lines are left out
};

// Adds the rules of `text` to `*list`. Any bytes will do.
void parse_suppressions(std::string_view text, const std::string& file, SuppressionList* list);

// Reads files, in order. kUsage for a file that cannot be read or has a malformed line.
Result<SuppressionList> read_suppressions(const std::vector<std::string>& files);

// Whether `pattern` matches `text`, by the rules of LeakSanitizer's TemplateMatch: anywhere in the
// text, unless ^ begins the pattern; * stands for anything; $ for the end of the text, and what
// comes after it is not looked at. Each piece between * is taken at its first place, with no way
// back: "b$" does not match "abab" (in LeakSanitizer neither). Nothing matches an empty text.
bool matches_template(std::string_view pattern, std::string_view text);

// What is known of a leaked block; empty where nothing is.
struct LeakFacts {
  std::string_view type;
  std::string_view module, module_path;            // that defines the type
  std::string_view function, file;                 // of the allocation site
  std::string_view site_module, site_module_path;  // likewise
  std::string_view owner;
  uint64_t size = 0;
};

bool matches(const SuppressionRule& rule, const LeakFacts& facts);

}  // namespace residue
