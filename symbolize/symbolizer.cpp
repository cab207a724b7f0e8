#include "symbolize/symbolizer.h"

#include <algorithm>
#include <map>
#include <set>

#include "formats/base/parallel.h"
#include "symbolize/demangle.h"
#include "symbolize/dwarf/debug_info.h"
#include "symbolize/thread_locals.h"

namespace residue {

class Symbolizer::Impl {
 public:
  Impl(const Image& image, FileSearch search, unsigned jobs)
      : image_(image),
        jobs_(jobs),
        files_(image, std::move(search)),
        symbols_(files_),
        thread_locals_(image),
        debug_info_(image.modules.size()),
        variables_(image.modules.size()) {}

  std::vector<std::vector<CodePlace>> places(std::span<const uint64_t> addresses) {
    std::vector<std::vector<CodePlace>> all(addresses.size());
    std::map<ModuleId, std::vector<size_t>> by_module;
    for (size_t i = 0; i < addresses.size(); ++i) {
      const Region* region = image_.find_region(Address(addresses[i]));
      if (region == nullptr || region->module == kNone<ModuleId>) continue;
      by_module[region->module].push_back(i);
    }
    const std::vector<std::pair<ModuleId, std::vector<size_t>>> jobs(by_module.begin(),
                                                                     by_module.end());
    parallel_for(jobs.size(), jobs_, [&](size_t job) {
      const auto& [module, indexes] = jobs[job];
      name_places(module, addresses, indexes, &all);
    });
    return all;
  }

  void add_tail_calls(std::vector<UnwoundStack>* stacks);

  std::optional<DataPlace> data(Address a) {
    const Region* region = image_.find_region(a);
    if (region == nullptr || region->module == kNone<ModuleId>) return std::nullopt;
    const ModuleId module = region->module;
    const uint64_t bias = image_.modules[module.value()].bias;
    // The symbol table is asked first: it is quick, and most addresses are in no variable.
    const auto symbol = symbols_.find_data(a);
    if (Variables* known = variables(module)) {
      if (auto variable = known->find(a.value() - bias)) {
        const Address start(variable->address + bias);
        // A table of virtual functions or such may begin behind a variable of unknown extent.
        if (!symbol || symbol->address <= start.value()) {
          return place_of(module, std::move(*variable), start);
        }
      }
    }
    if (!symbol) return std::nullopt;
    DataPlace place;
    place.module = module;
    place.name = demangle_symbol(std::string(symbol->name));
    place.address = Address(symbol->address);
    place.size = symbol->size;
    return place;
  }

  std::optional<DataPlace> thread_local_data(size_t thread, Address a) {
    const auto place = thread_locals_.find(thread, a);
    if (!place) return std::nullopt;
    Variables* known = variables(place->module);
    if (known == nullptr) return std::nullopt;
    auto variable = known->find_thread_local(place->offset);
    if (!variable) return std::nullopt;
    const Address start = a - ByteCount(place->offset - variable->address);
    return place_of(place->module, std::move(*variable), start);
  }

  Variables* variables(ModuleId module) {
    if (files_.of(module).debug == nullptr) return nullptr;
    auto& variables = variables_[module.value()];
    if (!variables) variables = std::make_unique<Variables>(files_, module);
    return variables.get();
  }

  const DebugFiles& files() const { return files_; }
  const SymbolTable& symbols() const { return symbols_; }

  Diagnostics diagnostics() const {
    Diagnostics all;
    for (const auto& info : debug_info_) {
      if (info) all.append(info->diagnostics());
    }
    for (const auto& variables : variables_) {
      if (variables) all.append(variables->diagnostics());
    }
    return all;
  }

 private:
  // A frame and its caller's, which may be missing others between them.
  struct Gap {
    uint64_t return_pc = 0;
    uint64_t callee_pc = 0;  // lookup_pc() of the callee
    auto operator<=>(const Gap&) const = default;
  };
  using GapFrames = std::map<Gap, std::vector<uint64_t>>;
  // A gap whose caller is in another module than what it called, by its name.
  struct CrossGap {
    Gap gap;
    std::string called;
    std::vector<uint64_t>* pcs = nullptr;
  };
  using CrossGaps = std::map<ModuleId, std::vector<CrossGap>>;  // by the callee's module

  DebugInfo* debug_info(ModuleId module) {
    auto& info = debug_info_[module.value()];
    if (!info) info = std::make_unique<DebugInfo>(files_, module);
    return info.get();
  }

  ModuleId module_at(uint64_t a) const {
    const Region* region = image_.find_region(Address(a));
    return region == nullptr ? kNone<ModuleId> : region->module;
  }

  static DataPlace place_of(ModuleId module, Variable variable, Address start) {
    DataPlace place;
    place.module = module;
    place.name = std::move(variable.name);
    place.type = std::move(variable.type);
    place.file = std::move(variable.file);
    place.line = variable.line;
    place.address = start;
    place.size = variable.size;
    return place;
  }

