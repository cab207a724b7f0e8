// What a path is, judged from its first bytes, before SQLite is let near it.
//
// SQLite may write to a file by merely opening it (it replays journals), so a file that is not ours
// is recognised and refused here.
#pragma once

#include <string>

#include "formats/base/result.h"

namespace residue {

enum class FileKind {
  kMissing,
  kEmpty,       // no bytes: a database that nobody has written to yet
  kUnfinished,  // no valid header, but a journal beside it: its creation was interrupted
  kDatabase,    // ours, of this schema version or an older one
};

struct FileIdentity {
  FileKind kind = FileKind::kMissing;
  bool wal = false;  // the header asks for a write-ahead log
};

// Fails with kIo (cannot be read, not a regular file) or kUnsupported (not a database, not ours,
// newer than this program). Messages do not name the file.
Result<FileIdentity> identify_file(const std::string& path);

// Whether `path` is any SQLite database: what a command line needs to tell a dump from a database.
bool is_sqlite_file(const std::string& path);

// Refuses versions that this program does not know. `version` is PRAGMA user_version.
Result<void> check_schema_version(int64_t version);

// The name to give to sqlite3_open_v2: protects names such as "file:x" and ":x" from being taken
// for URIs and special databases.
std::string sqlite_name(const std::string& path);

// A URI that opens the file as one that nobody can change, for media on which SQLite cannot lock.
std::string immutable_uri(const std::string& path);

// Size of a file beside the database ("-wal", "-journal"); 0 if it does not exist.
uint64_t companion_size(const std::string& path, const char* suffix);

}  // namespace residue
