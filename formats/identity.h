// Who was dumped, and which dump it is: short texts that can be compared across files.
#pragma once

#include <string>

#include "formats/image.h"

namespace residue {

// 16 hexadecimal digits that are equal for copies of one dump: a hash (XXH64) over its size and its
// pages; of a dump larger than kWholeDump over those at its beginning and its end and kSampledPages
// at even distances between, so that 10 GB stay cheap. Pages of zeros are left out: whether they
// are holes of a sparse file makes no difference. `file` is the dump as it was written, unpacked.
// Equal texts of large dumps are strong evidence, no proof: an idle process changes few pages.
std::string identify_dump(const MappedFile& file);
inline constexpr uint64_t kWholeDump = uint64_t{64} << 20;
inline constexpr uint64_t kSampledPages = 4096;

// 16 hexadecimal digits that are equal for dumps of one process: a hash (XXH64) over its id and the
// 16 random bytes that the kernel gave it when its program began (AT_RANDOM points to them). The
// children of a fork share the bytes and differ by the id. Empty if either is not in the dump, or
// if the bytes are all alike, as what was overwritten or never read is.
std::string identify_process(const Image& image, Address random);

}  // namespace residue
