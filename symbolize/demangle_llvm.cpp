#include "symbolize/demangle_llvm.h"

#include <llvm/Demangle/Demangle.h>

#include <array>
#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <utility>

namespace residue {
namespace {

constexpr size_t kMaxName = 16384;
// The last component of an old name is "h" and 16 hexadecimal digits.
constexpr size_t kHashLength = 17;

// What the older mangling writes for characters that assemblers do not like (rustc's
// compiler/rustc_symbol_mangling/src/legacy.rs, since 2014).
constexpr std::array<std::pair<std::string_view, char>, 8> kEscapes = {{{"SP", '@'},
                                                                        {"BP", '*'},
                                                                        {"RF", '&'},
                                                                        {"LT", '<'},
                                                                        {"GT", '>'},
                                                                        {"LP", '('},
                                                                        {"RP", ')'},
                                                                        {"C", ','}}};

// LLVM's demanglers return memory of malloc, or null.
std::optional<std::string> take(char* text) {
  const std::unique_ptr<char, void (*)(void*)> owned(text, std::free);
  if (text == nullptr) return std::nullopt;
  return std::string(text);
}

bool is_hash(std::string_view part) {
  return part.size() == kHashLength && part.front() == 'h' &&
         part.find_first_not_of("0123456789abcdef", 1) == std::string_view::npos;
}

// "$u7e$": a code point. Only ASCII is written so in practice; others stay as they are.
std::optional<char> unescape(std::string_view code) {
  for (const auto& [name, c] : kEscapes) {
    if (code == name) return c;
  }
  if (code.size() < 2 || code.front() != 'u') return std::nullopt;
  uint32_t value = 0;
  const auto [end, error] = std::from_chars(code.data() + 1, code.data() + code.size(), value, 16);
  if (error != std::errc() || end != code.data() + code.size() || value < 0x20 || value >= 0x7f) {
    return std::nullopt;
  }
  return static_cast<char>(value);
}

void append_part(std::string_view part, std::string* out) {
  // An underscore keeps an escape from being the first character.
  if (part.starts_with("_$")) part.remove_prefix(1);
  while (!part.empty()) {
    if (part.starts_with("..")) {
      *out += "::";
      part.remove_prefix(2);
      continue;
    }
    if (part.front() == '$') {
      const size_t end = part.find('$', 1);
      const auto c =
          end == std::string_view::npos ? std::nullopt : unescape(part.substr(1, end - 1));
      if (c) {
        *out += *c;
        part.remove_prefix(end + 1);
        continue;
      }
    }
    *out += part.front();
    part.remove_prefix(1);
  }
}

std::optional<std::string> demangle_legacy(std::string_view name) {
  name.remove_prefix(3);  // "_ZN"
  std::string out;
  bool hashed = false;
  while (!name.empty() && name.front() != 'E') {
    size_t length = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), length);
    const auto digits = static_cast<size_t>(end - name.data());
    if (error != std::errc() || length == 0 || length > name.size() - digits) return std::nullopt;
    const std::string_view part = name.substr(digits, length);
    name.remove_prefix(digits + length);
    hashed = is_hash(part) && name.starts_with('E');
    if (hashed) break;
    if (!out.empty()) out += "::";
    append_part(part, &out);
  }
  if (!hashed || out.empty()) return std::nullopt;
  return out;
}

}  // namespace

std::optional<std::string> demangle_rust(std::string_view name) {
  if (name.size() > kMaxName) return std::nullopt;
  // LLVM appends this to what it moves between units; it says nothing to a reader.
  name = name.substr(0, name.find(".llvm."));
  if (name.starts_with("_ZN")) return demangle_legacy(name);
  if (!name.starts_with("_R")) return std::nullopt;
  return take(llvm::rustDemangle(name));
}

std::optional<std::string> demangle_with_llvm(const std::string& name, bool with_parameters) {
  if (name.size() > kMaxName) return std::nullopt;
  return take(llvm::itaniumDemangle(name, with_parameters));
}

}  // namespace residue
