// What the commands that are SQL read: a database of snapshots, or a dump that is shown under the
// same tables as a database, so that both are read by the same statements.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "analyzer/wanted.h"
#include "cli/analysis.h"
#include "db/database.h"

namespace residue {

// A database of snapshots, or a dump that looks like one with a single snapshot.
struct Source {
  std::unique_ptr<Analysis> analysis;  // must outlive the database
  std::optional<Database> database;
  int64_t snapshot = 0;  // the one that was asked for
};

// Whether it is, by its first bytes, a database (or a snapshot in one), and not a dump.
bool is_database(const std::string& text);

// `text`: "FILE", or "FILE@SNAPSHOT" when there is no file of the whole name. `wanted`: what of it
// will be read, if it is a dump; with --strict everything is found out all the same, for damage
// may show anywhere.
Result<Source> open_source(const std::string& text, const Options& options, const Wanted& wanted,
                           Streams streams);

// A file that is not there is an input that cannot be read, unlike a snapshot that is not in it.
Result<Database> open_database_to_read(const std::string& path);

}  // namespace residue
