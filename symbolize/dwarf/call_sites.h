// Call sites, and the frames that tail calls took off the stack.
//
// A function that ends by jumping to another one leaves no frame. Compilers describe every call, so
// that it can be told: if the caller's call went to f, but g was entered, then f, or what f jumped
// to, jumped to g. Where exactly one way leads there, its frames are certain; where several do, the
// frames that all of them share, at either end, are. This is gdb's rule (GDB manual, "Tail Call
// Frames"), with what it refuses: calls through pointers, functions whose description is not
// complete, and functions without debug information on the way.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "symbolize/dwarf/debug_info.h"
#include "symbolize/dwarf/module_dwarf.h"
#include "symbolize/dwarf/names.h"
#include "symbolize/dwarf/unit_map.h"

namespace residue::dwarf {

class CallSites {
 public:
  // REQUIRES: all outlive this.
  CallSites(ModuleDwarf& dwarf, UnitMap& map) : dwarf_(dwarf), map_(map) {}

  // See DebugInfo::tail_calls().
  std::vector<std::vector<uint64_t>> tail_calls(std::span<const CallPair> pairs,
                                                const SymbolFinder& find_symbol);
  // See DebugInfo::called_symbol().
  std::string called_symbol(uint64_t return_pc);

 private:
  struct Site {
    uint64_t return_pc = 0;
    bool is_tail = false;
    // Where it goes, or the name of that, which has to be looked up; neither: not known.
    std::optional<uint64_t> target;
    std::string symbol;
  };
  struct Function {
    uint64_t entry = 0;
    bool is_complete = false;  // all of its tail calls are described
    std::vector<Site> sites;
  };
  struct Chain;
  class Search;

  void load(std::vector<uint64_t> pcs);
  void load_unit(const UnitHeader& header, std::span<const uint64_t> pcs);
  Function read_function(const Unit& unit, const Entry& function);
  Site read_site(const Unit& unit, const Entry& entry);
  void read_target(const Unit& unit, const Value& value, Site& site);
  // The call that returns to `return_pc`, null if none is described.
  const Site* site_before(uint64_t return_pc);
  // The function that holds `pc`, null if there is none.
  const Function* function_at(uint64_t pc);

  ModuleDwarf& dwarf_;
  UnitMap& map_;
  std::map<uint64_t, Function> functions_;                // by entry
  std::map<uint64_t, std::optional<uint64_t>> entry_of_;  // of pcs that were asked for
};

}  // namespace residue::dwarf