  void fill_gaps(ModuleId module, GapFrames* gaps, CrossGaps* across);
  void fill_cross_gaps(ModuleId module, const std::vector<CrossGap>& gaps);

  // The addresses of one module, the ones at `indexes`. Modules do not share anything that changes.
  void name_places(ModuleId module, std::span<const uint64_t> addresses,
                   const std::vector<size_t>& indexes, std::vector<std::vector<CodePlace>>* all) {
    DebugInfo* info = debug_info(module);
    const uint64_t bias = image_.modules[module.value()].bias;
    std::vector<uint64_t> linked;
    linked.reserve(indexes.size());
    for (const size_t i : indexes) linked.push_back(addresses[i] - bias);
    const std::vector<SourceFrames> frames = info->look_up(linked);
    for (size_t k = 0; k < indexes.size(); ++k) {
      auto& places = (*all)[indexes[k]];
      for (const SourceFrame& frame : frames[k]) {
        CodePlace place;
        place.module = module;
        place.function = frame.function;
        place.file = frame.file;
        place.line = frame.line;
        place.column = frame.column;
        place.inlined = frame.inlined;
        places.push_back(std::move(place));
      }
      finish(module, addresses[indexes[k]], &places);
    }
  }

  // Fills in from the symbol table what debug information did not say of the outermost function.
  void finish(ModuleId module, uint64_t address, std::vector<CodePlace>* places) const {
    if (places->empty() || places->back().inlined) {
      places->emplace_back();
      places->back().module = module;
    }
    CodePlace& place = places->back();
    if (!place.function.empty()) return;
    const auto symbol = symbols_.find_function(Address(address));
    if (!symbol) return;
    place.function = function_name(std::string(symbol->name));
    place.offset = address - symbol->address;
  }

