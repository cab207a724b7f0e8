#include "symbolize/dwarf/unit_map.h"

#include <algorithm>

#include "formats/elf/elf_file.h"
#include "formats/elf/elf_layout.h"
#include "symbolize/dwarf/module_dwarf.h"

namespace residue::dwarf {
namespace {

constexpr size_t kMaxSpans = size_t{1} << 24;
// Units that claim the same address: the first few will do.
constexpr size_t kMaxHolders = 8;
// Of units whose roots are read one after the other: none is needed again.
constexpr size_t kRootMemory = size_t{1} << 20;

}  // namespace

void UnitMap::Table::finish() {
  std::sort(spans.begin(), spans.end(), [](const Span& a, const Span& b) {
    return a.low != b.low ? a.low < b.low : a.unit < b.unit;
  });
  max_high.clear();
  uint64_t max = 0;
  for (const Span& span : spans) {
    max = std::max(max, span.high);
    max_high.push_back(max);
  }
}

void UnitMap::Table::find(uint64_t address, std::vector<uint32_t>& units) const {
  const auto after =
      std::upper_bound(spans.begin(), spans.end(), address,
                       [](uint64_t wanted, const Span& span) { return wanted < span.low; });
  for (auto i = static_cast<size_t>(after - spans.begin());
       i-- > 0 && max_high[i] > address && units.size() < kMaxHolders;) {
    const bool known = std::find(units.begin(), units.end(), spans[i].unit) != units.end();
    if (address < spans[i].high && !known) units.push_back(spans[i].unit);
  }
}

void UnitMap::add_root(uint32_t index, Table& table) {
  const UnitHeader& header = file_.units()[index];
  if (header.in_types || header.is_type_unit()) return;
  {
    const Unit* unit = file_.unit(header);
    if (unit == nullptr) return;
    std::vector<PcRange> ranges;
    if (!read_ranges(*unit, unit->root_entry(), ranges)) {
      file_.module().report(Severity::kDamage, "unit at " + hex(header.offset),
                            "the list of the unit's address ranges is damaged");
    }
    for (const PcRange& range : ranges) {
      if (table.spans.size() < kMaxSpans) table.spans.push_back({range.low, range.high, index});
    }
  }
  file_.module().trim(kRootMemory);
}

void UnitMap::build_first() {
  first_built_ = true;
  const auto& units = file_.units();
  listed_.assign(units.size(), false);
  const bool whole = for_each_arange(file_, [&](uint64_t offset, PcRange range) {
    const auto at = std::lower_bound(
        units.begin(), units.end(), offset,
        [](const UnitHeader& header, uint64_t wanted) { return header.offset < wanted; });
    if (at == units.end() || at->offset != offset || at->in_types) return;
    const auto index = static_cast<uint32_t>(at - units.begin());
    listed_[index] = true;
    if (first_.spans.size() < kMaxSpans) first_.spans.push_back({range.low, range.high, index});
  });
  if (!whole) {
    file_.module().report(Severity::kWarning, file_.symbol_file().path(),
                          ".debug_aranges is damaged; the units' own ranges are used");
    first_.spans.clear();
    listed_.assign(units.size(), false);
  }
  for (uint32_t i = 0; i < units.size(); ++i) {
    if (!listed_[i]) add_root(i, first_);
  }
  first_.finish();
}

void UnitMap::build_rest() {
  rest_built_ = true;
  for (uint32_t i = 0; i < listed_.size(); ++i) {
    if (listed_[i]) add_root(i, rest_);
  }
  rest_.finish();
}

// An address that the file has no code at (a call into another module is asked for, too) is not
// worth reading the roots of all units. Files without segments (objects) may hold any.
bool UnitMap::may_hold(uint64_t address) {
  if (!code_) {
    code_.emplace();
    const SymbolFile& file = file_.symbol_file();
    const auto segments = elf::read_program_headers(file.bytes(), file.header());
    if (segments) {
      for (const elf::ProgramHeader& segment : segments->items) {
        const uint64_t end = segment.vaddr + segment.memory_size;
        if (segment.type == elf::kSegmentLoad && end > segment.vaddr) {
          code_->push_back({segment.vaddr, end});
        }
      }
    }
  }
  return code_->empty() || std::any_of(code_->begin(), code_->end(), [address](PcRange range) {
           return range.contains(address);
         });
}

std::vector<uint32_t> UnitMap::find(uint64_t address) {
  if (!first_built_) build_first();
  std::vector<uint32_t> units;
  first_.find(address, units);
  if (units.empty() && may_hold(address)) {
    if (!rest_built_) build_rest();
    rest_.find(address, units);
  }
  std::sort(units.begin(), units.end());
  return units;
}

}  // namespace residue::dwarf
