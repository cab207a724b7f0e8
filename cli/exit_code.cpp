#include "cli/commands.h"

namespace residue {

int exit_code(const Error& error) {
  switch (error.code) {
    case ErrorCode::kUsage:
    case ErrorCode::kNotFound:
      return kExitUsage;
    case ErrorCode::kTruncated:
    case ErrorCode::kCorrupt:
    case ErrorCode::kUnsupported:
    case ErrorCode::kNotMapped:
    case ErrorCode::kIo:
      return kExitInput;
    case ErrorCode::kNoSpace:
    case ErrorCode::kInternal:
      break;
  }
  return kExitInternal;
}

}  // namespace residue
