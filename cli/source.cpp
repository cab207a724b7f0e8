#include "cli/source.h"

#include <filesystem>

#include "cli/version.h"
#include "db/database_file.h"
#include "db/query.h"
#include "db/store.h"

namespace residue {
namespace {

// "FILE", or "FILE@SNAPSHOT" when there is no file of the whole name.
void split_snapshot(const std::string& text, std::string* path, std::string* snapshot) {
  *path = text;
  const size_t at = text.rfind('@');
  std::error_code ignored;
  if (at == std::string::npos || std::filesystem::exists(text, ignored)) return;
  *path = text.substr(0, at);
  *snapshot = text.substr(at + 1);
}

}  // namespace

Result<Database> open_database_to_read(const std::string& path) {
  auto database = Database::open(path, Database::Mode::kRead);
  if (!database && database.error().code == ErrorCode::kNotFound) {
    database.error().code = ErrorCode::kIo;
  }
  return database;
}

bool is_database(const std::string& text) {
  std::string path;
  std::string snapshot;
  split_snapshot(text, &path, &snapshot);
  return is_sqlite_file(path);
}

Result<Source> open_source(const std::string& text, const Options& options, const Wanted& wanted,
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
    RESIDUE_ASSIGN(Database opened, open_database_to_read(path));
    source.database.emplace(std::move(opened));
    RESIDUE_ASSIGN(source.snapshot, resolve_snapshot(*source.database, snapshot));
    return source;
  }
  std::error_code ignored;
  if (!snapshot.empty() && std::filesystem::exists(path, ignored)) {
    return Error{ErrorCode::kUsage, path + ": is not a database: it has no snapshots to name", {}};
  }
  RESIDUE_ASSIGN(source.analysis, analyze_dump(path, options, /*want_evidence=*/false, streams.err,
                                               options.strict ? Wanted() : wanted));
  print_diagnostics(path, source.analysis->snapshot.diagnostics, options, streams.err);
  RESIDUE_ASSIGN(Database opened, Database::open(":memory:", Database::Mode::kWrite));
  source.database.emplace(std::move(opened));
  RESIDUE_ASSIGN(source.snapshot,
                 attach_live(*source.database, source.analysis->snapshot, {kVersion}));
  return source;
}

}  // namespace residue
