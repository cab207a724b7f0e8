#include "symbolize/dwarf/call_sites.h"

#include <algorithm>
#include <set>

#include "symbolize/dwarf/entry_cursor.h"
#include "symbolize/dwarf/functions.h"
#include "symbolize/dwarf/ranges.h"

namespace residue::dwarf {
namespace {

// Bounds of one search: functions gone through, and calls on the way.
constexpr size_t kMaxSteps = 4096;
constexpr size_t kMaxChain = 64;
// Call sites kept of one function.
constexpr size_t kMaxSites = size_t{1} << 16;

}  // namespace

// What is common to all ways that were found.
struct CallSites::Chain {
  std::vector<const Site*> sites;  // of the first way, the outermost call first
  size_t callers = 0;              // how many at its start all ways share
  size_t callees = 0;              // and at its end

  // Narrows to what the way `other` shares; false if that is nothing.
  bool meet(const std::vector<const Site*>& other) {
    callers = std::min(callers, other.size());
    callees = std::min(callees, other.size());
    for (size_t i = 0; i < callers; ++i) {
      if (sites[i] != other[i]) callers = i;
    }
    for (size_t i = 0; i < callees; ++i) {
      if (sites[sites.size() - 1 - i] != other[other.size() - 1 - i]) callees = i;
    }
    return callers + callees != 0;
  }

  // Innermost first.
  std::vector<uint64_t> pcs() const {
    std::vector<uint64_t> found;
    const size_t size = sites.size();
    for (size_t i = 0; i < callees; ++i) found.push_back(sites[size - 1 - i]->return_pc);
    if (callees == size) return found;
    for (size_t i = callers; i-- > 0;) found.push_back(sites[i]->return_pc);
    return found;
  }
};

// Goes depth first through the tail calls that can follow a call.
class CallSites::Search {
 public:
  Search(CallSites& calls, const SymbolFinder& find_symbol, uint64_t callee)
      : calls_(calls), find_symbol_(find_symbol), callee_(callee) {}

  std::vector<uint64_t> run(const Site& call) {
    if (!follow(call) || !found_) return {};
    return chain_.pcs();
  }

  // The same from the entry of the function that was called.
  std::vector<uint64_t> run(uint64_t called) {
    if (!enter(called) || !found_) return {};
    return chain_.pcs();
  }

 private:
  // False ends the whole search without result.
  bool follow(const Site& site) {
    if (++steps_ > kMaxSteps || way_.size() > kMaxChain) return false;
    std::optional<uint64_t> target = site.target;
    if (!target && !site.symbol.empty() && find_symbol_) target = find_symbol_(site.symbol);
    return target && enter(*target);
  }

  bool enter(uint64_t target) {
    if (target == callee_) return arrive();
    const Function* function = calls_.function_at(target);
    if (function == nullptr || function->entry != target) return false;
    // Where not all tail calls are described, gdb takes it that there are none.
    if (!function->is_complete) return true;
    for (const Site& site : function->sites) {
      if (!site.is_tail || !on_way_.insert(site.return_pc).second) continue;
      way_.push_back(&site);
      const bool goes_on = follow(site);
      way_.pop_back();
      on_way_.erase(site.return_pc);
      if (!goes_on) return false;
    }
    return true;
  }

  bool arrive() {
    if (found_) return chain_.meet(way_);
    found_ = true;
    chain_ = {way_, way_.size(), way_.size()};
    return true;
  }

