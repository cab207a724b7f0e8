#include "symbolize/dwarf/frame_scopes.h"

#include <algorithm>
#include <utility>

#include "symbolize/dwarf/entry_cursor.h"
#include "symbolize/dwarf/location_lists.h"
#include "symbolize/dwarf/ranges.h"

namespace residue::dwarf {
namespace {

// Bounds against damaged files: nested blocks, variables of one frame, types made of types.
constexpr unsigned kMaxDepth = 512;
constexpr size_t kMaxVariables = 1 << 14;
constexpr int kMaxTypeChain = 64;

struct Found {
  EntryRef entry;
  size_t function = 0;  // in the chain: 0 is the function itself, the last the innermost
  unsigned block = 0;   // how many blocks of that function it is in
  bool is_parameter = false;
};

bool is_block(uint16_t tag) {
  return tag == kTagLexicalBlock || tag == kTagTryBlock || tag == kTagCatchBlock ||
         tag == kTagWithStatement;
}

// Collects the variables of the scopes around a pc.
//
// The entries of an optimised function name only what is left of it: variables that vanished stand
// in the abstract function alone, which is the origin of the concrete one. They are added from
// there, as in gdb, so that a variable is never silently missing.
class Collector {
 public:
  Collector(const Unit& unit, const FunctionChain& chain, uint64_t pc)
      : unit_(unit), chain_(chain), pc_(pc) {}

  std::vector<Found> run() {
    walk_concrete();
    for (size_t i = 0; i < scopes_.size(); ++i) {
      const Scope scope = scopes_[i];
      if (const auto origin = unit_.follow(scope.entry, kAtAbstractOrigin)) {
        add_abstract(*origin, scope, 0);
      }
    }
    std::stable_sort(found_.begin(), found_.end(), [](const Found& a, const Found& b) {
      if (a.function != b.function) return a.function > b.function;
      if (a.is_parameter != b.is_parameter) return a.is_parameter;
      return a.block > b.block;
    });
    return std::move(found_);
  }

 private:
  struct Scope {
    Entry entry;
    size_t function = 0;
    unsigned block = 0;
  };

  void walk_concrete() {
    EntryCursor walk(unit_, chain_[0].entry);
    std::vector<Scope> open = {{chain_[0].entry, 0, 0}};
    scopes_.push_back(open.back());
    Entry entry;
    while (walk.next(entry) && found_.size() < kMaxVariables) {
      open.resize(walk.depth());
      const std::optional<Scope> inner = enter(entry, open.back());
      if (!inner || walk.depth() >= kMaxDepth) {
        walk.skip_children();
        open.push_back({});  // never looked at: resized away by the next entry
        continue;
      }
      open.push_back(*inner);
    }
  }

  // Takes an entry that stands in `scope`; returns the scope that it opens, if the pc is in it.
  std::optional<Scope> enter(const Entry& entry, const Scope& scope) {
    const uint16_t tag = entry.tag();
    if (tag == kTagVariable || tag == kTagFormalParameter) {
      add({&unit_, entry}, scope, tag == kTagFormalParameter);
      return std::nullopt;
    }
    if (tag == kTagGnuFormalParameterPack) return scope;
    Scope inner{entry, scope.function, scope.block + 1};
    if (tag == kTagInlinedSubroutine) {
      note_origin(entry);
      const size_t depth = scope.function + 1;
      if (depth >= chain_.size() || chain_[depth].entry.offset != entry.offset) return std::nullopt;
      inner.function = depth;
      inner.block = 0;
    } else if (is_block(tag)) {
      note_origin(entry);
      if (!holds_pc(entry)) return std::nullopt;
    } else {
      return std::nullopt;
    }
    scopes_.push_back(inner);
    return inner;
  }

  // A block without addresses only groups entries.
  bool holds_pc(const Entry& block) {
    std::vector<PcRange> ranges;
    (void)read_ranges(unit_, block, ranges);
    const auto holds = [&](const PcRange& range) { return range.contains(pc_); };
    if (std::any_of(ranges.begin(), ranges.end(), holds)) return true;
    return ranges.empty() && !unit_.find(block, kAtRanges) && !unit_.find(block, kAtLowPc);
  }

  void note_origin(const Entry& entry) {
    const auto origin = unit_.follow(entry, kAtAbstractOrigin);
    if (origin) origins_.insert(origin->unit->key(origin->entry));
  }

  void add(const EntryRef& entry, const Scope& scope, bool is_parameter) {
    if (entry.unit == &unit_) note_origin(entry.entry);
    // "extern int x;" in a function declares what is elsewhere.
    const auto declares = entry.unit->find_inherited(entry.entry, kAtDeclaration);
    const bool is_elsewhere = declares && declares->where.entry.offset == entry.entry.offset &&
                              !entry.unit->find(entry.entry, kAtLocation);
    if (is_elsewhere || found_.size() >= kMaxVariables) return;
    found_.push_back({entry, scope.function, scope.block, is_parameter});
  }

