// The commands that are SQL: query, leaks and diff. A dump is analysed and shown under the same
// tables as a database, so that both are read by the same statements.
#include "db/query.h"

#include <array>
#include <cctype>
#include <filesystem>
#include <optional>

#include "cli/analysis.h"
#include "cli/leak_text.h"
#include "cli/version.h"
#include "db/database_file.h"
#include "db/store.h"
#include "formats/base/text.h"

namespace residue {
namespace {

// A database of snapshots, or a dump that looks like one with a single snapshot.
struct Source {
  std::unique_ptr<Analysis> analysis;  // must outlive the database
  std::optional<Database> database;
  int64_t snapshot = 0;  // the one that was asked for
};

// "FILE", or "FILE@SNAPSHOT" when there is no file of the whole name.
void split_snapshot(const std::string& text, std::string* path, std::string* snapshot) {
  *path = text;
  const size_t at = text.rfind('@');
  std::error_code ignored;
  if (at == std::string::npos || std::filesystem::exists(text, ignored)) return;
  *path = text.substr(0, at);
  *snapshot = text.substr(at + 1);
}

// A file that is not there is an input that cannot be read, unlike a snapshot that is not in it.
Result<Database> open_database(const std::string& path) {
  auto database = Database::open(path, Database::Mode::kRead);
  if (!database && database.error().code == ErrorCode::kNotFound) {
    database.error().code = ErrorCode::kIo;
  }
  return database;
}

// Whether a statement can see what keeps what, which takes up to half of an analysis: it names a
// column or table of it, or has a '*' other than that of count(*).
bool may_use_retained(const std::string& sql) {
  std::string plain;
  for (const char c : sql) {
    if (std::isspace(static_cast<unsigned char>(c)) != 0) continue;
    plain += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  for (const char* word : {"retain", "dominator", "suspect"}) {
    if (plain.find(word) != std::string::npos) return true;
  }
  for (size_t at = plain.find('*'); at != std::string::npos; at = plain.find('*', at + 1)) {
    if (at < 6 || plain.compare(at - 6, 8, "count(*)") != 0) return true;
  }
  return false;
}

// `retained`: whether to find out what keeps what, if `text` is a dump.
Result<Source> open_source(const std::string& text, const Options& options, bool retained,
                           Streams streams) {
  Source source;
  std::string path;
  std::string snapshot;
  split_snapshot(text, &path, &snapshot);
  RESIDUE_TRY(load_suppressions(options));  // what is wrong with them should be known at once
  if (is_sqlite_file(path)) {
    if (!options.suppressions.empty()) {
      return Error{ErrorCode::kUsage,
                   "--suppressions apply when a dump is analysed: " + path +
                       " is a database, store the dump with them",
                   {}};
    }
    RESIDUE_ASSIGN(Database opened, open_database(path));
    source.database.emplace(std::move(opened));
    RESIDUE_ASSIGN(source.snapshot, resolve_snapshot(*source.database, snapshot));
    return source;
  }
  std::error_code ignored;
  if (!snapshot.empty() && std::filesystem::exists(path, ignored)) {
    return Error{ErrorCode::kUsage, path + ": is not a database: it has no snapshots to name", {}};
  }
  Options wanted = options;
  wanted.retained = retained;
  RESIDUE_ASSIGN(source.analysis, analyze_dump(path, wanted, /*want_evidence=*/false, streams.err));
  print_diagnostics(path, source.analysis->snapshot.diagnostics, options, streams.err);
  RESIDUE_ASSIGN(Database opened, Database::open(":memory:", Database::Mode::kWrite));
  source.database.emplace(std::move(opened));
  RESIDUE_ASSIGN(source.snapshot,
                 attach_live(*source.database, source.analysis->snapshot, {kVersion}));
  return source;
}

// Several statements are one JSON document: their rows follow each other in one array.
class OneResult final : public RowSink {
 public:
  explicit OneResult(RowSink* sink) : sink_(sink) {}
  void begin(std::span<const std::string> columns) override {
    begun_ = true;
    sink_->begin(columns);
  }
  bool row(std::span<const Cell> cells) override { return sink_->row(cells); }
  void end() override {}
  void finish() {
    if (begun_) sink_->end();
  }

 private:
  RowSink* sink_;
  bool begun_ = false;
};

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

Result<int> run_query(const Options& options, Streams streams) {
  RESIDUE_ASSIGN(Source source, open_source(options.arguments[0], options,
                                            may_use_retained(options.arguments[1]), streams));
  Renderer renderer(streams.out, options.format);
  if (options.format != OutputFormat::kJson) {
    RESIDUE_TRY(query(*source.database, options.arguments[1], renderer));
    return kExitDone;
  }
  OneResult result(&renderer);
  RESIDUE_TRY(query(*source.database, options.arguments[1], result));
  result.finish();
  return kExitDone;
}

Result<int> run_leaks(const Options& options, Streams streams) {
  RESIDUE_ASSIGN(Source source,
                 open_source(options.arguments[0], options, /*retained=*/false, streams));
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

Result<int> run_diff(const Options& options, Streams streams) {
  constexpr int64_t kDefaultRows = 10;
  const std::string& path = options.arguments[0];
  RESIDUE_ASSIGN(Database database, open_database(path));
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