  CallSites& calls_;
  const SymbolFinder& find_symbol_;
  const uint64_t callee_;
  std::vector<const Site*> way_;
  std::set<uint64_t> on_way_;
  size_t steps_ = 0;
  bool found_ = false;
  Chain chain_;
};

void CallSites::read_target(const Unit& unit, const Value& value, Site& site) {
  const auto target = unit.follow(value);
  if (!target) return;
  const Unit& owner = *target->unit;
  const bool declares =
      owner.flag(target->entry, kAtDeclaration) && !owner.find(target->entry, kAtSpecification);
  if (declares) {
    auto name = owner.find_inherited(target->entry, kAtLinkageName);
    if (!name) name = owner.find_inherited(target->entry, kAtMipsLinkageName);
    // gdb composes the names of C++ functions that have no mangled one (extern "C") with their
    // parameters, and finds no symbol that is called so.
    if (!name && !owner.is_cpp()) name = owner.find_inherited(target->entry, kAtName);
    if (name) site.symbol = name->where.unit->string(name->value);
    return;
  }
  std::vector<PcRange> ranges;
  (void)read_ranges(owner, target->entry, ranges);
  // Of a function in several parts the first has the entry.
  if (!ranges.empty()) site.target = ranges.front().low;
}

CallSites::Site CallSites::read_site(const Unit& unit, const Entry& entry) {
  Site site;
  std::optional<Value> origin;
  bool has_pc = false;
  bool computed = false;
  unit.for_each_attribute(entry, [&](uint16_t attribute, const Value& value) {
    switch (attribute) {
      case kAtCallReturnPc:
      case kAtLowPc:  // GNU's, before version 5
        site.return_pc = unit.address(value).value_or(0);
        has_pc = site.return_pc != 0;
        break;
      case kAtCallTailCall:
      case kAtGnuTailCall:
        site.is_tail = value.number != 0;
        break;
      case kAtCallOrigin:
      case kAtAbstractOrigin:
        origin = value;
        break;
      case kAtCallTarget:
      case kAtGnuCallSiteTarget:
        computed = true;
        break;
      default:
        break;
    }
    return true;
  });
  if (has_pc && origin && !computed) read_target(unit, *origin, site);
  return site;
}

CallSites::Function CallSites::read_function(const Unit& unit, const Entry& function) {
  Function result;
  std::vector<PcRange> ranges;
  (void)read_ranges(unit, function, ranges);
  if (!ranges.empty()) result.entry = ranges.front().low;
  for (const uint16_t says :
       {kAtCallAllCalls, kAtCallAllTailCalls, kAtGnuAllCallSites, kAtGnuAllTailCallSites}) {
    result.is_complete = result.is_complete || unit.flag(function, says);
  }
  EntryCursor walk(unit, function);
  Entry entry;
  while (result.sites.size() < kMaxSites && walk.next(entry)) {
    const uint16_t tag = entry.tag();
    if (tag == kTagCallSite || tag == kTagGnuCallSite) {
      Site site = read_site(unit, entry);
      if (site.return_pc != 0) result.sites.push_back(std::move(site));
    }
    const bool descend = tag == kTagLexicalBlock || tag == kTagInlinedSubroutine ||
                         tag == kTagTryBlock || tag == kTagCatchBlock;
    if (!descend) walk.skip_children();
  }
  return result;
}

void CallSites::load_unit(const UnitHeader& header, std::span<const uint64_t> pcs) {
  const Unit* skeleton = dwarf_.main().unit(header);
  if (skeleton == nullptr) return;
  const Unit* full = dwarf_.full(*skeleton);
  const Unit& unit = full != nullptr ? *full : *skeleton;
  const auto chains = find_functions(unit, pcs);
  std::map<uint64_t, uint64_t> entries;  // of functions that were read, by their offset
  for (size_t i = 0; i < pcs.size(); ++i) {
    if (chains[i].empty() || entry_of_[pcs[i]]) continue;
    const Entry& function = chains[i].front().entry;
    if (!entries.contains(function.offset)) {
      Function read = read_function(unit, function);
      entries[function.offset] = read.entry;
      functions_.try_emplace(read.entry, std::move(read));
    }
    entry_of_[pcs[i]] = entries[function.offset];
  }
}

void CallSites::load(std::vector<uint64_t> pcs) {
  std::sort(pcs.begin(), pcs.end());
  pcs.erase(std::unique(pcs.begin(), pcs.end()), pcs.end());
  std::map<uint32_t, std::vector<uint64_t>> by_unit;
  for (const uint64_t pc : pcs) {
    if (!entry_of_.try_emplace(pc).second) continue;
    for (const uint32_t unit : map_.find(pc)) by_unit[unit].push_back(pc);
  }
  for (const auto& [unit, wanted] : by_unit) {
    load_unit(dwarf_.main().units()[unit], wanted);
    dwarf_.trim();
  }
}

const CallSites::Function* CallSites::function_at(uint64_t pc) {
  load({pc});
  const auto entry = entry_of_[pc];
  return entry ? &functions_.at(*entry) : nullptr;
}

const CallSites::Site* CallSites::site_before(uint64_t return_pc) {
  const Function* caller = function_at(return_pc - 1);
  if (caller == nullptr) return nullptr;
  const auto site = std::find_if(caller->sites.begin(), caller->sites.end(),
                                 [&](const Site& s) { return s.return_pc == return_pc; });
  return site == caller->sites.end() ? nullptr : &*site;
}

std::string CallSites::called_symbol(uint64_t return_pc) {
  const Site* site = site_before(return_pc);
  return site == nullptr || site->target ? std::string() : site->symbol;
}

std::vector<std::vector<uint64_t>> CallSites::tail_calls(std::span<const CallPair> pairs,
                                                         const SymbolFinder& find_symbol) {
  std::vector<uint64_t> pcs;
  for (const CallPair& pair : pairs) {
    pcs.push_back(pair.called ? *pair.called : pair.return_pc - 1);
    pcs.push_back(pair.callee_pc);
  }
  load(std::move(pcs));
  std::vector<std::vector<uint64_t>> found;
  for (const CallPair& pair : pairs) {
    found.emplace_back();
    const Site* site = pair.called ? nullptr : site_before(pair.return_pc);
    if (site == nullptr && !pair.called) continue;
    const Function* callee = function_at(pair.callee_pc);
    const uint64_t entry = callee != nullptr ? callee->entry : pair.callee_pc;
    Search search(*this, find_symbol, entry);
    found.back() = site != nullptr ? search.run(*site) : search.run(*pair.called);
  }
  return found;
}

}  // namespace residue::dwarf
