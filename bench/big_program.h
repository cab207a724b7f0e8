// What the units of `big` have in common; see big_unit.cpp.
#pragma once

#include <cstdint>

namespace big {

using Unit = std::uint64_t (*)(std::uint64_t seed);

// Called by each unit before main.
void register_unit(Unit unit);

}  // namespace big
