// Readable C++ and Rust names.
#pragma once

#include <optional>
#include <string>

namespace residue {

// A mangled function or variable name ("_ZN3foo3barEi", "_RNvC3foo3bar") made readable, with
// parameters: "foo::bar(int)"; other names unchanged.
std::string demangle_symbol(const std::string& name);

// The same without return type, parameters, qualifiers of `this` and suffixes of clones, as gdb's
// backtraces and `c++filt -p` have it: "foo::bar". Names of what is no function (vtables, thunks,
// guard variables) as demangle_symbol() gives them.
std::string function_name(const std::string& name);

// A mangled type name as type_info holds it ("7Session", "N3foo3BarE"); nullopt if it is not one.
std::optional<std::string> demangle_type(const std::string& name);

}  // namespace residue
