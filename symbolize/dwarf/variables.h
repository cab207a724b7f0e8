// Variables of one module's DWARF: globals and statics by address, parameters and locals by frame.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "symbolize/dwarf/expression.h"

namespace residue {

struct Variable {
  std::string name;  // qualified as gdb does: "ns::table", "function()::static_name" for statics
  std::string type;  // "std::vector<Session*>"; empty if unknown
  std::string file;  // of the declaration
  uint32_t line = 0;
  uint64_t address = 0;          // link-time
  uint64_t size = 0;             // bytes; 0 if unknown
  bool is_thread_local = false;  // then `address` is the offset in the module's TLS block
};

// A parameter or local variable of a frame, at the frame's pc.
struct LocalVariable {
  std::string name;
  std::string type;
  std::string file;
  uint32_t line = 0;
  uint64_t size = 0;
  bool is_parameter = false;
  std::string function;               // the (maybe inlined) function it belongs to
  std::vector<LocationPiece> pieces;  // addresses are those of the process
};

}  // namespace residue
