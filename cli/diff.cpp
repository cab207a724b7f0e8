// residue diff: what grew between two snapshots.
#include <algorithm>
#include <array>

#include "cli/source.h"
#include "db/query.h"

namespace residue {

Result<int> run_diff(const Options& options, Streams streams) {
  constexpr int64_t kDefaultRows = 10;
  const std::string& path = options.arguments[0];
  RESIDUE_ASSIGN(Database database, open_database_to_read(path));
  RESIDUE_ASSIGN(const int64_t from, resolve_snapshot(database, options.arguments[1]));
  RESIDUE_ASSIGN(const int64_t to, resolve_snapshot(database, options.arguments[2]));
  static constexpr std::array<const char*, 5> kDimensions = {"type", "module", "owner", "heap",
                                                             "size"};
  const bool known =
      std::find(kDimensions.begin(), kDimensions.end(), options.dimension) != kDimensions.end();
  if (!options.dimension.empty() && !known) {
    return Error{ErrorCode::kUsage, "unknown dimension '" + options.dimension + "'", {}};
  }
  Renderer renderer(streams.out, options.format);
  if (options.format != OutputFormat::kTable || !options.dimension.empty()) {
    const int64_t limit = std::max<int64_t>(options.limit, 0);
    RESIDUE_TRY(diff_rows(database, from, to, options.dimension, limit, renderer));
    return kExitDone;
  }
  const int64_t limit = options.limit < 0 ? kDefaultRows : options.limit;
  bool first = true;
  for (const char* dimension : kDimensions) {
    Renderer table(streams.out, options.format);
    streams.out << (first ? "" : "\n") << "By " << dimension << ", most grown first:\n";
    first = false;
    RESIDUE_TRY(diff_rows(database, from, to, dimension, limit, table));
  }
  return kExitDone;
}

}  // namespace residue
