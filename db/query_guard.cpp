#include "db/query_guard.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

namespace residue {
namespace {

// Pragmas that only tell something, with or without an argument.
constexpr std::array<std::string_view, 14> kAsking = {
    "table_info",      "table_xinfo",   "table_list",       "index_list",  "index_info",
    "index_xinfo",     "database_list", "foreign_key_list", "module_list", "function_list",
    "compile_options", "pragma_list",   "integrity_check",  "quick_check"};
// Pragmas that tell something unless they have an argument.
constexpr std::array<std::string_view, 9> kAskingWithoutArgument = {
    "user_version", "application_id", "schema_version", "data_version", "page_count",
    "page_size",    "freelist_count", "encoding",       "journal_mode"};

bool pragma_reads(const char* name, const char* argument) {
  std::string lower(name == nullptr ? "" : name);
  std::transform(lower.begin(), lower.end(), lower.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  const auto has = [&lower](const auto& names) {
    return std::find(names.begin(), names.end(), lower) != names.end();
  };
  return has(kAsking) || (argument == nullptr && has(kAskingWithoutArgument));
}

const char* name_of(int action) {
  switch (action) {
    case SQLITE_INSERT:
      return "INSERT";
    case SQLITE_UPDATE:
      return "UPDATE";
    case SQLITE_DELETE:
      return "DELETE";
    case SQLITE_ATTACH:
      return "ATTACH";
    case SQLITE_DETACH:
      return "DETACH";
    case SQLITE_TRANSACTION:
      return "a transaction";
    case SQLITE_SAVEPOINT:
      return "a savepoint";
    case SQLITE_ALTER_TABLE:
      return "ALTER TABLE";
    case SQLITE_REINDEX:
      return "REINDEX";
    case SQLITE_ANALYZE:
      return "ANALYZE";
    case SQLITE_PRAGMA:
      return "PRAGMA";
    case SQLITE_FUNCTION:
      return "the function";
    default:
      return "CREATE or DROP";
  }
}

}  // namespace

QueryGuard::QueryGuard(sqlite3* db, std::set<ColumnRead>* reads) : db_(db), reads_(reads) {
  sqlite3_set_authorizer(db, &decide, this);
}

QueryGuard::~QueryGuard() { sqlite3_set_authorizer(db_, nullptr, nullptr); }

int QueryGuard::decide(void* self, int action, const char* first, const char* second, const char*,
                       const char*) {
  auto* const guard = static_cast<QueryGuard*>(self);
  const auto note = [guard](std::string table, const char* column) {
    if (guard->reads_ != nullptr) guard->reads_->insert({std::move(table), column});
  };
  switch (action) {
    case SQLITE_SELECT:
    case SQLITE_RECURSIVE:
      return SQLITE_OK;
    case SQLITE_READ:
      note(first == nullptr ? "" : first, second == nullptr ? "" : second);
      return SQLITE_OK;
    case SQLITE_FUNCTION:
      if (second == nullptr || std::string_view(second) != "load_extension") return SQLITE_OK;
      break;
    case SQLITE_PRAGMA:
      if (!pragma_reads(first, second)) break;
      note(std::string("pragma_").append(first), "");
      return SQLITE_OK;
    case SQLITE_UPDATE:
      // The first use of a table-valued function (json_each) or of `chunk` declares it, which
      // SQLite reports like this. A real update of the schema table it refuses itself (DEFENSIVE).
      if (first != nullptr && std::string_view(first) == "sqlite_master") return SQLITE_OK;
      break;
    default:
      break;
  }
  std::string& refused = guard->refused_;
  refused = name_of(action);
  if (action == SQLITE_PRAGMA && first != nullptr) refused += std::string(" ") + first;
  if (action == SQLITE_FUNCTION) refused += std::string(" ") + second;
  return SQLITE_DENY;
}

}  // namespace residue
