// What a demangled function's text consists of.
#pragma once

#include <string>
#include <string_view>

namespace residue {

// "unsigned long ns::A<int>::f<char>(char, int) const [clone .isra.0]" without return type,
// parameters and what follows them: "ns::A<int>::f<char>". REQUIRES: `text` is what the demangler
// of GCC's runtime made of a function's mangled name. Text without parameters is returned as it is.
std::string strip_signature(std::string_view text);

}  // namespace residue
