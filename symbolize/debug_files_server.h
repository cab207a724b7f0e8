// debuginfod through its client library, loaded when it is first needed: linking it would make
// every run pay for libcurl and what that needs.
#pragma once

#include <string>

#include "formats/base/result.h"

namespace residue {

enum class ServerFile : uint8_t { kDebugInfo, kExecutable };

// Asks the servers of DEBUGINFOD_URLS and returns the path of the file in the client's cache. Fails
// with kNotFound if no server has it, kUnsupported if DEBUGINFOD_URLS is not set or the library is
// not installed, kIo if the servers do not answer. Blocks for as long as DEBUGINFOD_TIMEOUT allows.
// Thread-safe.
Result<std::string> fetch_from_debuginfod(ServerFile kind, const std::string& build_id);

}  // namespace residue
