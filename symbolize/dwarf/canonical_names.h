// One spelling for C and C++ types that compilers write differently.
//
// GCC calls a type "long unsigned int", clang "unsigned long"; in template arguments GCC writes
// "char const*" and clang "const char *". Debuggers and demanglers agree on one form, which is what
// these give, so that a type has the same name wherever it comes from.
#pragma once

#include <string>
#include <string_view>

namespace residue::dwarf {

// "long unsigned int" → "unsigned long"; names of all other types unchanged.
std::string canonical_base_type(std::string_view name);

// A C++ name with its template arguments: "vector<const char *, 5UL>" → "vector<char const*, 5ul>".
// Names with function types among the arguments, and what is not understood, unchanged (as in gdb).
std::string canonical_template_name(std::string_view name);

}  // namespace residue::dwarf
