// Symbolizer: the one place where addresses of the process get names.
//
// Code: debug information first (with inlined functions and lines), else the symbol table. Data:
// the variable of the debug information first, else the symbol. Everything is read when it is first
// asked for, and a batch of addresses costs one pass over each module it touches; modules are read
// in parallel.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "formats/base/diagnostics.h"
#include "formats/file_search.h"
#include "formats/image.h"
#include "symbolize/debug_files.h"
#include "symbolize/dwarf/variables.h"
#include "symbolize/symbol_table.h"
#include "symbolize/unwind/unwinder.h"

namespace residue {

// A place in the code, for people. Empty strings and 0 where something is unknown.
struct CodePlace {
  ModuleId module = kNone<ModuleId>;
  // Readable. From debug information without parameters ("ns::Class<int>::run"), from a symbol
  // table as the symbol has it ("ns::Class<int>::run()").
  std::string function;
  std::string file;
  uint32_t line = 0;
  uint32_t column = 0;
  bool inlined = false;            // this function's code was inlined into the next place's
  std::optional<uint64_t> offset;  // from the function's start
};

// A variable that is not on a stack.
struct DataPlace {
  ModuleId module = kNone<ModuleId>;
  std::string name;  // readable: "ns::table"
  std::string type;  // empty if only the symbol table knows it
  std::string file;  // of the declaration
  uint32_t line = 0;
  Address address;    // where it begins
  uint64_t size = 0;  // bytes; 0 if unknown
};

class Symbolizer {
 public:
  // `jobs`: how many threads a batch may use, 0 for one per processor. REQUIRES: `image` outlives
  // this.
  Symbolizer(const Image& image, FileSearch search, unsigned jobs);
  ~Symbolizer();
  Symbolizer(const Symbolizer&) = delete;
  Symbolizer& operator=(const Symbolizer&) = delete;

  // For each address (to be looked up as it is: callers subtract 1 from return addresses) the
  // inlined functions innermost first, then the function itself. Never empty for an address inside
  // a module: then at least the module is known.
  std::vector<std::vector<CodePlace>> places(std::span<const uint64_t> addresses);

  // Puts the frames that tail calls took off the stacks back in, where call sites leave no doubt
  // (trust kCallSite; as gdb does).
  void add_tail_calls(std::vector<UnwoundStack>* stacks);

  // The global or static variable that holds `a`.
  std::optional<DataPlace> data(Address a);
  // The thread-local variable that holds `a` in the block of the thread with this index.
  std::optional<DataPlace> thread_local_data(size_t thread, Address a);
  // The variables of a module; null if it has no debug information.
  Variables* variables(ModuleId module);

  const DebugFiles& files() const;
  const SymbolTable& symbols() const;
  // What was damaged or missing so far.
  Diagnostics diagnostics() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace residue
