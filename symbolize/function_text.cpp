// The demangler prints a function as
//
//    [return type] scope::name(parameters) [const] [&] [clone .suffix]
//
// and only templates have a return type (Itanium C++ ABI 5.1.5.3), which may also surround the
// name: "void (*name<int>(int))(char)". Parsing the mangled name instead would need all of its
// grammar, expressions included, to find where the name ends; the text is regular enough. What
// makes it hard: spaces belong to names ("operator new", "operator unsigned long", "f()
// const::{lambda()#1}"), and '<', '>', '(' may be operators rather than brackets. So the text is
// read backwards with a stack of brackets that forgives unmatched ones, and operators are
// recognised by the word before them. Checked against `c++filt -p` on all functions of libstdc++,
// gdb, cppcheck and libclang.
#include "symbolize/function_text.h"

#include <algorithm>
#include <array>
#include <vector>

namespace residue {
namespace {

constexpr std::string_view kOperator = "operator";

bool is_identifier(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '$' || (static_cast<unsigned char>(c) & 0x80) != 0;
}

// Whether "operator" stands in `text` right before `end`, as a word of its own.
bool operator_before(std::string_view text, size_t end) {
  if (end < kOperator.size()) return false;
  const size_t at = end - kOperator.size();
  return text.substr(at, kOperator.size()) == kOperator &&
         (at == 0 || !is_identifier(text[at - 1]));
}

// Where the operator's symbol that ends at `last` begins ("->" of "operator->"), or npos if the
// character is no part of one.
size_t operator_symbol(std::string_view text, size_t last) {
  constexpr std::string_view kSymbol = "<>=-()";
  size_t begin = last;
  // The longest is "<=>".
  for (size_t n = 0; n < 3; ++n) {
    if (kSymbol.find(text[begin]) == std::string_view::npos) return std::string_view::npos;
    if (operator_before(text, begin)) return begin;
    if (begin == 0) return std::string_view::npos;
    --begin;
  }
  return std::string_view::npos;
}

// Reads `text` backwards and calls `visit(i)` for every character outside of brackets; stops when
// that returns false.
template <typename Visit>
void visit_outside(std::string_view text, const Visit& visit) {
  std::vector<char> open;
  const auto drop_to = [&open](char closing) {
    const auto it = std::find(open.rbegin(), open.rend(), closing);
    if (it != open.rend()) open.erase(it.base() - 1, open.end());
  };
  for (size_t i = text.size(); i-- > 0;) {
    const char c = text[i];
    const bool opens_template = c == '<' && !open.empty() && open.back() == '>';
    if ((c == '<' || c == '>' || c == ')') && !opens_template) {
      if (const size_t begin = operator_symbol(text, i); begin != std::string_view::npos) {
        i = begin;
        continue;
      }
    }
    switch (c) {
      case ')':
      case '}':
      case ']':
      case '>':
        open.push_back(c);
        break;
      case '(':
        drop_to(')');
        break;
      case '{':
        drop_to('}');
        break;
      case '[':
        drop_to(']');
        break;
      case '<':
        if (opens_template) open.pop_back();
        break;
      default:
        if (open.empty() && !visit(i)) return;
    }
  }
}

// Where the bracket group that ends the text begins; npos if it does not end with one.
size_t group_begin(std::string_view text, char open, char close) {
  if (!text.ends_with(close)) return std::string_view::npos;
  size_t depth = 0;
  for (size_t i = text.size(); i-- > 0;) {
    if (text[i] == close) ++depth;
    if (text[i] == open && --depth == 0) return i;
  }
  return std::string_view::npos;
}

void trim_end(std::string_view* text) {
  while (text->ends_with(' ')) text->remove_suffix(1);
}

// " const", " &&", " [clone .isra.0]": what may stand behind the parameters.
void strip_tail(std::string_view* text) {
  constexpr std::array<std::string_view, 6> kTails = {" const",    " volatile", "&",
                                                      " noexcept", " restrict", " __restrict"};
  bool again = true;
  while (again) {
    again = false;
    trim_end(text);
    if (text->ends_with(']')) {
      const size_t clone = text->rfind(" [clone ");
      if (clone != std::string_view::npos) {
        *text = text->substr(0, clone);
        again = true;
      }
    }
    for (const std::string_view tail : kTails) {
      if (text->ends_with(tail)) {
        text->remove_suffix(tail.size());
        again = true;
      }
    }
  }
}

// "const::", "const&::", "volatile::": the qualifiers of a member function in which the rest is
// local.
bool is_scope_qualifier(std::string_view rest) {
  constexpr std::array<std::string_view, 4> kWords = {"const", "volatile", "&", " "};
  bool any = true;
  while (any) {
    any = false;
    for (const std::string_view word : kWords) {
      if (rest.starts_with(word)) {
        rest.remove_prefix(word.size());
        any = true;
      }
    }
    if (rest.starts_with("[abi:") || rest.starts_with("::")) return true;
  }
  return false;
}

// The leftmost "operator" outside of brackets, npos if there is none.
size_t first_operator(std::string_view text) {
  size_t found = std::string_view::npos;
  visit_outside(text, [&](size_t i) {
    if (i + 1 >= kOperator.size() && operator_before(text, i + 1) &&
        (i + 1 == text.size() || !is_identifier(text[i + 1]))) {
      found = i + 1 - kOperator.size();
    }
    return true;
  });
  // A symbol hides the last letter of its word from the visit.
  for (size_t at = text.find(kOperator); at < found; at = text.find(kOperator, at + 1)) {
    const size_t end = at + kOperator.size();
    if (!operator_before(text, end) || end >= text.size() || is_identifier(text[end])) continue;
    bool outside = false;
    visit_outside(text, [&](size_t i) {
      outside = outside || i == at;
      return i > at;
    });
    if (outside) return at;
  }
  return found;
}

// Removes what stands before the name.
std::string_view strip_return_type(std::string_view text) {
  const size_t op = first_operator(text);
  size_t begin = 0;
  visit_outside(text, [&](size_t i) {
    if (text[i] != ' ' || i > op || is_scope_qualifier(text.substr(i + 1))) return true;
    begin = i + 1;
    return false;
  });
  return text.substr(begin);
}

// "(*name<int>(int))" of a return type that surrounds the name.
std::string name_in_declarator(std::string_view text) {
  const size_t begin = group_begin(text, '(', ')');
  if (begin == std::string_view::npos) return {};
  std::string_view inner = text.substr(begin + 1, text.size() - begin - 2);
  const size_t star = inner.find_first_of("*&");
  if (star == std::string_view::npos) return {};
  inner.remove_prefix(star);
  while (inner.starts_with('*') || inner.starts_with('&') || inner.starts_with(' ')) {
    inner.remove_prefix(1);
  }
  return strip_signature(inner);
}

}  // namespace

std::string strip_signature(std::string_view text) {
  const std::string_view whole = text;
  strip_tail(&text);
  // "int (&name<int>(int)) [4]"
  const size_t array = text.ends_with(']') ? group_begin(text, '[', ']') : std::string_view::npos;
  if (array != std::string_view::npos && array > 0 && text[array - 1] == ' ') {
    std::string_view element = text.substr(0, text.find_last_not_of(" []0123456789") + 1);
    const std::string name = name_in_declarator(element);
    return name.empty() ? std::string(whole) : name;
  }
  const size_t parameters = group_begin(text, '(', ')');
  if (parameters == std::string_view::npos || parameters == 0) return std::string(whole);
  const std::string_view name = text.substr(0, parameters);
  // "void (*name<int>(int))(char)"; but "A::operator()" and "A::operator void (*)(int)" end so too.
  if (name.ends_with(')') && operator_symbol(name, name.size() - 1) == std::string_view::npos &&
      first_operator(name) == std::string_view::npos) {
    std::string inner = name_in_declarator(name);
    return inner.empty() ? std::string(whole) : inner;
  }
  return std::string(strip_return_type(name));
}

}  // namespace residue
