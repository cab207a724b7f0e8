// Usage: what is used and leaked per type, owner, module, size and heap; and the account of all
// bytes.
#pragma once

#include <vector>

#include "analyzer/heaps.h"
#include "analyzer/snapshot.h"
#include "formats/image.h"

namespace residue {

// One pass over the chunks. Rows of each dimension are sorted by used bytes, most first. REQUIRES:
// all columns of snapshot.chunks, and its types, owners and heaps, are filled in.
std::vector<UsageRow> count_usage(const Snapshot& snapshot);

// Disjoint categories that add up to the sizes of all regions of the image.
std::vector<AccountRow> account_bytes(const Image& image, const Snapshot& snapshot,
                                      const std::vector<AddressRange>& claimed);

}  // namespace residue
