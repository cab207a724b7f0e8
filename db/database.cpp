#include "db/database.h"

#include <unistd.h>

#include <filesystem>
#include <utility>

#include "db/database_file.h"
#include "db/schema.h"
#include "db/statement.h"
#include "db/upgrade.h"
#include "db/virtual_tables.h"

namespace residue {

struct Database::State {
  std::string path;
  DatabaseOptions options;
  sqlite3* db = nullptr;
  bool writable = false;
  bool memory = false;
  LiveSnapshots live;

  State() = default;
  ~State();
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  State(State&&) = delete;
  State& operator=(State&&) = delete;
};

namespace {

Result<int64_t> pragma_value(sqlite3* db, const char* sql) {
  RESIDUE_ASSIGN(Statement statement, Statement::prepare(db, sql));
  RESIDUE_ASSIGN(const bool row, statement.step());
  return row ? statement.integer(0) : 0;
}

Result<void> connect(sqlite3** db, const std::string& name, int flags,
                     const DatabaseOptions& options) {
  sqlite3_close(std::exchange(*db, nullptr));
  const int rc = sqlite3_open_v2(name.c_str(), db, flags | SQLITE_OPEN_NOMUTEX, nullptr);
  if (*db == nullptr) return Error{ErrorCode::kInternal, "out of memory", {}};
  sqlite3_extended_result_codes(*db, 1);
  if (rc != SQLITE_OK) return sqlite_error(*db, rc);
  sqlite3_busy_timeout(*db, options.busy_timeout_ms);
  // The file may come from anywhere: nothing in its schema may run code or damage the schema.
  sqlite3_db_config(*db, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  sqlite3_db_config(*db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  return {};
}

// Reads something, which makes SQLite open the file in earnest (sqlite3_open_v2 does not).
Result<void> check_identity(sqlite3* db) {
  RESIDUE_ASSIGN(const int64_t application, pragma_value(db, "PRAGMA application_id"));
  if (application != kApplicationId) {
    return Error{ErrorCode::kUnsupported, "not a database of residue's", {}};
  }
  RESIDUE_ASSIGN(const int64_t version, pragma_value(db, "PRAGMA user_version"));
  RESIDUE_TRY(check_schema_version(version));
  // `usage` was a table until version 2. One statement for both: another process may be about to
  // upgrade the file.
  RESIDUE_ASSIGN(const int64_t tables,
                 pragma_value(db,
                              "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND "
                              "name IN ('snapshot', 'usage', 'usage_row', 'chunk_block')"));
  if (tables != 3) return Error{ErrorCode::kCorrupt, "damaged: tables are missing", {}};
  RESIDUE_ASSIGN(Statement hiding,
                 Statement::prepare(db,
                                    "SELECT name FROM sqlite_schema WHERE lower(name) IN ('chunk', "
                                    "'reference', 'chunk_diff', 'growth', 'diff_by_name', "
                                    "'trend') ORDER BY name LIMIT 1"));
  RESIDUE_ASSIGN(const bool hidden, hiding.step());
  if (hidden) {
    std::string message = "its own '";
    message.append(hiding.text(0)).append("' hides residue's table of that name: rename it");
    return Error{ErrorCode::kCorrupt, std::move(message), {}};
  }
  return {};
}

// Fills an empty database. Another process may do the same at this moment: whoever gets the lock
// second finds the work done.
Result<void> create_schema(sqlite3* db) {
  // What forget() frees can be given back a page at a time if the file is told so before its first
  // page is written. The pragma writes that page and takes the lock for it, so that it has to be
  // the first thing in the transaction.
  RESIDUE_ASSIGN(Transaction transaction, Transaction::begin(db, "BEGIN"));
  RESIDUE_TRY(run_sql(db, "PRAGMA auto_vacuum = INCREMENTAL"));
  RESIDUE_ASSIGN(const int64_t objects, pragma_value(db, "SELECT count(*) FROM sqlite_schema"));
  if (objects == 0) {
    const std::string mark = "PRAGMA application_id = " + std::to_string(kApplicationId) +
                             "; PRAGMA user_version = " + std::to_string(kSchemaVersion);
    RESIDUE_TRY(run_sql(db, mark.c_str()));
    RESIDUE_TRY(run_sql(db, kSchemaSql));
  }
  return transaction.commit();
}

// Errors are ignored: without a write-ahead log everything works, only with less concurrency.
void try_write_ahead_log(sqlite3* db, const DatabaseOptions& options) {
  sqlite3_busy_timeout(db, 0);
  sqlite3_exec(db, "PRAGMA journal_mode = WAL", nullptr, nullptr, nullptr);
  sqlite3_busy_timeout(db, options.busy_timeout_ms);
}

}  // namespace

Database::State::~State() { sqlite3_close_v2(db); }

Result<void> Database::open_reader(State& state, bool wal) {
  // With a write-ahead log a reader has to write to the log's index; opened read-only it would
  // leave that file behind. query_only keeps such a connection from changing the database.
  const std::filesystem::path directory = std::filesystem::absolute(state.path).parent_path();
  const bool may_write =
      wal && ::access(state.path.c_str(), W_OK) == 0 && ::access(directory.c_str(), W_OK) == 0;
  const int flags = may_write ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY;
  Result<void> opened = connect(&state.db, sqlite_name(state.path), flags, state.options);
  if (opened) opened = check_identity(state.db);
  if (!opened && opened.error().code == ErrorCode::kIo && wal &&
      companion_size(state.path, "-wal") == 0) {
    // A directory in which the log's index cannot be made. Nobody writes there, so that reading
    // without locks is safe.
    opened = connect(&state.db, immutable_uri(state.path), SQLITE_OPEN_READONLY | SQLITE_OPEN_URI,
                     state.options);
    if (opened) opened = check_identity(state.db);
  }
  RESIDUE_TRY(std::move(opened));
  RESIDUE_TRY(pretend_missing(state.db));
  return run_sql(state.db, "PRAGMA query_only = 1");
}

Result<void> Database::open_writer(State& state) {
  const std::string name = state.memory ? state.path : sqlite_name(state.path);
  RESIDUE_TRY(connect(&state.db, name, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, state.options));
  if (sqlite3_db_readonly(state.db, "main") == 1) {
    return Error{ErrorCode::kIo, "the file is read-only", {}};
  }
  RESIDUE_ASSIGN(const int64_t objects,
                 pragma_value(state.db, "SELECT count(*) FROM sqlite_schema"));
  if (objects == 0) {
    RESIDUE_TRY(create_schema(state.db));
    try_write_ahead_log(state.db, state.options);
    return check_identity(state.db);
  }
  RESIDUE_TRY(check_identity(state.db));
  return add_missing(state.db);
}

Result<Database> Database::open(const std::string& path, Mode mode,
                                const DatabaseOptions& options) {
  auto state = std::make_unique<State>();
  state->path = path;
  state->options = options;
  state->writable = mode == Mode::kWrite;
  state->memory = path == ":memory:";
  FileIdentity identity;
  if (!state->memory) {
    auto identified = identify_file(path);
    if (!identified) return std::move(identified).error().in(path);
    identity = *identified;
  }
  Result<void> opened;
  if (mode == Mode::kWrite) {
    opened = open_writer(*state);
  } else if (identity.kind == FileKind::kDatabase) {
    opened = open_reader(*state, identity.wal);
  } else if (identity.kind == FileKind::kMissing) {
    opened = Error{ErrorCode::kNotFound, "no such file", {}};
  } else if (identity.kind == FileKind::kUnfinished) {
    opened = Error{ErrorCode::kUnsupported,
                   "a database whose creation was interrupted; the next import repairs it",
                   {}};
  } else {
    opened = Error{ErrorCode::kUnsupported, "an empty file, not a database", {}};
  }
  if (opened) opened = register_virtual_tables(state->db, &state->live);
  if (!opened) return std::move(opened).error().in(path);
  return Database(std::move(state));
}

Database::Database(std::unique_ptr<State> state) : state_(std::move(state)) {}
Database::Database(Database&&) noexcept = default;
Database& Database::operator=(Database&&) noexcept = default;
Database::~Database() = default;

sqlite3* Database::handle() const { return state_->db; }
const std::string& Database::path() const { return state_->path; }
bool Database::writable() const { return state_->writable; }
void Database::add_live(int64_t id, const Snapshot& snapshot) {
  state_->live.push_back({id, &snapshot});
}

}  // namespace residue
