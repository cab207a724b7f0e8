// The laws that every Image keeps, whatever bytes it came from (the contracts in formats/image.h).
#pragma once

#include <string>
#include <vector>

#include "formats/image.h"

namespace residue::testing {

// One line for each law that is broken; empty for a lawful image. Looks at every region, module and
// thread, and reads through view(), read() and word() at the edges of each region.
std::vector<std::string> broken_laws(const Image& image);

}  // namespace residue::testing
