// Readable C++ names.
#pragma once

#include <optional>
#include <string>

namespace residue {

// A mangled function or variable name ("_ZN3foo3barE") made readable; other names unchanged.
std::string demangle_symbol(const std::string& name);

// The readable name of a function: without return type and parameters, as gdb's `bt` prints it.
std::string function_name(const std::string& mangled);

// A mangled type name as type_info holds it ("7Session", "N3foo3BarE"); nullopt if it is not one.
std::optional<std::string> demangle_type(const std::string& name);

}  // namespace residue
