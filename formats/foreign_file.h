// The kinds of file that people pass by mistake, so that a message can say what a file is.
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace residue {

// "is empty", "is a zip archive, not a dump", …: the end of a sentence about a file that no format
// knows.
std::string describe_foreign(std::span<const std::byte> bytes);

}  // namespace residue
