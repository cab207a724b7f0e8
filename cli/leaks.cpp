// residue leaks: leaked clusters, largest first.
#include <array>

#include "cli/leak_text.h"
#include "cli/source.h"
#include "db/query.h"

namespace residue {
namespace {

// What was left out, as LeakSanitizer says it; nothing if nothing was.
Result<int> print_suppressions(Database& database, int64_t snapshot, std::ostream& out) {
  const std::array<Cell, 1> parameters = {Cell(snapshot)};
  Renderer renderer(out, OutputFormat::kTable);
  UnlessEmpty sink(&renderer, [&out] { out << "\nSuppressions used:\n"; });
  RESIDUE_TRY(query(database,
                    "SELECT count, bytes, suppressed_count, suppressed_bytes, kind || ':' || "
                    "pattern AS template, file, line FROM suppression WHERE snapshot = ?1 AND "
                    "count > 0 ORDER BY id",
                    sink, parameters));
  return kExitDone;
}

}  // namespace

Result<int> run_leaks(const Options& options, Streams streams) {
  Wanted wanted = Wanted::nothing();
  wanted.leaks = true;
  RESIDUE_ASSIGN(Source source, open_source(options.arguments[0], options, wanted, streams));
  Renderer renderer(streams.out, options.format);
  const std::array<Cell, 2> parameters = {Cell(source.snapshot),
                                          Cell(options.limit <= 0 ? int64_t{-1} : options.limit)};
  const std::string rest =
      " FROM cluster WHERE snapshot = ?1 AND suppressed IS NULL ORDER BY bytes DESC, id LIMIT ?2";
  if (options.format != OutputFormat::kTable) {
    RESIDUE_TRY(query(*source.database,
                      "SELECT count, chunks, bytes, bytes_each, shared, verdict, type, module, "
                      "head, shape AS one_instance, evidence" +
                          rest,
                      renderer, parameters));
    return kExitDone;
  }
  // The evidence is a sentence, the same on most lines: too wide for a table.
  LeakLines lines(&renderer);
  RESIDUE_TRY(query(*source.database,
                    "SELECT chunks, bytes, bytes_each, verdict, module, head, count, shape" + rest,
                    lines, parameters));
  return print_suppressions(*source.database, source.snapshot, streams.out);
}

}  // namespace residue
