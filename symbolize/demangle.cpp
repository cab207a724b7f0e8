#include "symbolize/demangle.h"

#include <cxxabi.h>

#include <cstdlib>
#include <memory>
#include <utility>

#include "symbolize/demangle_llvm.h"
#include "symbolize/function_text.h"

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
  // The older Rust names are valid C++ ones, but for their hash.
  if (auto rust = demangle_rust(name)) return std::move(*rust);
  if (!name.starts_with("_Z")) return name;
  if (auto text = demangle(name)) return std::move(*text);
  return demangle_with_llvm(name, /*with_parameters=*/true).value_or(name);
}

std::string function_name(const std::string& name) {
  if (auto rust = demangle_rust(name)) return std::move(*rust);
  if (!name.starts_with("_Z")) return name;
  if (const auto text = demangle(name)) {
    // Special names (Itanium C++ ABI 5.1.4): vtables, thunks, guards.
    if (name.starts_with("_ZT") || name.starts_with("_ZG")) return *text;
    std::string function = strip_signature(*text);
    // No function's name ends in a closure type: the demangler has put the name into the return
    // type's parameters.
    if (!function.ends_with('}')) return function;
  }
  // Without parameters LLVM's does not look at the rest of the name: whole, it must be one.
  if (!demangle_with_llvm(name, /*with_parameters=*/true)) return name;
  return demangle_with_llvm(name, /*with_parameters=*/false).value_or(name);
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
