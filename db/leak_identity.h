// What a leak is called from one dump to the next.
//
// A row of `cluster` describes one kind of leak by its shape, in which the lengths of texts and
// buffers are whatever this process happened to hold. The identity leaves out all that differs
// from run to run without meaning: these lengths, what is shared, and what stable_name() takes out.
// Two rows of one snapshot can have one identity; their numbers add up.
#pragma once

#include <string>
#include <string_view>

namespace residue {

// `type` and `module` are those of the cluster's head, empty if unknown; `shape` is cluster.shape,
// or any text (of a database that somebody else wrote): then it counts as it is.
std::string leak_identity(std::string_view type, std::string_view module, std::string_view shape);

}  // namespace residue
