#include "symbolize/dwarf/scopes.h"

#include "symbolize/dwarf/entry_cursor.h"
#include "symbolize/dwarf/module_dwarf.h"

namespace residue::dwarf {
namespace {

// Of nesting; template-heavy code of 2024 stays below 40.
constexpr unsigned kMaxDepth = 1024;

}  // namespace

std::vector<std::vector<Entry>> find_scopes(const Unit& unit, std::span<const uint64_t> offsets) {
  std::vector<std::vector<Entry>> found(offsets.size());
  std::vector<Entry> open;
  EntryCursor walk(unit, unit.root_entry());
  Entry entry;
  size_t next = 0;
  while (next < offsets.size() && walk.next(entry)) {
    open.resize(walk.depth() - 1);
    // What lies before this entry and was not met is no entry.
    while (next < offsets.size() && offsets[next] < entry.offset) ++next;
    for (; next < offsets.size() && offsets[next] == entry.offset; ++next) found[next] = open;
    if (next == offsets.size() || walk.depth() >= kMaxDepth) break;
    if (!entry.has_children()) continue;
    if (const uint64_t end = walk.sibling(); end != 0 && end <= offsets[next]) {
      walk.skip_children();
    } else {
      open.push_back(entry);
    }
  }
  const uint64_t last = offsets.empty() ? 0 : offsets.back();
  unit.file().module().touched(last < unit.header().offset ? 0 : last - unit.header().offset);
  return found;
}

}  // namespace residue::dwarf
