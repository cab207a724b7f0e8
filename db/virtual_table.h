// What is the same in every virtual table of ours: the way from SQLite's C interface to a cursor.
//
// A table is a class, derived from sqlite3_vtab_cursor, that walks its rows:
//
//   static constexpr const char* kDeclaration;         CREATE TABLE …, the columns
//   Cursor(sqlite3* db, const LiveSnapshots& live);
//   static int plan(sqlite3_index_info* info);         xBestIndex
//   Result<void> start(int number, const char* plan, std::span<sqlite3_value*> values);
//                                                      to the first row; number and plan are
//                                                      idxNum and idxStr ("" if there is none)
//   bool at_end() const;
//   Result<void> next();
//   Result<void> give(sqlite3_context* context, int column);     nothing given is NULL
//   int64_t rowid() const;
//
// Tables are eponymous: each exists under its name on a connection that registered it, and nothing
// of it is in the file. An Error reaches the user with its words; memory that is not to be had is
// SQLite's error for that, since no exception may pass through C.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <new>
#include <span>
#include <type_traits>

#include "db/chunk_source.h"
#include "db/statement.h"
#include "formats/base/result.h"

namespace residue {

template <typename Cursor>
class VirtualTable {
 public:
  static sqlite3_module module() {
    sqlite3_module module{};
    // No xCreate: the table cannot be made in a file.
    module.xConnect = connect;
    module.xDisconnect = disconnect;
    module.xBestIndex = [](sqlite3_vtab*, sqlite3_index_info* info) {
      return guarded([info] { return Cursor::plan(info); });
    };
    module.xOpen = open;
    module.xClose = close;
    module.xFilter = filter;
    module.xNext = next;
    module.xEof = [](sqlite3_vtab_cursor* base) { return cursor(base).at_end() ? 1 : 0; };
    module.xColumn = column;
    module.xRowid = [](sqlite3_vtab_cursor* base, sqlite3_int64* rowid) {
      *rowid = cursor(base).rowid();
      return SQLITE_OK;
    };
    return module;
  }

 private:
  struct Table : sqlite3_vtab {
    sqlite3* db = nullptr;
    const LiveSnapshots* live = nullptr;
  };

  static Cursor& cursor(sqlite3_vtab_cursor* base) { return *static_cast<Cursor*>(base); }

  template <typename Call>
  static int guarded(Call&& call) {
    try {
      return call();
    } catch (const std::bad_alloc&) {
      return SQLITE_NOMEM;
    }
  }

  // Hands an error to SQLite, which copies the message.
  static int answer(sqlite3_vtab* vtab, const Result<void>& done) {
    if (done) return SQLITE_OK;
    sqlite3_free(vtab->zErrMsg);
    vtab->zErrMsg = sqlite3_mprintf("%s", done.error().message.c_str());
    return done.error().code == ErrorCode::kCorrupt ? SQLITE_CORRUPT_VTAB : SQLITE_ERROR;
  }

  static int connect(sqlite3* db, void* live, int, const char* const*, sqlite3_vtab** vtab,
                     char**) {
    const int rc = sqlite3_declare_vtab(db, Cursor::kDeclaration);
    if (rc != SQLITE_OK) return rc;
    sqlite3_vtab_config(db, SQLITE_VTAB_INNOCUOUS);
    auto* const table = new (std::nothrow) Table;
    if (table == nullptr) return SQLITE_NOMEM;
    table->db = db;
    table->live = static_cast<const LiveSnapshots*>(live);
    *vtab = table;
    return SQLITE_OK;
  }

  static int disconnect(sqlite3_vtab* vtab) {
    delete static_cast<Table*>(vtab);
    return SQLITE_OK;
  }

  static int open(sqlite3_vtab* base, sqlite3_vtab_cursor** opened) {
    const auto* table = static_cast<Table*>(base);
    return guarded([&] {
      *opened = new Cursor(table->db, *table->live);
      return SQLITE_OK;
    });
  }

  static int close(sqlite3_vtab_cursor* base) {
    delete static_cast<Cursor*>(base);
    return SQLITE_OK;
  }

  static int filter(sqlite3_vtab_cursor* base, int number, const char* plan, int count,
                    sqlite3_value** values) {
    return guarded([&] {
      return answer(base->pVtab, cursor(base).start(number, plan == nullptr ? "" : plan,
                                                    std::span(values, static_cast<size_t>(count))));
    });
  }

  static int next(sqlite3_vtab_cursor* base) {
    return guarded([base] { return answer(base->pVtab, cursor(base).next()); });
  }

  static int column(sqlite3_vtab_cursor* base, sqlite3_context* context, int number) {
    return guarded([&] { return answer(base->pVtab, cursor(base).give(context, number)); });
  }
};

// `live` may change later and must outlive the connection.
template <typename Cursor>
Result<void> register_virtual_table(sqlite3* db, const char* name, const LiveSnapshots* live) {
  static_assert(std::is_base_of_v<sqlite3_vtab_cursor, Cursor>);
  static const sqlite3_module kModule = VirtualTable<Cursor>::module();
  const int rc = sqlite3_create_module(db, name, &kModule, const_cast<LiveSnapshots*>(live));
  if (rc != SQLITE_OK) return sqlite_error(db, rc);
  return {};
}

}  // namespace residue
