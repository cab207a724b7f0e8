// Whoever holds the whole program in one variable keeps everything, and that says nothing: what
// matters is where it branches. From a suspect the way goes down to the child that keeps most, as
// long as that is most of what its parent keeps; where it is not, many children share the memory,
// and there something has accumulated: an array of sessions, the table of a cache.
//
// A singly linked list has no such place: each node keeps all nodes behind it. A way over many
// objects of one type and size is told as a chain, and the place is its first object.
//
// Cost: children of the nodes on the way are looked at once. Suspects of more than a tenth of the
// heap are nine at most, and their subtrees are disjoint.
#include "analyzer/suspects.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <tuple>

#include "formats/base/text.h"

namespace residue {
namespace {

class SuspectFinder {
 public:
  SuspectFinder(const DominatorTree& tree, const Snapshot& s, const SuspectRules& rules)
      : tree_(tree), s_(s), rules_(rules) {}

  std::vector<SuspectRow> find() {
    tree_.for_each_child(0, [this](uint32_t v, uint32_t) {
      if (v < tree_.live) live_bytes_ += tree_.bytes[v];
    });
    if (live_bytes_ == 0) return {};
    tree_.for_each_child(0, [this](uint32_t v, uint32_t place) {
      if (v >= tree_.live || is_system(v)) return;
      if (is_large(tree_.bytes[v])) {
        rows_.push_back(single(v, place));
      } else {
        group(v, place);
      }
    });
    add_groups();
    std::stable_sort(rows_.begin(), rows_.end(), [](const SuspectRow& a, const SuspectRow& b) {
      return a.retained_bytes > b.retained_bytes;
    });
    return std::move(rows_);
  }

 private:
  struct Group {
    uint64_t count = 0, chunks = 0, bytes = 0;
    uint32_t first = 0;  // a member
  };

  bool is_large(uint64_t bytes) const {
    return bytes >= rules_.least_bytes &&
           static_cast<double>(bytes) > rules_.threshold * static_cast<double>(live_bytes_);
  }
  bool is_system(uint32_t v) const {
    return tree_.is_owner(v) && s_.owners[tree_.owner(v)].kind == "system";
  }

  const TypeRow* type_of(uint32_t v) const {
    if (tree_.is_owner(v)) return nullptr;
    const uint32_t type = s_.chunks.type[tree_.node[v]];
    return type < s_.types.size() ? &s_.types[type] : nullptr;
  }
  Address address_of(uint32_t v) const { return s_.chunks.map.address(ChunkId(tree_.node[v])); }

  // "global app::table of server", "Session at 0x55…", "the chunk of 4096 bytes at 0x55…".
  std::string name_of(uint32_t v) const {
    std::string text;
    if (tree_.is_owner(v)) {
      const OwnerRow& owner = s_.owners[tree_.owner(v)];
      text.append(owner.kind).append(" ").append(owner.name);
      if (!owner.module.empty()) text.append(" of ").append(owner.module);
      return text;
    }
    const TypeRow* type = type_of(v);
    if (type != nullptr && type->origin != "string") {
      text.append("the ").append(type->name);
    } else {
      text.append("the chunk of ");
      text.append(std::to_string(s_.chunks.map.usable(ChunkId(tree_.node[v])).value()));
      text.append(" bytes");
    }
    return text.append(" at ").append(hex(address_of(v).value()));
  }

  double share(uint64_t bytes) const {
    return 100.0 * static_cast<double>(bytes) / static_cast<double>(live_bytes_);
  }
  std::string share_text(uint64_t bytes) const {
    char text[32];
    std::snprintf(text, sizeof text, "%.1f %%", share(bytes));
    return text;
  }
  std::string kept_text(uint64_t chunks, uint64_t bytes) const {
    std::string text = std::to_string(chunks);
    text.append(" chunks with ").append(std::to_string(bytes)).append(" bytes, ");
    return text.append(share_text(bytes)).append(" of what is alive");
  }

  void name(uint32_t v, SuspectRow* row) const {
    if (tree_.is_owner(v)) {
      const OwnerRow& owner = s_.owners[tree_.owner(v)];
      row->name = owner.kind;
      row->name.append(" ").append(owner.name);
      row->module = owner.module;
      return;
    }
    row->address = address_of(v);
    if (const TypeRow* type = type_of(v)) {
      row->name = type->name;
      row->module = type->module;
    }
  }

  // ---- one owner or object ----

  SuspectRow single(uint32_t v, uint32_t place) const {
    SuspectRow row;
    const bool owner = tree_.is_owner(v);
    row.kind = owner ? "owner" : "object";
    name(v, &row);
    row.count = 1;
    row.retained_count = tree_.count[v] - (owner ? 1 : 0);
    row.retained_bytes = tree_.bytes[v];
    row.share = share(row.retained_bytes);
    row.evidence = name_of(v);
    row.evidence.append(" keeps ").append(kept_text(row.retained_count, row.retained_bytes));
    follow(v, place, &row);
    row.evidence.append("; large is not leaked: a guess");
    return row;
  }

  struct Heaviest {
    uint32_t number = 0, place = 0;
    uint64_t children = 0, children_bytes = 0;
  };

  Heaviest heaviest_child(uint32_t place) const {
    Heaviest h;
    tree_.for_each_child(place, [&](uint32_t v, uint32_t at) {
      ++h.children;
      h.children_bytes += tree_.bytes[v];
      if (h.number != 0 && tree_.bytes[v] <= tree_.bytes[h.number]) return;
      h.number = v;
      h.place = at;
    });
    return h;
  }

