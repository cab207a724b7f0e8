// What the commands that are SQL read: a database of snapshots, or a dump that is shown under the
// same tables as a database, so that both are read by the same statements.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "cli/analysis.h"
#include "db/database.h"

namespace residue {

// A database of snapshots, or a dump that looks like one with a single snapshot.
struct Source {
  std::unique_ptr<Analysis> analysis;  // must outlive the database
  std::optional<Database> database;
  int64_t snapshot = 0;  // the one that was asked for
};

// `text`: "FILE", or "FILE@SNAPSHOT" when there is no file of the whole name. `retained`: whether
// to find out what keeps what, if it is a dump.
Result<Source> open_source(const std::string& text, const Options& options, bool retained,
                           Streams streams);

// A file that is not there is an input that cannot be read, unlike a snapshot that is not in it.
Result<Database> open_database_to_read(const std::string& path);

}  // namespace residue
