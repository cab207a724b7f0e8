// Database: one open database of snapshots.
//
// Owns the SQLite connection; statements and virtual tables made on it must end before it does.
// Each connection offers the virtual table `chunk`. One thread at a time; several processes may
// share a file: one writes, the others read.
//
// A new file gets its schema in a transaction of its own and is then switched to a write-ahead log,
// so that readers are not held up by an import; where the file system cannot do that it stays with
// a rollback journal. A file that was created here and in which nothing was stored is removed
// again.
#pragma once

#include <sqlite3.h>

#include <memory>
#include <string>

#include "analyzer/snapshot.h"
#include "formats/base/result.h"

namespace residue {

struct DatabaseOptions {
  int busy_timeout_ms = 5000;  // how long to wait for another process that writes
};

class Database {
 public:
  enum class Mode { kRead, kWrite };

  // kRead refuses every change. kWrite creates a missing or empty file. ":memory:" is a new, empty
  // database without a file (kWrite only). Errors name the file: kNotFound, kIo (the operating
  // system refuses; read-only; locked), kUnsupported (not a database of ours, newer), kCorrupt.
  static Result<Database> open(const std::string& path, Mode mode,
                               const DatabaseOptions& options = {});

  Database(Database&&) noexcept;
  Database& operator=(Database&&) noexcept;
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;
  ~Database();

  sqlite3* handle() const;
  const std::string& path() const;
  bool writable() const;

  // Shows the chunks of `snapshot` under the id `id` in the table `chunk`, without a copy. The
  // snapshot must outlive the database.
  void add_live(int64_t id, const Snapshot& snapshot);

 private:
  struct State;
  explicit Database(std::unique_ptr<State> state);
  static Result<void> open_reader(State& state, bool wal);
  static Result<void> open_writer(State& state);
  std::unique_ptr<State> state_;
};

}  // namespace residue
