#include "symbolize/dwarf/debug_info.h"

#include <algorithm>
#include <map>
#include <utility>

#include "symbolize/debug_files.h"
#include "symbolize/dwarf/call_sites.h"
#include "symbolize/dwarf/functions.h"
#include "symbolize/dwarf/line_table.h"
#include "symbolize/dwarf/module_dwarf.h"
#include "symbolize/dwarf/names.h"
#include "symbolize/dwarf/unit_map.h"

namespace residue {

using namespace dwarf;

namespace {

// Names of functions kept between look-ups.
constexpr size_t kMaxNames = size_t{1} << 16;

}  // namespace

class DebugInfo::Impl {
 public:
  Impl(const SymbolFile* debug, const SymbolFile* alternate, ModuleDwarf::SplitFinder find_split) {
    if (debug == nullptr) return;
    dwarf_ = std::make_unique<ModuleDwarf>(*debug, alternate, std::move(find_split));
    map_ = std::make_unique<UnitMap>(dwarf_->main());
    names_ = std::make_unique<Names>(*dwarf_);
    calls_ = std::make_unique<CallSites>(*dwarf_, *map_);
  }

  std::vector<SourceFrames> look_up(std::span<const uint64_t> addresses);
  CallSites* calls() { return calls_.get(); }
  const Diagnostics& diagnostics() const { return dwarf_ ? dwarf_->diagnostics() : none_; }

 private:
  void look_up_unit(const UnitHeader& header, std::span<const uint64_t> addresses,
                    std::span<SourceFrames*> results);
  void prepare_names(const Unit& unit, std::span<const FunctionChain> chains);
  const std::string& name_of(const Unit& unit, const Entry& function);
  SourceFrames frames(const Unit& unit, const FunctionChain& chain, const LineTable* lines,
                      const LineRow& row);

