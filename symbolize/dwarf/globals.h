// Globals: which variable of static storage lies at an address of a module.
//
// One pass over all units collects every variable that has an address: globals, static members,
// statics of functions (also of inlined ones and in blocks), thread-local ones. A variable is 20
// bytes then; names, types and lines are decoded only for those that are asked for. The pass costs
// what streaming .debug_info costs (some 20 ns an entry) and is done at the first question.
//
// Addresses are link-time ones. Those of code and data that the linker dropped never match.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "symbolize/dwarf/module_dwarf.h"
#include "symbolize/dwarf/type_size.h"

namespace residue::dwarf {

class Globals {
 public:
  // REQUIRES: `dwarf` outlives this.
  explicit Globals(ModuleDwarf& dwarf) : dwarf_(dwarf) {}

  struct Hit {
    uint64_t address = 0;  // of the variable; or its offset in the module's TLS block
    uint64_t size = 0;     // 0 if unknown: then only this address is known to be the variable's
    EntryKey entry;        // the entry that has the location; see variable_names.h for its name
    bool is_thread_local = false;
  };

  // The variable that holds `address`.
  std::optional<Hit> find(uint64_t address);
  // The variable that holds the byte at `offset` of the module's block of thread-local variables.
  std::optional<Hit> find_thread_local(uint64_t offset);
  // How many variables have an address.
  size_t count();

 private:
  // Packed: a program may have millions.
  struct Record {
    uint32_t low = 0, high = 0;  // halves of the address
    uint32_t size = 0;           // kHuge: more than fits; then the type says it
    uint32_t unit = 0;           // index in the main file's units
    uint32_t entry = 0;          // offset in that unit (of a skeleton: in its split unit)

    uint64_t address() const { return uint64_t{high} << 32 | low; }
  };
  static constexpr uint32_t kHuge = UINT32_MAX;

  void load();
  void read_unit(const Unit& unit, uint32_t index);
  void read_variable(const Unit& unit, const Entry& entry, uint32_t index);
  void add(std::vector<Record>& records, uint64_t address, uint64_t size, Record rest);
  std::optional<Hit> find_in(const std::vector<Record>& records, uint64_t address);
  std::optional<EntryRef> entry_of(const Record& record);

  ModuleDwarf& dwarf_;
  bool loaded_ = false;
  std::vector<Record> static_;  // by address
  std::vector<Record> thread_local_;
  TypeSizes sizes_;
};

}  // namespace residue::dwarf
