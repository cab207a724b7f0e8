#include "symbolize/dwarf/variables.h"

#include <algorithm>
#include <map>
#include <utility>

#include "symbolize/debug_files.h"
#include "symbolize/dwarf/frame_scopes.h"
#include "symbolize/dwarf/frame_values.h"
#include "symbolize/dwarf/globals.h"
#include "symbolize/dwarf/module_dwarf.h"
#include "symbolize/dwarf/names.h"
#include "symbolize/dwarf/unit_map.h"
#include "symbolize/dwarf/variable_names.h"

namespace residue {

using namespace dwarf;

namespace {

// Places (pcs) whose scopes are kept.
constexpr size_t kMaxScopes = 4096;

}  // namespace

class Variables::Impl {
 public:
  Impl(const SymbolFile* debug, const SymbolFile* alternate, ModuleDwarf::SplitFinder find_split) {
    if (debug == nullptr) return;
    dwarf_ = std::make_unique<ModuleDwarf>(*debug, alternate, std::move(find_split));
    map_ = std::make_unique<UnitMap>(dwarf_->main());
    names_ = std::make_unique<Names>(*dwarf_);
    globals_ = std::make_unique<Globals>(*dwarf_);
    scope_reader_ = std::make_unique<ScopeReader>(*names_, sizes_, declarations_);
  }

  std::vector<std::optional<Variable>> find(std::span<const uint64_t> addresses, bool in_tls);
  std::vector<LocalVariable> locals(uint64_t lookup_pc, const FrameContext& frame);
  size_t count() { return globals_ ? globals_->count() : 0; }
  const Diagnostics& diagnostics() const { return dwarf_ ? dwarf_->diagnostics() : none_; }

 private:
  using Hit = Globals::Hit;
  void describe(std::span<const std::pair<Hit, size_t>> hits,
                std::vector<std::optional<Variable>>& results);
  const Unit* unit_of(const EntryKey& key);
  const FrameScopes* scopes_at(uint64_t pc);
  FrameValues::Place place_at(uint64_t pc);
  void trim();

