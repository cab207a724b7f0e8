#include "formats/base/result.h"

#include "formats/base/text.h"

namespace residue {

std::string to_string(const Error& error) {
  if (!error.offset) return error.message;
  return error.message + " (at file offset " + hex(error.offset->value()) + ")";
}

}  // namespace residue
