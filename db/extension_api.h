// Included before everything else in what is compiled for the loadable extension (see
// CMakeLists.txt): there SQLite's functions are not linked, but reached through the table that the
// host passes. sqlite3ext.h renames them; a later <sqlite3.h> is then already there. Sources need
// not know of it.
#pragma once

#include <sqlite3ext.h>

extern "C" {
SQLITE_EXTENSION_INIT3
}

namespace residue {

// As sqlite3_create_module_v2() and sqlite3_create_module(); but the table refuses to be used on a
// database that is not residue's.
int create_checked_module(sqlite3* db, const char* name, const sqlite3_module* module, void* client,
                          void (*destroy)(void*) = nullptr);

}  // namespace residue

#undef sqlite3_create_module
#undef sqlite3_create_module_v2
#define sqlite3_create_module residue::create_checked_module
#define sqlite3_create_module_v2 residue::create_checked_module
