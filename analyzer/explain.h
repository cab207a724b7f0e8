// Explain: everything that is known of one address.
#pragma once

#include <string>
#include <vector>

#include "analyzer/pipeline.h"
#include "analyzer/snapshot.h"
#include "symbolize/symbolizer.h"

namespace residue {

// One line of the explanation; lines with equal topics follow each other.
struct ExplainLine {
  std::string topic;  // 'region', 'chunk', 'content', 'referrer', 'path', …
  std::string text;
};

// Never empty: an address that is not mapped is explained as that. REQUIRES: `snapshot` and
// `evidence` come from one analysis of `image`.
std::vector<ExplainLine> explain(const Image& image, Symbolizer* symbolizer,
                                 const Snapshot& snapshot, const Evidence& evidence,
                                 Address address);

}  // namespace residue
