// Types. A list's node retains the next node, which retains its own next: adding up what all nodes
// retain would count the last one a million times. Only the outermost objects of a type count,
// those that no other of the same type dominates. Walked in the order of the tree, a subtree is a
// stretch of places; an object is outermost if it lies behind the stretch of the last outermost one
// of its type. So one number a type is enough.
#include "analyzer/retention.h"

#include <algorithm>

#include "analyzer/suspects.h"
#include "formats/base/text.h"

namespace residue {
namespace {

constexpr size_t kMaxOwnerRows = 10000;
constexpr size_t kMaxObjectRows = 1000;
constexpr size_t kMaxHeldBy = 4;  // owners of an object that are named

class RetentionFinder {
 public:
  RetentionFinder(const DominatorTree& tree, const FoundHolders& found, Snapshot* s)
      : tree_(tree), found_(found), s_(*s) {}

  void fill_columns() {
    ChunkTable& chunks = s_.chunks;
    chunks.retained = SizeColumn(chunks.state.size());
    chunks.dominator.assign(chunks.state.size(), ChunkTable::kNoDominator);
    for (uint32_t v = 1; v < tree_.size; ++v) {
      if (tree_.is_owner(v)) continue;
      const uint32_t chunk = tree_.node[v];
      chunks.retained.set(chunk, tree_.bytes[v]);
      if (tree_.idom[v] != 0) chunks.dominator[chunk] = tree_.node[tree_.idom[v]];
    }
    chunks.retained.finish();
  }

  void list_retainers() {
    std::vector<uint32_t> owners;
    std::vector<uint32_t> objects;
    tree_.for_each_child(0, [&](uint32_t v, uint32_t) {
      if (v < tree_.live) (tree_.is_owner(v) ? owners : objects).push_back(v);
    });
    RetainerRow rest;
    rest.kind = "object";
    keep_largest(&owners, kMaxOwnerRows, &rest);
    keep_largest(&objects, kMaxObjectRows, &rest);
    rest.name = "(smaller ones, together)";
    add_idle_owners(owners);
    for (const uint32_t v : owners) s_.retainers.push_back(owner_row(v));
    for (const uint32_t v : objects) s_.retainers.push_back(object_row(v));
    if (rest.retained_count > 0) s_.retainers.push_back(std::move(rest));
    sort_from(0);
    const size_t types = s_.retainers.size();
    add_types();
    sort_from(types);
  }

 private:
  // What is left out is added to `rest`: all rows together stay all that is alive.
  void keep_largest(std::vector<uint32_t>* numbers, size_t limit, RetainerRow* rest) const {
    std::stable_sort(numbers->begin(), numbers->end(),
                     [this](uint32_t a, uint32_t b) { return tree_.bytes[a] > tree_.bytes[b]; });
    for (size_t i = limit; i < numbers->size(); ++i) {
      const uint32_t v = (*numbers)[i];
      rest->retained_count += tree_.count[v] - (tree_.is_owner(v) ? 1 : 0);
      rest->retained_bytes += tree_.bytes[v];
    }
    if (numbers->size() > limit) numbers->resize(limit);
  }

  void sort_from(size_t first) {
    std::stable_sort(s_.retainers.begin() + static_cast<int64_t>(first), s_.retainers.end(),
                     [](const RetainerRow& a, const RetainerRow& b) {
                       return a.retained_bytes > b.retained_bytes;
                     });
  }

  RetainerRow describe_owner(uint32_t owner) const {
    const OwnerRow& o = s_.owners[owner];
    RetainerRow row;
    row.kind = o.kind;
    row.name = o.name;
    row.module = o.module;
    row.file = o.file;
    row.line = o.line;
    row.thread = o.thread;
    if (owner < found_.direct.size()) row.direct_count = found_.direct[owner];
    return row;
  }

  RetainerRow owner_row(uint32_t v) const {
    RetainerRow row = describe_owner(tree_.owner(v));
    row.retained_count = tree_.count[v] - 1;
    row.retained_bytes = tree_.bytes[v];
    return row;
  }

