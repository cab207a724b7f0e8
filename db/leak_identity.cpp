// The shape "{app::Session, 2 × 24-56 bytes of text, app::Request}" (analyzer/cluster_shapes.cpp)
// is taken apart at its commas. A part that is only a size says how many members there are whose
// type nobody knows: under a head whose type is known only their number counts, as it does where
// shapes are folded; under a head that is known by its size alone, exact sizes are all there is.
// Only a head that is text is as long as its text happens to be: it counts by the power of two
// that holds it, so that most texts keep their identity and a lost buffer is not taken for a lost
// name.
#include "db/leak_identity.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstdint>
#include <vector>

#include "db/stable_name.h"

namespace residue {
namespace {

constexpr std::string_view kTimes = " × ";

bool eat(std::string_view* text, std::string_view what) {
  if (!text->starts_with(what)) return false;
  text->remove_prefix(what.size());
  return true;
}

bool eat_number(std::string_view* text, uint64_t* value) {
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), *value);
  if (error != std::errc()) return false;
  text->remove_prefix(static_cast<size_t>(end - text->data()));
  return true;
}

struct Part {
  std::string_view name;  // without its number
  uint64_t count = 1;
  bool sized = false;  // "40 bytes", "24-56 bytes of text": not a type
  bool exact = false;  // "40 bytes"
  uint64_t size = 0;   // of one that is sized, the largest
};

Part part_of(std::string_view text) {
  Part part;
  std::string_view rest = text;
  uint64_t number = 0;
  if (eat_number(&rest, &number) && eat(&rest, kTimes)) {
    part.count = number;
  } else {
    rest = text;
  }
  part.name = rest;
  if (!eat_number(&rest, &number)) return part;
  const bool range = eat(&rest, "-") && eat_number(&rest, &number);
  part.sized = rest == " bytes" || rest == " bytes of text";
  part.exact = part.sized && !range && rest == " bytes";
  part.size = number;
  return part;
}

// Parts of "{a, b<c, d>, e}" and what is behind the brace. Commas inside brackets are a type's own.
std::vector<std::string_view> split(std::string_view shape) {
  std::vector<std::string_view> parts;
  if (!eat(&shape, "{")) return parts;
  int depth = 0;
  size_t begin = 0;
  for (size_t i = 0; i < shape.size(); ++i) {
    const char c = shape[i];
    if (c == '<' || c == '(' || c == '[' || c == '{') ++depth;
    if (c == '>' || c == ')' || c == ']') depth = std::max(0, depth - 1);
    if (c == '}' && depth-- == 0) {
      parts.push_back(shape.substr(begin, i - begin));
      return parts;
    }
    if (c != ',' || depth > 0) continue;
    parts.push_back(shape.substr(begin, i - begin));
    begin = i + 1;
    if (shape.substr(begin).starts_with(" ")) ++begin;
  }
  return {};  // unbalanced: none of ours
}

}  // namespace

std::string leak_identity(std::string_view type, std::string_view module, std::string_view shape) {
  std::string identity = stable_name("module", module);
  identity.append("|").append(stable_name("type", type)).append("|");
  const std::vector<std::string_view> texts = split(shape);
  if (texts.empty()) return identity.append(stable_name("shape", shape));
  // A head that is only a size, or text, has no type that says what its members are.
  const Part head = part_of(texts.front());
  const bool typed = !head.sized;
  constexpr uint64_t kShortText = 64;
  if (head.sized && !head.exact) {
    const uint64_t holds = std::max(kShortText, std::min(head.size, uint64_t{1} << 62));
    identity.append("text of ").append(std::to_string(std::bit_ceil(holds))).append(", ");
  }
  uint64_t loose = 0;
  std::vector<std::string> names;
  for (const std::string_view text : texts) {
    const Part part = part_of(text);
    if (part.sized && (typed || !part.exact)) {
      loose += part.count;
    } else {
      names.push_back(
          std::to_string(part.count).append(kTimes).append(stable_name("type", part.name)));
    }
  }
  std::sort(names.begin(), names.end());
  for (const std::string& name : names) identity.append(name).append(", ");
  return identity.append(std::to_string(loose)).append(" others");
}

}  // namespace residue