  std::unique_ptr<ModuleDwarf> dwarf_;
  std::unique_ptr<UnitMap> map_;
  std::unique_ptr<Names> names_;
  std::unique_ptr<Globals> globals_;
  TypeSizes sizes_;
  Declarations declarations_;
  std::unique_ptr<ScopeReader> scope_reader_;
  std::map<uint64_t, std::optional<FrameScopes>> scopes_;  // by pc
  Diagnostics none_;
};

void Variables::Impl::trim() {
  declarations_.forget();
  dwarf_->trim();
}

// Hits are described unit by unit: names that need the scopes of their entries share a walk.
std::vector<std::optional<Variable>> Variables::Impl::find(std::span<const uint64_t> addresses,
                                                           bool in_tls) {
  std::vector<std::optional<Variable>> results(addresses.size());
  if (dwarf_ == nullptr) return results;
  std::vector<std::pair<Hit, size_t>> hits;
  for (size_t i = 0; i < addresses.size(); ++i) {
    const auto hit =
        in_tls ? globals_->find_thread_local(addresses[i]) : globals_->find(addresses[i]);
    if (hit) hits.emplace_back(*hit, i);
    if (i % 64 == 0) trim();
  }
  std::sort(hits.begin(), hits.end(), [](const auto& a, const auto& b) {
    return a.first.entry != b.first.entry ? a.first.entry < b.first.entry : a.second < b.second;
  });
  for (size_t first = 0; first < hits.size();) {
    const Unit* unit = unit_of(hits[first].first.entry);
    size_t last = first + 1;
    while (last < hits.size() && unit != nullptr &&
           hits[last].first.entry.file == hits[first].first.entry.file &&
           hits[last].first.entry.offset < unit->header().end) {
      ++last;
    }
    describe(std::span(hits).subspan(first, last - first), results);
    trim();
    first = last;
  }
  return results;
}

const Unit* Variables::Impl::unit_of(const EntryKey& key) {
  const auto entry = dwarf_->entry(key);
  return entry ? entry->unit : nullptr;
}

void Variables::Impl::describe(std::span<const std::pair<Hit, size_t>> hits,
                               std::vector<std::optional<Variable>>& results) {
  std::vector<EntryRef> entries;
  std::vector<EntryRef> types;
  for (const auto& [hit, index] : hits) {
    const auto entry = dwarf_->entry(hit.entry);
    if (!entry) return;
    entries.push_back(*entry);
    if (const auto type = named_type_of(*entry)) types.push_back(*type);
  }
  const std::vector<std::string> names = variable_names(*names_, entries);
  names_->prepare(types);
  for (size_t i = 0; i < hits.size(); ++i) {
    const auto& [hit, index] = hits[i];
    Variable variable;
    variable.name = names[i];
    const Unit& unit = *entries[i].unit;
    if (const auto type = unit.find_inherited(entries[i].entry, kAtType)) {
      variable.type = names_->type(type->where.unit->follow(type->value).value_or(EntryRef{}));
    }
    Declaration declaration = declarations_.of(entries[i]);
    variable.file = std::move(declaration.file);
    variable.directory = declaration.directory;
    variable.line = declaration.line;
    variable.address = hit.address;
    variable.size = hit.size;
    variable.is_thread_local = hit.is_thread_local;
    results[index] = std::move(variable);
  }
}

const FrameScopes* Variables::Impl::scopes_at(uint64_t pc) {
  if (const auto known = scopes_.find(pc); known != scopes_.end()) {
    return known->second ? &*known->second : nullptr;
  }
  std::optional<FrameScopes> read;
  for (const uint32_t index : map_->find(pc)) {
    const Unit* unit = dwarf_->main().unit(dwarf_->main().units()[index]);
    if (unit != nullptr) unit = dwarf_->full(*unit);
    if (unit != nullptr) read = scope_reader_->read(*unit, pc);
    if (read) break;
  }
  const auto slot = scopes_.insert_or_assign(pc, std::move(read)).first;
  return slot->second ? &*slot->second : nullptr;
}

FrameValues::Place Variables::Impl::place_at(uint64_t pc) {
  const FrameScopes* scopes = scopes_at(pc);
  if (scopes == nullptr) return {};
  return {unit_of(scopes->function), scopes};
}

std::vector<LocalVariable> Variables::Impl::locals(uint64_t lookup_pc, const FrameContext& frame) {
  std::vector<LocalVariable> result;
  if (dwarf_ == nullptr) return result;
  if (scopes_.size() >= kMaxScopes) scopes_.clear();
  const FrameValues::FindPlace find = [this](uint64_t pc) { return place_at(pc); };
  const FrameValues::Place place = place_at(lookup_pc);
  if (place.unit != nullptr) {
    const FrameValues values(place, lookup_pc, frame, find);
    for (const ScopedVariable& variable : place.scopes->variables) {
      result.push_back(variable.what);
      result.back().pieces = values.pieces_of(variable);
    }
  }
  trim();
  return result;
}

Variables::Variables(const DebugFiles& files, ModuleId module) {
  const ModuleFiles& found = files.of(module);
  impl_ = std::make_unique<Impl>(
      found.debug, found.alternate,
      [&files, module](const std::string& dir, const std::string& name, uint64_t id) {
        return files.split_unit(module, dir, name, id);
      });
}

Variables::Variables(const SymbolFile& debug, const SymbolFile* alternate, SplitFinder find_split)
    : impl_(std::make_unique<Impl>(&debug, alternate, std::move(find_split))) {}

Variables::~Variables() = default;

std::optional<Variable> Variables::find(uint64_t address) {
  return std::move(impl_->find({&address, 1}, false).front());
}

std::vector<std::optional<Variable>> Variables::find(std::span<const uint64_t> addresses) {
  return impl_->find(addresses, false);
}

std::optional<Variable> Variables::find_thread_local(uint64_t offset) {
  return std::move(impl_->find({&offset, 1}, true).front());
}

size_t Variables::count() { return impl_->count(); }

std::vector<LocalVariable> Variables::locals(uint64_t lookup_pc, const FrameContext& frame) {
  return impl_->locals(lookup_pc, frame);
}

const Diagnostics& Variables::diagnostics() const { return impl_->diagnostics(); }

}  // namespace residue
