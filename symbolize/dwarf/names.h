// Names: what functions, types and variables are called, as gdb prints them.
//
// A function with a linkage name is called what that demangles to, without return type and
// parameters. Every other name is composed from the enclosing namespaces and classes:
// "ns::Class<int>::run", "(anonymous namespace)::table". As in gdb, a function is no part of the
// names of what it encloses (a class local to f() is "Local", not "f()::Local"), and neither is an
// unnamed class.
//
// Results are kept: one Names a module. Not thread-safe.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "symbolize/dwarf/module_dwarf.h"
#include "symbolize/dwarf/unit.h"

namespace residue::dwarf {

class Names {
 public:
  // REQUIRES: `dwarf` outlives this.
  explicit Names(ModuleDwarf& dwarf) : dwarf_(dwarf) {}

  // Looks up the scopes of all of these in one walk a unit; without it each of the questions below
  // costs a walk.
  void prepare(std::span<const EntryRef> entries);

  // Of a subprogram or an inlined subroutine. Empty if it has no name.
  std::string function(const EntryRef& function);
  // Of a namespace, type, variable, …: with its scopes. Empty for what has no name.
  std::string qualified(const EntryRef& entry);
  // Of a type, as gdb's `whatis` writes it: "const char *", "int [10]", "void (*)(int)",
  // "ns::Box<int> &". A null unit is void.
  std::string type(const EntryRef& type);

 private:
  // What an entry and those that it completes or instantiates say together.
  struct Identity {
    std::string_view linkage_name;
    EntryRef named;        // has the name, and the template parameters that belong to it
    EntryRef declaration;  // stands in the scopes that the name is in
    const Unit* language = nullptr;
  };
  Identity identity_of(const EntryRef& entry) const;
  std::string compose(const Identity& identity, int depth);
  const std::string& prefix_of(const EntryRef& declaration, int depth);
  std::string prefix_of_path(const Unit& unit, std::span<const Entry> scopes, int depth);
  std::string own_name(const Unit& unit, const Entry& entry, int depth);
  std::string template_arguments(const Unit& unit, const Entry& entry, int depth);
  void append_template_arguments(const Unit& unit, const Entry& parent, int depth,
                                 std::vector<std::string>& arguments);
  std::string type_name(const EntryRef& type, int depth);
  std::string declare(const EntryRef& type, std::string inner, int depth);
  std::string declare_qualified(const EntryRef& type, std::string inner, int depth);
  std::string parameters(const EntryRef& type, int depth);

  static constexpr int kMaxTypes = 4096;

  ModuleDwarf& dwarf_;
  std::map<EntryKey, std::string> prefixes_;  // of declarations
  // Types that the name being built may still go through: those of a damaged file can refer to each
  // other in ways that multiply.
  int budget_ = 0;
};

}  // namespace residue::dwarf
