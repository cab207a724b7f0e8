// The loadable extension residue_sqlite: residue's virtual tables in any program that uses SQLite.
//
//   sqlite3 FILE -cmd '.load ./residue_sqlite'
//   connection.enable_load_extension(True); connection.load_extension("./residue_sqlite")
//
// The host has opened the file, whatever it is, and may open it before it holds anything: whether
// it is residue's is asked when a table is first used. Loading changes nothing in the file.
#include <array>
#include <memory>
#include <new>
#include <string>

#include "db/database_file.h"
#include "db/schema.h"
#include "db/statement.h"
#include "db/virtual_tables.h"

// The table of functions, filled in by the entry point; the other sources only refer to it.
extern "C" {
SQLITE_EXTENSION_INIT1
}

namespace residue {
namespace {

// sqlite3_vtab_config(SQLITE_VTAB_INNOCUOUS) is 3.31's; what the tables push down, 3.38's.
constexpr int kOldestSqlite = 3038000;

// The host knows no snapshots but those in its file.
const LiveSnapshots& no_live_snapshots() {
  static const LiveSnapshots none;
  return none;
}

Result<int64_t> pragma_value(sqlite3* db, const char* sql) {
  RESIDUE_ASSIGN(Statement statement, Statement::prepare(db, sql));
  RESIDUE_ASSIGN(const bool row, statement.step());
  return row ? statement.integer(0) : 0;
}

Result<void> check_main_database(sqlite3* db) {
  RESIDUE_ASSIGN(const int64_t application, pragma_value(db, "PRAGMA main.application_id"));
  if (application != kApplicationId) {
    return Error{ErrorCode::kUnsupported,
                 "the main database is not one of residue's; open the file that 'residue analyze "
                 "--db' wrote, an attached one is not looked at",
                 {}};
  }
  RESIDUE_ASSIGN(const int64_t version, pragma_value(db, "PRAGMA main.user_version"));
  return check_schema_version(version);
}

// What stands behind the name of a table. Belongs to the connection.
struct CheckedModule {
  sqlite3_module module{};  // as SQLite sees it
  const sqlite3_module* real = nullptr;
  void* client = nullptr;
  void (*destroy)(void*) = nullptr;  // of `client`; may be null
  std::string name;
};

int connect_checked(sqlite3* db, void* client, int argc, const char* const* argv,
                    sqlite3_vtab** vtab, char** message) {
  const auto* checked = static_cast<const CheckedModule*>(client);
  if (const auto fine = check_main_database(db); !fine) {
    *message = sqlite3_mprintf("%s: %s", checked->name.c_str(), fine.error().message.c_str());
    return SQLITE_ERROR;
  }
  return checked->real->xConnect(db, checked->client, argc, argv, vtab, message);
}

void destroy_checked(void* client) {
  const std::unique_ptr<CheckedModule> checked(static_cast<CheckedModule*>(client));
  if (checked->destroy != nullptr) checked->destroy(checked->client);
}

}  // namespace

int create_checked_module(sqlite3* db, const char* name, const sqlite3_module* module, void* client,
                          void (*destroy)(void*)) {
  auto checked = std::make_unique<CheckedModule>();
  checked->module = *module;
  checked->module.xConnect = connect_checked;
  checked->real = module;
  checked->client = client;
  checked->destroy = destroy;
  checked->name = name;
  CheckedModule* const given = checked.release();  // SQLite destroys it on failure, too
  return sqlite3_api->create_module_v2(db, name, &given->module, given, destroy_checked);
}

}  // namespace residue

// The name that SQLite makes of the file's: letters only.
extern "C" __attribute__((visibility("default"))) int sqlite3_residuesqlite_init(
    sqlite3* db, char** message, const sqlite3_api_routines* api) {
  SQLITE_EXTENSION_INIT2(api)
  const auto fail = [message](const char* text) {
    if (message != nullptr) *message = sqlite3_mprintf("residue_sqlite: %s", text);
    return SQLITE_ERROR;
  };
  if (sqlite3_libversion_number() < residue::kOldestSqlite)
    return fail("needs SQLite 3.38 or later");
  try {
    const auto done = residue::register_virtual_tables(db, &residue::no_live_snapshots());
    return done ? SQLITE_OK : fail(done.error().message.c_str());
  } catch (const std::bad_alloc&) {
    return SQLITE_NOMEM;
  }
}
