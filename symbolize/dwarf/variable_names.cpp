#include "symbolize/dwarf/variable_names.h"

#include <algorithm>
#include <utility>

#include "symbolize/dwarf/scopes.h"

namespace residue::dwarf {
namespace {

// The entry that an instance of a variable was made from: the one in the abstract function. A
// declaration that the variable completes is another matter: where a global is declared inside of a
// function, that does not make it the function's.
EntryRef abstract_of(EntryRef entry) {
  for (int i = 0; i < Unit::kMaxChain; ++i) {
    const auto origin = entry.unit->follow(entry.entry, kAtAbstractOrigin);
    if (!origin) break;
    entry = *origin;
  }
  return entry;
}

// The functions around an entry, outermost first; empty for what is in none or in a class of one.
std::vector<Entry> functions_around(std::span<const Entry> scopes) {
  std::vector<Entry> functions;
  bool in_class = false;
  for (const Entry& scope : scopes) {
    const uint16_t tag = scope.tag();
    const bool is_function = tag == kTagSubprogram || tag == kTagInlinedSubroutine;
    const bool is_block = tag == kTagLexicalBlock || tag == kTagTryBlock || tag == kTagCatchBlock;
    if (is_function) functions.push_back(scope);
    in_class = !is_function && (in_class || !is_block);
  }
  if (in_class) functions.clear();
  return functions;
}

// "main()::operator()()::": a lambda of GCC has no linkage name that would say where it is.
std::string function_prefix(Names& names, const Unit& unit, std::span<const Entry> functions) {
  std::string prefix;
  for (const Entry& function : functions) {
    const std::string name = names.function({&unit, function});
    if (name.empty()) continue;
    // One with a linkage name has the outer ones in it.
    if (name.find("::") != std::string::npos) prefix.clear();
    prefix.append(name).append("()::");
  }
  return prefix;
}

// Indexes of `entries` in the order of the files, unit by unit.
std::vector<size_t> file_order(std::span<const EntryRef> entries) {
  std::vector<size_t> order(entries.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    const EntryRef& x = entries[a];
    const EntryRef& y = entries[b];
    return x.unit != y.unit ? x.unit < y.unit : x.entry.offset < y.entry.offset;
  });
  return order;
}

}  // namespace

std::vector<std::string> variable_names(Names& names, std::span<const EntryRef> variables) {
  std::vector<EntryRef> origins;
  origins.reserve(variables.size());
  for (const EntryRef& variable : variables) origins.push_back(abstract_of(variable));
  const std::vector<size_t> order = file_order(origins);
  std::vector<std::vector<Entry>> functions(variables.size());
  for (size_t first = 0; first < order.size();) {
    const Unit& unit = *origins[order[first]].unit;
    std::vector<uint64_t> offsets;
    size_t last = first;
    for (; last < order.size() && origins[order[last]].unit == &unit; ++last) {
      offsets.push_back(origins[order[last]].entry.offset);
    }
    const auto scopes = find_scopes(unit, offsets);
    for (size_t i = first; i < last; ++i) {
      functions[order[i]] = functions_around(scopes[i - first]);
    }
    first = last;
  }
  std::vector<EntryRef> global;
  for (size_t i = 0; i < variables.size(); ++i) {
    if (functions[i].empty()) global.push_back(variables[i]);
  }
  names.prepare(global);
  std::vector<std::string> result(variables.size());
  for (size_t i = 0; i < variables.size(); ++i) {
    if (functions[i].empty()) {
      result[i] = names.qualified(variables[i]);
      continue;
    }
    const std::string_view own = origins[i].unit->string(origins[i].entry, kAtName);
    if (own.empty()) continue;
    result[i] = function_prefix(names, *origins[i].unit, functions[i]);
    result[i].append(own);
  }
  return result;
}

Declaration Declarations::of(const EntryRef& entry) {
  Declaration declaration;
  if (const auto line = entry.unit->find_inherited(entry.entry, kAtDeclLine)) {
    if (line->value.is_constant()) declaration.line = static_cast<uint32_t>(line->value.number);
  }
  const auto file = entry.unit->find_inherited(entry.entry, kAtDeclFile);
  if (!file || !file->value.is_constant()) return declaration;
  // The index counts in the table of the unit that holds the attribute.
  const Unit* unit = file->where.unit;
  if (unit != unit_) {
    unit_ = unit;
    table_ = LineTable::of(*unit);
  }
  if (table_) {
    SourcePath path = table_->file(file->value.number);
    declaration.file = std::move(path.path);
    declaration.directory = static_cast<uint32_t>(path.directory);
  }
  return declaration;
}

}  // namespace residue::dwarf
