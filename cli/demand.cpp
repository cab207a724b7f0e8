#include "cli/demand.h"

#include <algorithm>
#include <string_view>

namespace residue {
namespace {

using Part = bool Wanted::*;

// The part of an analysis that a column shows. `column` "*" stands for all that are not named
// before it; a null part is what opening a dump tells. Not here, and so everything: what no stage
// fills yet, and `diagnostic`, to which every stage adds.
struct Rule {
  std::string_view table;
  std::string_view column;
  Part part;
};

constexpr Rule kRules[] = {
    {"snapshot", "chunk_count", &Wanted::heaps},
    {"snapshot", "reference_count", &Wanted::references},
    {"snapshot", "*", nullptr},
    {"module", "symbols", &Wanted::symbols},
    {"module", "*", nullptr},
    {"region", "kind", &Wanted::heaps},  // what malloc has taken is a heap
    {"region", "*", nullptr},
    {"thread", "*", nullptr},
    {"frame", "*", &Wanted::frames},
    {"heap", "largest_free", &Wanted::account},
    {"heap", "free_pages", &Wanted::account},
    {"heap", "*", &Wanted::heaps},
    {"account", "*", &Wanted::account},
    {"memory", "*", &Wanted::memory},
    {"duplicate", "*", &Wanted::duplicates},
    {"corruption", "suspect_type", &Wanted::references},
    {"corruption", "message", &Wanted::references},  // names the type as well
    {"corruption", "*", &Wanted::heaps},
    {"type", "*", &Wanted::reach},
    {"owner", "*", &Wanted::reach},
    {"cluster", "*", &Wanted::leaks},
    {"suppression", "*", &Wanted::leaks},
    {"usage_row", "*", &Wanted::usage},
    {"usage_key", "*", &Wanted::usage},
    {"reference", "*", &Wanted::references},
    {"trend", "*", nullptr},  // of one snapshot there is none
    {"chunk_diff", "*", &Wanted::leaks},
    {"growth", "*", &Wanted::leaks},
    {"diff_by_name", "*", &Wanted::usage},
    {"retainers", "*", &Wanted::retained},
    {"suspect", "*", &Wanted::retained},
    {"chunk", "", &Wanted::heaps},
    {"chunk", "ROWID", &Wanted::heaps},
    {"chunk", "snapshot", &Wanted::heaps},
    {"chunk", "address", &Wanted::heaps},
    {"chunk", "size", &Wanted::heaps},
    {"chunk", "requested", &Wanted::heaps},
    {"chunk", "heap", &Wanted::heaps},
    {"chunk", "state", &Wanted::heaps},
    {"chunk", "type", &Wanted::references},
    {"chunk", "owner", &Wanted::reach},
    {"chunk", "reach", &Wanted::leaks},  // who is head of what leaked
    {"chunk", "cluster", &Wanted::leaks},
    {"chunk", "retained", &Wanted::retained},
    {"chunk", "dominator", &Wanted::retained},
    {"reference", "*", &Wanted::references},
    // Functions of their arguments, and of the schema.
    {"json_each", "*", nullptr},
    {"json_tree", "*", nullptr},
    {"generate_series", "*", nullptr},
    {"pragma_table_info", "*", nullptr},
    {"pragma_table_xinfo", "*", nullptr},
    {"pragma_table_list", "*", nullptr},
    {"pragma_index_list", "*", nullptr},
    {"pragma_index_info", "*", nullptr},
    {"pragma_module_list", "*", nullptr},
    {"pragma_function_list", "*", nullptr},
    {"pragma_user_version", "*", nullptr},
    {"pragma_application_id", "*", nullptr},
};

}  // namespace

Wanted wanted_for(const std::set<ColumnRead>& reads) {
  Wanted wanted = Wanted::nothing();
  for (const ColumnRead& read : reads) {
    const auto* const rule = std::find_if(std::begin(kRules), std::end(kRules), [&](const Rule& r) {
      return r.table == read.table && (r.column == "*" || r.column == read.column);
    });
    if (rule == std::end(kRules)) return {};
    if (rule->part != nullptr) wanted.*rule->part = true;
  }
  return wanted;
}

Result<Wanted> wanted_by(std::string_view sql) {
  RESIDUE_ASSIGN(const std::set<ColumnRead> reads, columns_read(sql));
  return wanted_for(reads);
}

}  // namespace residue
