// DebugInfo: what one module's DWARF says about addresses.
//
// A streaming reader: units are indexed once (headers, address ranges), and a look-up walks only
// the subtrees that hold the wanted addresses; no tree of entries is ever built. Addresses are
// link-time ones (address in the process minus Module::bias). Not thread-safe: one worker per
// module.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "formats/base/diagnostics.h"
#include "formats/image.h"

namespace residue {

class DebugFiles;
class SymbolFile;

// A place in the source. `function` is readable and qualified, without return type and parameters,
// as gdb prints it: "ns::Class<int>::run". Empty strings and 0 where something is unknown.
struct SourceFrame {
  std::string function;
  std::string
      file;  // as the compiler recorded it: absolute, or joined with the compilation directory
  // How many characters at the start of `file` are the compilation directory and its slash: without
  // them it is the name that the compiler was given, which is what gdb prints.
  uint32_t directory = 0;
  uint32_t line = 0;
  uint32_t column = 0;
  bool inlined = false;  // this function's code was inlined into the next frame's
};

// Innermost first: zero or more inlined frames, then the function itself. Empty: not in any unit.
using SourceFrames = std::vector<SourceFrame>;

// A frame and its caller's, for DebugInfo::tail_calls().
struct CallPair {
  uint64_t return_pc = 0;  // where the caller goes on
  uint64_t callee_pc = 0;  // any place in the frame's function; its entry if that has no DWARF
  // The entry of the function that was called, if the caller is in another module: then `return_pc`
  // means nothing here.
  std::optional<uint64_t> called = std::nullopt;
};

// The link-time address of a function by its (mangled) name; nullopt if the module does not define
// it.
using SymbolFinder = std::function<std::optional<uint64_t>(const std::string&)>;

class DebugInfo {
 public:
  // Finds the file of a split unit by compilation directory, name of the .dwo, and DWO id; null if
  // it is missing.
  using SplitFinder =
      std::function<const SymbolFile*(const std::string&, const std::string&, uint64_t)>;

  // REQUIRES: `files` outlives this.
  DebugInfo(const DebugFiles& files, ModuleId module);
  // Over files that the caller found; `alternate` is dwz's, null if there is none. They must
  // outlive this.
  DebugInfo(const SymbolFile& debug, const SymbolFile* alternate, SplitFinder find_split);
  ~DebugInfo();
  DebugInfo(const DebugInfo&) = delete;
  DebugInfo& operator=(const DebugInfo&) = delete;

  // One result for each of `addresses`, in their order. One pass over the units that hold them,
  // however many there are.
  std::vector<SourceFrames> look_up(std::span<const uint64_t> addresses);

  // The frames that tail calls took off the stack between the frames of each pair, innermost first:
  // their return addresses (look up one less). Empty where nothing was, or where that is not
  // certain. See call_sites.h. Ask for all pairs of a module at once.
  std::vector<std::vector<uint64_t>> tail_calls(std::span<const CallPair> pairs,
                                                const SymbolFinder& find_symbol);
  // What the call that returns to `return_pc` goes to by its name alone, as another module's
  // functions are called; empty if it does not, or nothing is known of the call.
  std::string called_symbol(uint64_t return_pc);

  // What was damaged or missing on the way.
  const Diagnostics& diagnostics() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace residue