  std::unique_ptr<ModuleDwarf> dwarf_;
  std::unique_ptr<UnitMap> map_;
  std::unique_ptr<Names> names_;
  std::unique_ptr<CallSites> calls_;
  std::map<EntryKey, std::string> function_names_;  // by what is named: abstract origins
  Diagnostics none_;
};

// Sorted and without repetitions, each address goes to the units that claim it; the units are read
// one after another, and the first that has a function for an address wins (another one may at
// least have a line).
std::vector<SourceFrames> DebugInfo::Impl::look_up(std::span<const uint64_t> addresses) {
  std::vector<SourceFrames> results(addresses.size());
  if (dwarf_ == nullptr) return results;
  std::vector<uint64_t> sorted(addresses.begin(), addresses.end());
  std::sort(sorted.begin(), sorted.end());
  sorted.erase(std::unique(sorted.begin(), sorted.end()), sorted.end());
  std::map<uint32_t, std::vector<size_t>> by_unit;
  for (size_t i = 0; i < sorted.size(); ++i) {
    for (const uint32_t unit : map_->find(sorted[i])) by_unit[unit].push_back(i);
  }
  std::vector<SourceFrames> found(sorted.size());
  for (const auto& [unit, indexes] : by_unit) {
    std::vector<uint64_t> wanted;
    std::vector<SourceFrames*> places;
    for (const size_t i : indexes) {
      if (!found[i].empty() && !found[i].back().function.empty()) continue;
      wanted.push_back(sorted[i]);
      places.push_back(&found[i]);
    }
    look_up_unit(dwarf_->main().units()[unit], wanted, places);
    dwarf_->trim();
  }
  for (size_t i = 0; i < addresses.size(); ++i) {
    const auto at = std::lower_bound(sorted.begin(), sorted.end(), addresses[i]);
    results[i] = found[static_cast<size_t>(at - sorted.begin())];
  }
  return results;
}

void DebugInfo::Impl::look_up_unit(const UnitHeader& header, std::span<const uint64_t> addresses,
                                   std::span<SourceFrames*> results) {
  const Unit* skeleton = dwarf_->main().unit(header);
  if (skeleton == nullptr || addresses.empty()) return;
  // Without its .dwo a skeleton may still hold the functions and what was inlined into them.
  const Unit* full = dwarf_->full(*skeleton);
  const Unit& unit = full != nullptr ? *full : *skeleton;
  const auto chains = find_functions(unit, addresses);
  prepare_names(unit, chains);
  std::string damage;
  const auto lines = LineTable::of(unit, &damage);
  if (!damage.empty()) {
    dwarf_->report(Severity::kDamage, "unit at " + hex(header.offset), std::move(damage));
  }
  std::vector<LineRow> rows(addresses.size());
  if (lines) {
    rows = lines->rows(addresses);
    dwarf_->touched(lines->size());
  }
  for (size_t i = 0; i < addresses.size(); ++i) {
    SourceFrames made = frames(unit, chains[i], lines ? &*lines : nullptr, rows[i]);
    if (results[i]->empty() || !chains[i].empty()) *results[i] = std::move(made);
  }
}

// Asks for all names of a unit at once: those that need the scopes of their entries share a walk.
void DebugInfo::Impl::prepare_names(const Unit& unit, std::span<const FunctionChain> chains) {
  std::vector<EntryRef> functions;
  for (const FunctionChain& chain : chains) {
    for (const FunctionLink& link : chain) functions.push_back({&unit, link.entry});
  }
  const auto before = [](const EntryRef& a, const EntryRef& b) {
    return a.entry.offset < b.entry.offset;
  };
  const auto same = [](const EntryRef& a, const EntryRef& b) {
    return a.entry.offset == b.entry.offset;
  };
  std::sort(functions.begin(), functions.end(), before);
  functions.erase(std::unique(functions.begin(), functions.end(), same), functions.end());
  names_->prepare(functions);
}

const std::string& DebugInfo::Impl::name_of(const Unit& unit, const Entry& function) {
  const EntryRef origin =
      unit.follow(function, kAtAbstractOrigin).value_or(EntryRef{&unit, function});
  const EntryKey key = origin.unit->key(origin.entry);
  const auto known = function_names_.find(key);
  if (known != function_names_.end()) return known->second;
  if (function_names_.size() >= kMaxNames) function_names_.clear();
  return function_names_.emplace(key, names_->function({&unit, function})).first->second;
}

// Innermost first. The line table has the innermost place; each inlined function says where it was
// called, which is the place in the next one.
SourceFrames DebugInfo::Impl::frames(const Unit& unit, const FunctionChain& chain,
                                     const LineTable* lines, const LineRow& row) {
  SourceFrames result;
  if (chain.empty() && row.line == 0) return result;
  uint64_t file = row.line == 0 ? 0 : row.file;
  bool has_file = row.line != 0;
  uint32_t line = row.line;
  uint32_t column = row.column;
  // What was inlined by nobody knows whom is no frame.
  std::vector<const FunctionLink*> links;
  for (const FunctionLink& link : chain) {
    if (links.empty() || link.has_call) links.push_back(&link);
  }
  const size_t count = std::max<size_t>(links.size(), 1);
  for (size_t i = 0; i < count; ++i) {
    SourceFrame frame;
    frame.line = line;
    frame.column = column;
    if (lines != nullptr && has_file) {
      SourcePath path = lines->file(file);
      frame.file = std::move(path.path);
      frame.directory = static_cast<uint32_t>(path.directory);
    }
    if (i < links.size()) {
      const FunctionLink& link = *links[links.size() - 1 - i];
      frame.function = name_of(unit, link.entry);
      frame.inlined = i + 1 < links.size();
      file = link.call_file;
      has_file = link.call_line != 0;
      line = link.call_line;
      column = link.call_column;
    }
    result.push_back(std::move(frame));
  }
  return result;
}

DebugInfo::DebugInfo(const DebugFiles& files, ModuleId module) {
  const ModuleFiles& found = files.of(module);
  impl_ = std::make_unique<Impl>(
      found.debug, found.alternate,
      [&files, module](const std::string& dir, const std::string& name, uint64_t id) {
        return files.split_unit(module, dir, name, id);
      });
}

DebugInfo::DebugInfo(const SymbolFile& debug, const SymbolFile* alternate, SplitFinder find_split)
    : impl_(std::make_unique<Impl>(&debug, alternate, std::move(find_split))) {}

DebugInfo::~DebugInfo() = default;

std::vector<SourceFrames> DebugInfo::look_up(std::span<const uint64_t> addresses) {
  return impl_->look_up(addresses);
}

std::vector<std::vector<uint64_t>> DebugInfo::tail_calls(std::span<const CallPair> pairs,
                                                         const SymbolFinder& find_symbol) {
  CallSites* calls = impl_->calls();
  if (calls == nullptr) return std::vector<std::vector<uint64_t>>(pairs.size());
  return calls->tail_calls(pairs, find_symbol);
}

std::string DebugInfo::called_symbol(uint64_t return_pc) {
  CallSites* calls = impl_->calls();
  return calls == nullptr ? std::string() : calls->called_symbol(return_pc);
}

const Diagnostics& DebugInfo::diagnostics() const { return impl_->diagnostics(); }

}  // namespace residue
