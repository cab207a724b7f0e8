#include "symbolize/dwarf/canonical_names.h"

#include <algorithm>
#include <optional>
#include <vector>

namespace residue::dwarf {
namespace {

// Of template arguments in template arguments.
constexpr int kMaxDepth = 64;
constexpr std::string_view kAnonymous = "(anonymous namespace)";

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

std::vector<std::string_view> words_of(std::string_view text) {
  std::vector<std::string_view> words;
  for (text = trimmed(text); !text.empty(); text = trimmed(text)) {
    const size_t end = std::min(text.find(' '), text.size());
    words.push_back(text.substr(0, end));
    text.remove_prefix(end);
  }
  return words;
}

// The end of the bracketed text that begins at `open`, behind its '>'; npos if it does not close.
size_t end_of_arguments(std::string_view text, size_t open) {
  int depth = 0;
  for (size_t i = open; i < text.size(); ++i) {
    if (text[i] == '<') ++depth;
    if (text[i] == '>' && --depth == 0) return i + 1;
  }
  return std::string_view::npos;
}

std::vector<std::string_view> split_arguments(std::string_view text) {
  std::vector<std::string_view> arguments;
  int depth = 0;
  size_t start = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '<' || text[i] == '(' || text[i] == '{') ++depth;
    if (text[i] == '>' || text[i] == ')' || text[i] == '}') --depth;
    if (text[i] != ',' || depth != 0) continue;
    arguments.push_back(text.substr(start, i - start));
    start = i + 1;
  }
  arguments.push_back(text.substr(start));
  return arguments;
}

// Parentheses other than those of unnamed namespaces: function types, casts, lambdas.
bool has_parentheses(std::string_view text) {
  for (size_t at = text.find('('); at != std::string_view::npos; at = text.find('(', at + 1)) {
    if (text.substr(at, kAnonymous.size()) != kAnonymous) return true;
  }
  return false;
}

std::optional<std::string> canonical(std::string_view name, int depth);

// "5UL": a number with its suffix in small letters.
std::optional<std::string> literal(std::string_view text) {
  const bool is_number = text[0] == '-' || (text[0] >= '0' && text[0] <= '9');
  if (is_number) {
    std::string number(text);
    for (char& c : number) {
      if (c == 'U' || c == 'L') c = c == 'U' ? 'u' : 'l';
    }
    return number;
  }
  if (text[0] == '\'') return std::string("(char)").append(text);
  // GCC's "(& ns::object)".
  if (text.starts_with("(& ") && text.ends_with(')')) {
    return std::string("&").append(text.substr(3, text.size() - 4));
  }
  return std::nullopt;
}

// Where a type's name ends and what is made of it begins: at the first '*', '&' or '[' that is in
// no template argument.
size_t end_of_base(std::string_view text) {
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '<') {
      const size_t end = end_of_arguments(text, i);
      if (end == std::string_view::npos) return end;
      i = end - 1;
    } else if (text[i] == '*' || text[i] == '&' || text[i] == '[') {
      return i;
    }
  }
  return text.size();
}

// "const char" → "char const": qualifiers behind the name.
std::optional<std::string> base_type(std::string_view text, int depth) {
  bool is_const = false;
  bool is_volatile = false;
  for (bool more = true; more;) {
    more = false;
    text = trimmed(text);
    for (const std::string_view word : {"const", "volatile"}) {
      bool found = false;
      if (text.starts_with(word) && text.size() > word.size() && text[word.size()] == ' ') {
        text.remove_prefix(word.size());
        found = true;
      } else if (text.ends_with(word) && text.size() > word.size() &&
                 text[text.size() - word.size() - 1] == ' ') {
        text.remove_suffix(word.size());
        found = true;
      }
      if (!found) continue;
      (word == "const" ? is_const : is_volatile) = true;
      more = true;
      break;
    }
  }
  auto name = canonical(text, depth);
  if (!name) return std::nullopt;
  if (is_const) name->append(" const");
  if (is_volatile) name->append(" volatile");
  return name;
}

std::optional<std::string> argument(std::string_view text, int depth) {
  text = trimmed(text);
  if (text.empty()) return std::string();
  if (auto number = literal(text)) return number;
  if (has_parentheses(text)) return std::nullopt;
  const size_t end = end_of_base(text);
  if (end == std::string_view::npos) return std::nullopt;
  if (end == 0) return std::string(text);  // "&ns::object"
  auto name = base_type(text.substr(0, end), depth);
  if (!name) return std::nullopt;
  // "* const" is "* const", however it was spaced; arrays stand apart.
  std::string_view rest = text.substr(end);
  while (!rest.empty()) {
    const char c = rest[0];
    if (c == '*' || c == '&') {
      name->push_back(c);
      rest.remove_prefix(1);
    } else if (c == '[') {
      name->append(" ").append(rest);
      break;
    } else {
      rest = trimmed(rest);
      if (rest.empty() || rest[0] == '*' || rest[0] == '&' || rest[0] == '[') continue;
      const size_t word = std::min(rest.find_first_of(" *&["), rest.size());
      name->append(" ").append(rest.substr(0, word));
      rest.remove_prefix(word);
    }
  }
  return name;
}

std::optional<std::string> canonical(std::string_view name, int depth) {
  if (depth > kMaxDepth) return std::nullopt;
  std::string text;
  bool has_arguments = false;
  while (!name.empty()) {
    const size_t open = name.find('<');
    // Comparison and shift operators are names, too.
    if (open == std::string_view::npos || name.substr(0, open).ends_with("operator")) break;
    const size_t end = end_of_arguments(name, open);
    if (end == std::string_view::npos) return std::nullopt;
    has_arguments = true;
    text.append(name.substr(0, open)).push_back('<');
    bool first = true;
    for (const std::string_view one : split_arguments(name.substr(open + 1, end - open - 2))) {
      const auto done = argument(one, depth + 1);
      if (!done) return std::nullopt;
      if (!first) text.append(", ");
      text.append(*done);
      first = false;
    }
    if (text.back() == '>') text.push_back(' ');
    text.push_back('>');
    name.remove_prefix(end);
  }
  if (!has_arguments) return canonical_base_type(name);
  return text.append(name);
}

}  // namespace

std::string canonical_base_type(std::string_view name) {
  int longs = 0;
  bool is_unsigned = false;
  bool is_signed = false;
  bool is_short = false;
  bool has_int = false;
  std::string_view other;  // char, double, __int128
  for (const std::string_view word : words_of(name)) {
    if (word == "long") {
      ++longs;
    } else if (word == "unsigned") {
      is_unsigned = true;
    } else if (word == "signed") {
      is_signed = true;
    } else if (word == "short") {
      is_short = true;
    } else if (word == "int") {
      has_int = true;
    } else if ((word == "char" || word == "double" || word == "__int128") && other.empty()) {
      other = word;
    } else {
      return std::string(name);
    }
  }
  if (other == "double" || (other.empty() && !has_int && !is_short && longs == 0)) {
    return is_unsigned && other.empty() ? "unsigned int" : std::string(name);
  }
  std::string text;
  if (is_unsigned) text = "unsigned ";
  if (is_signed && other == "char") text = "signed ";
  if (!other.empty()) return text.append(other);
  if (is_short) return text.append("short");
  if (longs == 0) return text.append("int");
  return text.append(longs == 1 ? "long" : "long long");
}

std::string canonical_template_name(std::string_view name) {
  if (name.find('<') == std::string_view::npos) return std::string(name);
  const auto done = canonical(name, 0);
  return done ? *done : std::string(name);
}

}  // namespace residue::dwarf
