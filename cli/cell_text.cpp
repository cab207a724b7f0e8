#include "cli/cell_text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "formats/base/text.h"

namespace residue {
namespace {

bool is_continuation(char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; }

// Length of the character at the start of `text`, which may be anything; 0 if it is not valid
// UTF-8.
size_t valid_length(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  if (lead < 0x80) return 1;
  size_t length = 1;
  while (length < 4 && length < text.size() && is_continuation(text[length])) ++length;
  // printable() knows the rules: it leaves a valid character alone, except for C1 controls.
  for (; length > 1; --length) {
    const std::string_view candidate = text.substr(0, length);
    const bool c1 = length == 2 && lead == 0xc2 && static_cast<unsigned char>(text[1]) < 0xa0;
    if (c1 || printable(candidate) == candidate) return length;
  }
  return 0;
}

void append_escape(std::string& out, unsigned code) {
  static constexpr char kDigits[] = "0123456789abcdef";
  out += "\\u00";
  out += kDigits[code >> 4 & 15];
  out += kDigits[code & 15];
}

void append_integer(std::string& out, int64_t value) {
  std::array<char, 24> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
  out.append(digits.data(), end);
}

// The shortest form that reads back the same, and that shows that it is not an integer.
void append_real(std::string& out, double value) {
  std::array<char, 32> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
  const std::string_view text(digits.data(), static_cast<size_t>(end - digits.data()));
  out += text;
  if (text.find_first_not_of("-0123456789") == std::string_view::npos) out += ".0";
}

}  // namespace

bool is_address_column(std::string_view name) {
  constexpr std::array<std::string_view, 12> kNames = {
      "address",   "base",    "start",   "head",         "pc",     "sp",
      "dominator", "suspect", "example", "accumulation", "source", "target"};
  return std::find(kNames.begin(), kNames.end(), name) != kNames.end() ||
         name.ends_with("_address");
}

void append_plain(std::string& out, const Cell& cell) {
  if (const auto* integer = std::get_if<int64_t>(&cell)) append_integer(out, *integer);
  if (const auto* real = std::get_if<double>(&cell)) append_real(out, *real);
  if (const auto* text = std::get_if<std::string_view>(&cell)) out += *text;
  if (const auto* blob = std::get_if<std::span<const std::byte>>(&cell)) out += hex_bytes(*blob);
}

void append_json(std::string& out, const Cell& cell, bool is_address) {
  if (const auto* integer = std::get_if<int64_t>(&cell)) {
    if (is_address) {
      out += '"' + hex(static_cast<uint64_t>(*integer)) + '"';
    } else {
      append_integer(out, *integer);
    }
  } else if (const auto* real = std::get_if<double>(&cell)) {
    if (std::isfinite(*real)) {
      append_real(out, *real);
    } else {
      out += "null";  // JSON has no infinity
    }
  } else if (const auto* text = std::get_if<std::string_view>(&cell)) {
    append_json_string(out, *text);
  } else if (const auto* blob = std::get_if<std::span<const std::byte>>(&cell)) {
    append_json_string(out, hex_bytes(*blob));
  } else {
    out += "null";
  }
}

void append_json_string(std::string& out, std::string_view text) {
  out += '"';
  while (!text.empty()) {
    const size_t length = valid_length(text);
    const auto lead = static_cast<unsigned char>(text[0]);
    if (length == 0) {
      out += "\xef\xbf\xbd";
    } else if (lead == '"' || lead == '\\') {
      out += '\\';
      out += text[0];
    } else if (lead == '\n') {
      out += "\\n";
    } else if (lead == '\t') {
      out += "\\t";
    } else if (lead < 0x20 || lead == 0x7f) {
      append_escape(out, lead);
    } else if (lead == 0xc2 && static_cast<unsigned char>(text[1]) < 0xa0) {
      append_escape(out, static_cast<unsigned char>(text[1]));
    } else {
      out += text.substr(0, length);
    }
    text.remove_prefix(std::max<size_t>(length, 1));
  }
  out += '"';
}

size_t count_characters(std::string_view text) {
  return text.size() -
         static_cast<size_t>(std::count_if(text.begin(), text.end(), is_continuation));
}

std::string cut_text(std::string_view text, size_t limit) {
  if (text.size() <= limit || count_characters(text) <= limit) return std::string(text);
  size_t characters = 0;
  size_t end = 0;
  for (; end < text.size(); ++end) {
    if (!is_continuation(text[end]) && ++characters == limit) break;
  }
  return std::string(text.substr(0, end)) + "…";
}

}  // namespace residue
