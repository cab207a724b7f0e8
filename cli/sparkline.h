// A series of numbers as a line of bars: "▁▂▃▅▇█", or "._-:=+*#" where the terminal has no UTF-8.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace residue {

inline constexpr size_t kSparklineCells = 24;

// At most `cells` bars, each the mean of as many neighbours, scaled from the lowest to the highest
// value; a range of less than a twentieth of the highest value does not fill the height, so that
// noise looks like noise. `warm_up`: leading values behind which a bar '|' is set, 0 for none.
std::string sparkline(std::span<const int64_t> values, size_t warm_up, bool utf8,
                      size_t cells = kSparklineCells);

// Whether the environment's locale (LC_ALL, else LC_CTYPE, else LANG) is one of UTF-8.
bool locale_is_utf8();

}  // namespace residue