  // Owners that refer to chunks but keep none alone: that is worth a row, too.
  void add_idle_owners(const std::vector<uint32_t>& kept) {
    std::vector<bool> has_row(s_.owners.size());
    for (const uint32_t v : kept) has_row[tree_.owner(v)] = true;
    size_t rows = kept.size();
    for (uint32_t owner = 0; owner < found_.direct.size() && rows < kMaxOwnerRows; ++owner) {
      if (found_.direct[owner] == 0 || has_row[owner]) continue;
      s_.retainers.push_back(describe_owner(owner));
      ++rows;
    }
  }

  RetainerRow object_row(uint32_t v) const {
    const uint32_t chunk = tree_.node[v];
    RetainerRow row;
    row.kind = "object";
    const uint32_t type = s_.chunks.type[chunk];
    row.name = "(" + std::to_string(s_.chunks.map.usable(ChunkId(chunk)).value()) + " bytes)";
    if (type < s_.types.size()) {
      row.name = s_.types[type].name;
      row.module = s_.types[type].module;
    }
    row.address = s_.chunks.map.address(ChunkId(chunk));
    row.retained_count = tree_.count[v];
    row.retained_bytes = tree_.bytes[v];
    row.held_by = held_by(chunk);
    return row;
  }

  std::string held_by(uint32_t chunk) const {
    std::string text;
    size_t owners = 0;
    for (auto it =
             std::lower_bound(found_.shared.begin(), found_.shared.end(), uint64_t{chunk} << 32);
         it != found_.shared.end() && *it >> 32 == chunk; ++it) {
      if (++owners > kMaxHeldBy) continue;
      const OwnerRow& owner = s_.owners[static_cast<uint32_t>(*it)];
      text.append(text.empty() ? "" : ", ").append(owner.kind).append(" ").append(owner.name);
    }
    if (owners > kMaxHeldBy) {
      text.append(" and ").append(std::to_string(owners - kMaxHeldBy)).append(" more");
    }
    return text.empty() ? "several objects of different owners" : text;
  }

  void add_types() {
    struct Sum {
      uint64_t objects = 0, count = 0, bytes = 0;
      uint32_t end = 0;  // of the last outermost one's stretch
    };
    std::vector<Sum> sums(s_.types.size());
    for (uint32_t place = 1; place < tree_.size; ++place) {
      const uint32_t v = tree_.nested[place];
      if (v >= tree_.live || tree_.is_owner(v)) continue;
      const uint32_t type = s_.chunks.type[tree_.node[v]];
      if (type >= sums.size() || place < sums[type].end) continue;
      sums[type].end = place + tree_.count[v];
      ++sums[type].objects;
      sums[type].count += tree_.count[v];
      sums[type].bytes += tree_.bytes[v];
    }
    for (size_t type = 0; type < sums.size(); ++type) {
      if (sums[type].objects == 0) continue;
      RetainerRow row;
      row.kind = "type";
      row.name = s_.types[type].name;
      row.module = s_.types[type].module;
      row.retained_count = sums[type].count;
      row.retained_bytes = sums[type].bytes;
      row.direct_count = sums[type].objects;
      s_.retainers.push_back(std::move(row));
    }
  }

  const DominatorTree& tree_;
  const FoundHolders& found_;
  Snapshot& s_;
};

}  // namespace

void find_retention(const ReferenceGraph& graph, FoundHolders found, Snapshot* snapshot,
                    Diagnostics& diagnostics) {
  DominatorTree tree = find_dominators(graph, snapshot->chunks.reach, found.holders);
  found.holders.phases = {};
  if (tree.size == 0) {
    diagnostics.add(Severity::kWarning, "retention", "references", 0,
                    "retained sizes are not known: more than four billion references");
    return;
  }
  add_sizes(&tree, snapshot->chunks.map);
  RetentionFinder finder(tree, found, snapshot);
  finder.list_retainers();
  snapshot->suspects = find_suspects(tree, *snapshot);
  finder.fill_columns();
}

}  // namespace residue