  void add_abstract(const EntryRef& abstract, const Scope& scope, unsigned depth) {
    EntryCursor walk(*abstract.unit, abstract.entry);
    Entry entry;
    while (walk.next(entry) && found_.size() < kMaxVariables) {
      const uint16_t tag = entry.tag();
      const bool is_seen = origins_.contains(abstract.unit->key(entry));
      if (tag != kTagGnuFormalParameterPack) walk.skip_children();
      if (is_seen) continue;
      if (tag == kTagVariable || tag == kTagFormalParameter) {
        add({abstract.unit, entry}, scope, tag == kTagFormalParameter);
      } else if (is_block(tag) && depth < 8) {
        add_abstract({abstract.unit, entry}, scope, depth + 1);
      }
    }
  }

  const Unit& unit_;
  const FunctionChain& chain_;
  const uint64_t pc_;
  std::vector<Scope> scopes_;   // that the pc is in
  std::set<EntryKey> origins_;  // of concrete entries in them
  std::vector<Found> found_;
};

bool leads_to_type(uint16_t tag) {
  switch (tag) {
    case kTagPointerType:
    case kTagReferenceType:
    case kTagRvalueReferenceType:
    case kTagPointerToMemberType:
    case kTagConstType:
    case kTagVolatileType:
    case kTagRestrictType:
    case kTagAtomicType:
    case kTagArrayType:
      return true;
    default:
      return false;
  }
}

}  // namespace

std::optional<EntryRef> named_type_of(const EntryRef& entry) {
  const auto found = entry.unit->find_inherited(entry.entry, kAtType);
  if (!found) return std::nullopt;
  auto type = found->where.unit->follow(found->value);
  for (int i = 0; type && leads_to_type(type->entry.tag()); ++i) {
    if (i >= kMaxTypeChain) return std::nullopt;
    type = type->unit->follow(type->entry, kAtType);
  }
  return type;
}

std::optional<uint64_t> entry_pc_of(const EntryRef& function) {
  const Unit& unit = *function.unit;
  if (const auto value = unit.find(function.entry, kAtEntryPc); value && value->is_address()) {
    return unit.address(*value);
  }
  if (const auto value = unit.find(function.entry, kAtLowPc)) {
    if (const auto low = unit.address(*value)) return low;
  }
  std::vector<PcRange> ranges;
  (void)read_ranges(unit, function.entry, ranges);
  if (ranges.empty()) return std::nullopt;
  return ranges.front().low;
}

ScopedVariable ScopeReader::describe(const EntryRef& entry, bool is_parameter, uint64_t pc) {
  ScopedVariable variable;
  LocalVariable& what = variable.what;
  what.is_parameter = is_parameter;
  const Unit& unit = *entry.unit;
  if (const auto name = unit.find_inherited(entry.entry, kAtName)) {
    what.name = name->where.unit->string(name->value);
  }
  if (const auto type = unit.find_inherited(entry.entry, kAtType)) {
    what.type = names_.type(type->where.unit->follow(type->value).value_or(EntryRef{}));
  }
  what.size = sizes_.of_typed(entry);
  Declaration declaration = declarations_.of(entry);
  what.file = std::move(declaration.file);
  what.directory = declaration.directory;
  what.line = declaration.line;
  if (const auto location = unit.find_inherited(entry.entry, kAtLocation)) {
    variable.location = location_at(*location->where.unit, location->value, pc);
  } else if (const auto constant = unit.find_inherited(entry.entry, kAtConstValue)) {
    variable.constant = constant->value;
    const std::string_view text = constant->where.unit->string(constant->value);
    // A string stands for its bytes, with the NUL behind them.
    if (!text.empty()) {
      variable.constant->bytes = std::as_bytes(std::span(text.data(), text.size() + 1));
    }
  }
  return variable;
}

std::optional<FrameScopes> ScopeReader::read(const Unit& unit, uint64_t pc) {
  const FunctionChain chain = find_functions(unit, {&pc, 1}).front();
  if (chain.empty()) return std::nullopt;
  FrameScopes scopes;
  const EntryRef function{&unit, chain[0].entry};
  scopes.function = unit.key(function.entry);
  scopes.entry_pc = entry_pc_of(function).value_or(0);
  if (const auto base = unit.find(function.entry, kAtFrameBase)) {
    scopes.frame_base = location_at(unit, *base, pc);
  }
  const std::vector<Found> found = Collector(unit, chain, pc).run();
  std::vector<EntryRef> types;
  for (const Found& one : found) {
    if (const auto type = named_type_of(one.entry)) types.push_back(*type);
  }
  names_.prepare(types);
  std::vector<std::string> functions;
  for (const FunctionLink& link : chain) functions.push_back(names_.function({&unit, link.entry}));
  for (const Found& one : found) {
    ScopedVariable variable = describe(one.entry, one.is_parameter, pc);
    if (variable.what.name.empty()) continue;
    variable.what.function = functions[one.function];
    scopes.variables.push_back(std::move(variable));
  }
  return scopes;
}

}  // namespace residue::dwarf
