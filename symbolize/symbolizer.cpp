#include "symbolize/symbolizer.h"

#include <algorithm>
#include <map>

#include "formats/base/parallel.h"
#include "symbolize/demangle.h"
#include "symbolize/dwarf/debug_info.h"

namespace residue {

class Symbolizer::Impl {
 public:
  Impl(const Image& image, FileSearch search, unsigned jobs)
      : image_(image),
        jobs_(jobs),
        files_(image, std::move(search)),
        symbols_(files_),
        debug_info_(image.modules.size()) {}

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

  const DebugFiles& files() const { return files_; }
  const SymbolTable& symbols() const { return symbols_; }

  Diagnostics diagnostics() const {
    Diagnostics all;
    for (const auto& info : debug_info_) {
      if (info) all.append(info->diagnostics());
    }
    return all;
  }

 private:
  // The addresses of one module, the ones at `indexes`. Modules do not share anything that changes.
  void name_places(ModuleId module, std::span<const uint64_t> addresses,
                   const std::vector<size_t>& indexes, std::vector<std::vector<CodePlace>>* all) {
    auto& info = debug_info_[module.value()];
    if (!info) info = std::make_unique<DebugInfo>(files_, module);
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
    place.function = demangle_symbol(std::string(symbol->name));
    place.offset = address - symbol->address;
  }

  const Image& image_;
  const unsigned jobs_;
  const DebugFiles files_;
  const SymbolTable symbols_;
  std::vector<std::unique_ptr<DebugInfo>> debug_info_;  // by module, made on first use
};

Symbolizer::Symbolizer(const Image& image, FileSearch search, unsigned jobs)
    : impl_(std::make_unique<Impl>(image, std::move(search), jobs)) {}
Symbolizer::~Symbolizer() = default;

std::vector<std::vector<CodePlace>> Symbolizer::places(std::span<const uint64_t> addresses) {
  return impl_->places(addresses);
}
const DebugFiles& Symbolizer::files() const { return impl_->files(); }
const SymbolTable& Symbolizer::symbols() const { return impl_->symbols(); }
Diagnostics Symbolizer::diagnostics() const { return impl_->diagnostics(); }

}  // namespace residue
