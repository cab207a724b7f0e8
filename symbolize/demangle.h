// Readable C++ names.
#pragma once

#include <optional>
#include <string>

namespace residue {

// A mangled function or variable name ("_ZN3foo3barE") made readable; other names unchanged.
std::string demangle_symbol(const std::string& name);

// A mangled type name as type_info holds it ("7Session", "N3foo3BarE"); nullopt if it is not one.
std::optional<std::string> demangle_type(const std::string& name);

}  // namespace residue