  const Image& image_;
  const unsigned jobs_;
  const DebugFiles files_;
  const SymbolTable symbols_;
  const ThreadLocals thread_locals_;
  std::vector<std::unique_ptr<DebugInfo>> debug_info_;  // by module, made on first use
  std::vector<std::unique_ptr<Variables>> variables_;   // likewise
};

// Threads share most of their pairs of frames: each pair is looked at once.
void Symbolizer::Impl::add_tail_calls(std::vector<UnwoundStack>* stacks) {
  std::map<ModuleId, GapFrames> by_module;
  const auto gap_at = [](const UnwoundStack& stack, size_t i) {
    return Gap{stack.frames[i + 1].pc, stack.frames[i].lookup_pc()};
  };
  const auto may_miss = [](const UnwoundStack& stack, size_t i) {
    const UnwoundFrame& callee = stack.frames[i];
    const UnwoundFrame& caller = stack.frames[i + 1];
    // What the kernel called, or interrupted, and what is guessed, has no call site.
    return !callee.is_signal_frame && !caller.pc_is_exact && !caller.is_signal_frame &&
           caller.trust == FrameTrust::kCfi;
  };
  for (const UnwoundStack& stack : *stacks) {
    Gap last;
    for (size_t i = 0; i + 1 < stack.frames.size(); ++i) {
      const Gap gap = gap_at(stack, i);
      if (gap == last || !may_miss(stack, i)) continue;
      last = gap;
      const ModuleId module = module_at(gap.return_pc - 1);
      if (module != kNone<ModuleId>) by_module[module].try_emplace(gap);
    }
  }
  std::vector<ModuleId> modules;
  for (const auto& [module, gaps] : by_module) modules.push_back(module);
  std::vector<CrossGaps> across(modules.size());
  parallel_for(modules.size(), jobs_,
               [&](size_t m) { fill_gaps(modules[m], &by_module.at(modules[m]), &across[m]); });
  CrossGaps by_callee;
  for (CrossGaps& some : across) {
    for (auto& [module, gaps] : some) {
      auto& all = by_callee[module];
      all.insert(all.end(), gaps.begin(), gaps.end());
    }
  }
  std::vector<ModuleId> callees;
  for (const auto& [module, gaps] : by_callee) callees.push_back(module);
  parallel_for(callees.size(), jobs_,
               [&](size_t m) { fill_cross_gaps(callees[m], by_callee.at(callees[m])); });
  std::map<Gap, std::vector<uint64_t>> found;
  for (auto& [module, gaps] : by_module) {
    for (auto& [gap, pcs] : gaps) {
      if (!pcs.empty()) found.emplace(gap, std::move(pcs));
    }
  }
  if (found.empty()) return;
  for (UnwoundStack& stack : *stacks) {
    UnwoundStack filled;
    for (size_t i = 0; i < stack.frames.size(); ++i) {
      const bool known = i < stack.registers.size();
      filled.frames.push_back(stack.frames[i]);
      if (known) filled.registers.push_back(stack.registers[i]);
      if (i + 1 == stack.frames.size() || !may_miss(stack, i)) continue;
      const auto it = found.find(gap_at(stack, i));
      if (it == found.end()) continue;
      for (const uint64_t pc : it->second) {
        UnwoundFrame frame;
        frame.pc = pc;
        frame.sp = stack.frames[i + 1].sp;
        frame.trust = FrameTrust::kCallSite;
        filled.frames.push_back(frame);
        if (known) filled.registers.emplace_back();
      }
    }
    stack.frames = std::move(filled.frames);
    stack.registers = std::move(filled.registers);
  }
}

// `gaps` are those whose caller is in `module`.
void Symbolizer::Impl::fill_gaps(ModuleId module, GapFrames* gaps, CrossGaps* across) {
  if (files_.of(module).debug == nullptr) return;
  const uint64_t bias = image_.modules[module.value()].bias;
  std::vector<CallPair> pairs;
  std::vector<std::vector<uint64_t>*> results;
  std::vector<std::pair<const Gap*, ModuleId>> origins;
  std::set<ModuleId> callees = {module};
  for (auto& [gap, pcs] : *gaps) {
    uint64_t callee = gap.callee_pc;
    const ModuleId in = module_at(callee);
    if (in == kNone<ModuleId>) continue;
    if (in != module) {
      const auto function = symbols_.find_function(Address(callee));
      if (!function) continue;
      callee = function->address;
      callees.insert(in);
    }
    pairs.push_back({gap.return_pc - bias, callee - bias, {}});
    results.push_back(&pcs);
    origins.emplace_back(&gap, in);
  }
  const auto find_symbol = [&](const std::string& name) -> std::optional<uint64_t> {
    for (const ModuleId m : callees) {
      if (const auto symbol = symbols_.find_named(m, name)) return symbol->address - bias;
    }
    return std::nullopt;
  };
  const auto chains = debug_info(module)->tail_calls(pairs, find_symbol);
  for (size_t i = 0; i < chains.size(); ++i) {
    for (const uint64_t pc : chains[i]) results[i]->push_back(pc + bias);
    const auto& [gap, in] = origins[i];
    if (!chains[i].empty() || in == module) continue;
    std::string called = debug_info(module)->called_symbol(gap->return_pc - bias);
    if (!called.empty()) (*across)[in].push_back({*gap, std::move(called), results[i]});
  }
}

// `gaps` are those whose callee is in `module` and whose caller is not: what was called by name may
// have jumped on within the module.
void Symbolizer::Impl::fill_cross_gaps(ModuleId module, const std::vector<CrossGap>& gaps) {
  if (files_.of(module).debug == nullptr) return;
  const uint64_t bias = image_.modules[module.value()].bias;
  const auto find_symbol = [&](const std::string& name) -> std::optional<uint64_t> {
    const auto symbol = symbols_.find_named(module, name);
    return symbol ? std::optional(symbol->address - bias) : std::nullopt;
  };
  std::vector<CallPair> pairs;
  std::vector<std::vector<uint64_t>*> results;
  for (const CrossGap& cross : gaps) {
    const auto called = find_symbol(cross.called);
    const auto callee = symbols_.find_function(Address(cross.gap.callee_pc));
    // Most calls arrive where they went.
    if (!called || (callee && callee->address - bias == *called)) continue;
    pairs.push_back({0, cross.gap.callee_pc - bias, called});
    results.push_back(cross.pcs);
  }
  if (pairs.empty()) return;
  const auto chains = debug_info(module)->tail_calls(pairs, find_symbol);
  for (size_t i = 0; i < chains.size(); ++i) {
    for (const uint64_t pc : chains[i]) results[i]->push_back(pc + bias);
  }
}

Symbolizer::Symbolizer(const Image& image, FileSearch search, unsigned jobs)
    : impl_(std::make_unique<Impl>(image, std::move(search), jobs)) {}
Symbolizer::~Symbolizer() = default;

std::vector<std::vector<CodePlace>> Symbolizer::places(std::span<const uint64_t> addresses) {
  return impl_->places(addresses);
}
void Symbolizer::add_tail_calls(std::vector<UnwoundStack>* stacks) {
  impl_->add_tail_calls(stacks);
}
std::optional<DataPlace> Symbolizer::data(Address a) { return impl_->data(a); }
std::optional<DataPlace> Symbolizer::thread_local_data(size_t thread, Address a) {
  return impl_->thread_local_data(thread, a);
}
Variables* Symbolizer::variables(ModuleId module) { return impl_->variables(module); }
const DebugFiles& Symbolizer::files() const { return impl_->files(); }
const SymbolTable& Symbolizer::symbols() const { return impl_->symbols(); }
Diagnostics Symbolizer::diagnostics() const { return impl_->diagnostics(); }

}  // namespace residue
