// Variables of one module's DWARF: globals and statics by address, parameters and locals by frame.
//
// Addresses are link-time ones (address in the process minus Module::bias) where nothing else is
// said. Not thread-safe: one worker per module.
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
#include "symbolize/dwarf/expression.h"

namespace residue {

class DebugFiles;
class SymbolFile;

struct Variable {
  // Qualified: "ns::table", "Class::member", and "ns::Class::run()::cache" for a static of a
  // function.
  std::string name;
  std::string type;  // as gdb writes it: "std::vector<Session*, std::allocator<Session*> >"
  std::string file;  // of the declaration; as SourceFrame::file
  // How many characters at the start of `file` are the compilation directory and its slash.
  uint32_t directory = 0;
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
  uint32_t directory = 0;
  uint32_t line = 0;
  uint64_t size = 0;  // bytes; 0 if unknown
  bool is_parameter = false;
  std::string function;  // the (maybe inlined) function it belongs to
  // Where it is: addresses are those of the process; one piece of kNone if it was optimised out, if
  // what it takes to find it is not known, or if its location is damaged.
  std::vector<LocationPiece> pieces;
};

// A frame as the locations of its variables see it: reg(), read(), cfa(), relocate() and tls() are
// the caller's to answer; the rest is filled in from DWARF.
class FrameContext : public ExpressionContext {
 public:
  // The frame that called this one, for parameters that are known only as "what was passed"; null
  // if it is not known, or not in the same module.
  virtual const FrameContext* caller() const { return nullptr; }
  // Link-time address of the instruction after the call that this frame is in.
  virtual uint64_t return_address() const { return 0; }
};

class Variables {
 public:
  // Finds the file of a split unit by compilation directory, name of the .dwo, and DWO id; null if
  // it is missing.
  using SplitFinder =
      std::function<const SymbolFile*(const std::string&, const std::string&, uint64_t)>;

  // REQUIRES: `files` outlives this.
  Variables(const DebugFiles& files, ModuleId module);
  // Over files that the caller found; `alternate` is dwz's, null if there is none. They must
  // outlive this.
  Variables(const SymbolFile& debug, const SymbolFile* alternate, SplitFinder find_split);
  ~Variables();
  Variables(const Variables&) = delete;
  Variables& operator=(const Variables&) = delete;

  // The global or static variable that holds `address`. A variable whose size is not known holds
  // only the address where it begins.
  std::optional<Variable> find(uint64_t address);
  // The same for many: one result an address, in their order. Costs one walk over each unit that
  // has a hit.
  std::vector<std::optional<Variable>> find(std::span<const uint64_t> addresses);
  // The thread-local variable that holds the byte at `offset` of the module's TLS block.
  std::optional<Variable> find_thread_local(uint64_t offset);
  // How many variables have an address.
  size_t count();

  // Parameters and variables in scope at `lookup_pc` (UnwoundFrame::lookup_pc() minus the bias):
  // those of the innermost inlined function first, out to the function itself; of each function the
  // parameters, then the variables of the innermost block first.
  std::vector<LocalVariable> locals(uint64_t lookup_pc, const FrameContext& frame);

  // What was damaged or missing on the way.
  const Diagnostics& diagnostics() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace residue
