// What LLVM's demangler is needed for: Rust, and C++ that GCC's runtime cannot read. Apart from the
// rest because LLVM's include directory may hold another <cxxabi.h>.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace residue {

// "_RNvCs1234_7mycrate3foo" (v0, RFC 2603) or "_ZN7mycrate3foo17h0123456789abcdefE" (the older one,
// which looks like C++): "mycrate::foo", without hashes. nullopt for what is neither.
std::optional<std::string> demangle_rust(std::string_view name);

// A C++ name; `with_parameters`: as LLVM prints it, else only the qualified name.
std::optional<std::string> demangle_with_llvm(const std::string& name, bool with_parameters);

}  // namespace residue
