// The walk has two passes. The first looks where all but a few functions are: at the top of the
// unit and in namespaces. Addresses that it leaves over may lie in functions nested in others or in
// classes (lambdas and local classes of GCC, nested functions of C and Ada, methods of Rust), or in
// none (padding, assembler); the second pass looks for them everywhere.
#include "symbolize/dwarf/functions.h"

#include <algorithm>

#include "symbolize/dwarf/entry_cursor.h"
#include "symbolize/dwarf/module_dwarf.h"
#include "symbolize/dwarf/ranges.h"

namespace residue::dwarf {
namespace {

// Of nested entries; damaged ones could nest a million deep.
constexpr unsigned kMaxDepth = 1024;
// Of inlined functions around one address.
constexpr size_t kMaxLinks = 512;
// Units of link-time optimisation have a hundred megabytes: their pages are counted on the way.
constexpr uint64_t kCountEvery = uint64_t{1} << 20;

class Finder {
 public:
  Finder(const Unit& unit, std::span<const uint64_t> addresses)
      : unit_(unit),
        addresses_(addresses),
        chains_(addresses.size()),
        sizes_(addresses.size(), ~uint64_t{0}) {}

  std::vector<FunctionChain> run() {
    walk_unit(false);
    if (missing()) walk_unit(true);
    return std::move(chains_);
  }

 private:
  bool missing() const {
    return std::any_of(chains_.begin(), chains_.end(), [](const auto& c) { return c.empty(); });
  }

  // Calls visit(index, size of the range) for each address in the entry's ranges.
  template <typename Visit>
  void for_each_held(const Entry& entry, Visit visit) {
    ranges_.clear();
    (void)read_ranges(unit_, entry, ranges_);
    for (const PcRange& range : ranges_) {
      auto at = std::lower_bound(addresses_.begin(), addresses_.end(), range.low);
      for (; at != addresses_.end() && *at < range.high; ++at) {
        visit(static_cast<size_t>(at - addresses_.begin()), range.high - range.low);
      }
    }
  }

  void walk_unit(bool everywhere) {
    EntryCursor walk(unit_, unit_.root_entry());
    Entry entry;
    uint64_t counted = entry.offset = unit_.header().offset;
    while (walk.next(entry)) {
      if (entry.offset - counted > kCountEvery) {
        ModuleDwarf& module = unit_.file().module();
        module.touched(entry.offset - counted);
        if (walk.damaged() && !everywhere) {
          module.report(Severity::kDamage,
                        unit_.file().symbol_file().path() + " at " + hex(entry.offset),
                        "the entries behind this one cannot be decoded: functions are lost");
        }
        counted = entry.offset;
      }
      bool descend = entry.tag() == kTagNamespace || entry.tag() == kTagModule;
      if (entry.tag() == kTagSubprogram) {
        bool found = false;
        for_each_held(entry, [&](size_t i, uint64_t size) {
          // Of several functions the narrowest counts, and of aliases the last, as in gdb.
          if (everywhere ? !chains_[i].empty() : size > sizes_[i]) return;
          sizes_[i] = size;
          chains_[i].assign(1, {entry, 0, 0, 0, 0, false});
          found = true;
        });
        if (found) walk_function(entry);
      }
      if (everywhere) descend = walk.depth() < kMaxDepth;
      if (!descend) walk.skip_children();
    }
    ModuleDwarf& module = unit_.file().module();
    module.touched(entry.offset - counted);
    if (walk.damaged() && !everywhere) {
      module.report(Severity::kDamage,
                    unit_.file().symbol_file().path() + " at " + hex(entry.offset),
                    "the entries behind this one cannot be decoded: functions are lost");
    }
  }

  // Adds what is inlined into a function to the chains of its addresses. All of it is gone through,
  // also where an inlined function does not hold any of them: what is inlined into that may, as
  // producers are sloppy, and then both are around the address.
  void walk_function(const Entry& function) {
    EntryCursor walk(unit_, function);
    FunctionChain open = {{function, 0, 0, 0, 0, false}};
    Entry entry;
    while (walk.next(entry)) {
      while (open.back().depth >= walk.depth()) open.pop_back();
      bool descend = entry.tag() == kTagLexicalBlock || entry.tag() == kTagTryBlock ||
                     entry.tag() == kTagCatchBlock || entry.tag() == kTagWithStatement;
      if (entry.tag() == kTagInlinedSubroutine) {
        descend = true;
        add_inlined(entry, walk.depth(), open);
      }
      if (!descend || walk.depth() >= kMaxDepth) walk.skip_children();
    }
  }

  void add_inlined(const Entry& entry, unsigned depth, FunctionChain& open) {
    if (open.size() >= kMaxLinks) return;
    open.push_back({entry, depth, 0, 0, 0, false});
    read_call(open.back());
    for_each_held(entry, [&](size_t i, uint64_t) {
      FunctionChain& chain = chains_[i];
      // Where the ranges of several overlap, the innermost counts, and of those the first.
      const bool here = !chain.empty() && chain.front().entry.offset == open.front().entry.offset;
      if (here && chain.back().depth < depth) chain = open;
    });
  }

  void read_call(FunctionLink& link) const {
    bool has_file = false;
    bool has_line = false;
    unit_.for_each_attribute(link.entry, [&](uint16_t attribute, const Value& value) {
      if (attribute == kAtCallFile) {
        link.call_file = value.number;
        has_file = true;
      } else if (attribute == kAtCallLine) {
        link.call_line = static_cast<uint32_t>(value.number);
        has_line = true;
      } else if (attribute == kAtCallColumn) {
        link.call_column = static_cast<uint32_t>(value.number);
      }
      return true;
    });
    link.has_call = has_file && has_line;
  }

  const Unit& unit_;
  std::span<const uint64_t> addresses_;
  std::vector<FunctionChain> chains_;
  std::vector<uint64_t> sizes_;  // of the range in which the function was found
  std::vector<PcRange> ranges_;
};

}  // namespace

std::vector<FunctionChain> find_functions(const Unit& unit, std::span<const uint64_t> addresses) {
  return Finder(unit, addresses).run();
}

}  // namespace residue::dwarf