  // Down to where it accumulates.
  void follow(uint32_t v, uint32_t place, SuspectRow* row) const {
    uint64_t run = 0;  // objects of one type and size that the way has come over last
    uint32_t run_first = v;
    uint64_t last_own = 0;
    const TypeRow* last_type = nullptr;
    uint64_t steps = 0;
    for (;; ++steps) {
      const Heaviest h = heaviest_child(place);
      const uint64_t own = tree_.bytes[v] - h.children_bytes;
      if (!tree_.is_owner(v)) {
        if (run > 0 && own == last_own && type_of(v) == last_type) {
          ++run;
        } else {
          run = 1;
          run_first = v;
        }
        last_own = own;
        last_type = type_of(v);
      }
      const bool most = static_cast<double>(tree_.bytes[h.number]) >=
                        rules_.big_drop * static_cast<double>(tree_.bytes[v]);
      if (h.children == 0 || !most) {
        if (run >= rules_.chain) return tell_chain(run, run_first, row);
        return tell_place(v, place, h, own, steps > 0, row);
      }
      v = h.number;
      place = h.place;
    }
  }

  void note_place(uint32_t v, SuspectRow* row) const {
    row->accumulation_name = name_of(v);
    if (!tree_.is_owner(v)) row->accumulation = address_of(v);
  }

  void tell_chain(uint64_t run, uint32_t first, SuspectRow* row) const {
    note_place(first, row);
    row->children = 1;
    row->evidence.append("; from ").append(name_of(first)).append(" on, ");
    row->evidence.append(std::to_string(run)).append(" objects of one size keep each the next: ");
    row->evidence.append("a list");
  }

  void tell_place(uint32_t v, uint32_t place, const Heaviest& h, uint64_t own, bool below,
                  SuspectRow* row) const {
    note_place(v, row);
    row->children = h.children;
    if (below) {
      row->evidence.append("; it accumulates in ").append(name_of(v));
    }
    if (!tree_.is_owner(v) && 2 * own > tree_.bytes[v]) {
      row->evidence.append(below ? ", which is large itself" : "; it is large itself");
      return;
    }
    row->evidence.append(below ? ", on which " : "; on it ");
    row->evidence.append(std::to_string(h.children)).append(" objects hang");
    row->evidence.append(", the largest keeps ").append(share_text(tree_.bytes[h.number]));
    if (const auto [type, count] = common_type(place); count > 0) {
      row->evidence.append(", ").append(std::to_string(count)).append(" are ").append(type);
    }
  }

  // The type that most of the children have, and how many.
  std::pair<std::string, uint64_t> common_type(uint32_t place) const {
    std::map<const TypeRow*, uint64_t> counts;
    tree_.for_each_child(place, [&](uint32_t v, uint32_t) {
      if (const TypeRow* type = type_of(v)) ++counts[type];
    });
    std::pair<std::string, uint64_t> best;
    for (const auto& [type, count] : counts) {
      if (count > best.second || (count == best.second && type->name < best.first)) {
        best = {type->name, count};
      }
    }
    return best;
  }

  // ---- many that are alike ----

  // Owners of one name (a variable of a function that many threads run), and objects of one type
  // that hang on the super-root or on a small owner.
  void group(uint32_t v, uint32_t place) {
    if (!tree_.is_owner(v)) return group_object(v);
    const OwnerRow& owner = s_.owners[tree_.owner(v)];
    add(v, &owners_[{owner.kind, owner.name, owner.module}]);
    tree_.for_each_child(place, [this](uint32_t child, uint32_t) { group_object(child); });
  }

  void group_object(uint32_t v) {
    if (const TypeRow* type = type_of(v); type != nullptr && type->origin != "string") {
      add(v, &objects_[s_.chunks.type[tree_.node[v]]]);
    }
  }

  void add(uint32_t v, Group* group) const {
    if (group->count++ == 0) group->first = v;
    group->chunks += tree_.count[v] - (tree_.is_owner(v) ? 1 : 0);
    group->bytes += tree_.bytes[v];
  }

  void add_groups() {
    for (const auto& [key, group] : owners_) {
      if (group.count > 1) add_group("owners", group);
    }
    for (const auto& [type, group] : objects_) {
      if (group.count > 1) add_group("objects", group);
    }
  }

  void add_group(const char* kind, const Group& group) {
    if (!is_large(group.bytes)) return;
    SuspectRow row;
    row.kind = kind;
    name(group.first, &row);
    row.address = Address(0);
    row.count = group.count;
    row.retained_count = group.chunks;
    row.retained_bytes = group.bytes;
    row.share = share(group.bytes);
    row.evidence = std::to_string(group.count);
    row.evidence.append(tree_.is_owner(group.first) ? " owners named " : " objects of type ");
    row.evidence.append(row.name).append(" keep together ");
    row.evidence.append(kept_text(group.chunks, group.bytes));
    row.evidence.append(", none of them much alone; many are not leaked: a guess");
    rows_.push_back(std::move(row));
  }

  const DominatorTree& tree_;
  const Snapshot& s_;
  const SuspectRules& rules_;
  uint64_t live_bytes_ = 0;
  std::map<std::tuple<std::string, std::string, std::string>, Group> owners_;
  std::map<uint32_t, Group> objects_;
  std::vector<SuspectRow> rows_;
};

}  // namespace

std::vector<SuspectRow> find_suspects(const DominatorTree& tree, const Snapshot& snapshot,
                                      const SuspectRules& rules) {
  return SuspectFinder(tree, snapshot, rules).find();
}

}  // namespace residue
