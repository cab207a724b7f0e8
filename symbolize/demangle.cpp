#include "symbolize/demangle.h"

#include <cxxabi.h>

#include <cstdlib>
#include <memory>

namespace residue {
namespace {

// Names come from dumps: longer ones are not worth the demangler's time and stack.
constexpr size_t kMaxName = 16384;

std::optional<std::string> demangle(const std::string& name) {
  if (name.size() > kMaxName) return std::nullopt;
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> text(
      abi::__cxa_demangle(name.c_str(), nullptr, nullptr, &status), std::free);
  if (status != 0 || text == nullptr) return std::nullopt;
  return std::string(text.get());
}

}  // namespace

std::string demangle_symbol(const std::string& name) {
  if (!name.starts_with("_Z")) return name;
  return demangle(name).value_or(name);
}

std::string function_name(const std::string& mangled) {
  std::string name = demangle_symbol(mangled);
  if (name == mangled) return name;
  for (const char* tail : {" const", " volatile", " &", " &&"}) {
    if (name.ends_with(tail)) name.resize(name.size() - std::string(tail).size());
  }
  if (!name.ends_with(')')) return name;
  int depth = 0;
  size_t at = name.size();
  while (at-- > 0) {
    if (name[at] == ')') ++depth;
    if (name[at] == '(' && --depth == 0) break;
  }
  name.resize(at);
  return name;
}

std::optional<std::string> demangle_type(const std::string& name) {
  // __cxa_demangle reads bare builtin codes ("i" is int) too; a class begins with its name's
  // length, or is nested (N), local (Z), std:: (St, Ss…), or a template of these.
  if (name.empty()) return std::nullopt;
  const char c = name.front();
  if (!(c >= '1' && c <= '9') && c != 'N' && c != 'Z' && c != 'S') return std::nullopt;
  return demangle(name);
}

}  // namespace residue
