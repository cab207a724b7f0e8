// SQLite tells its authorizer of each column when a statement is prepared, and of each table that
// only rows are counted of. It does not tell of columns that only USING or NATURAL compare (3.40;
// where the names stand in no expression nobody resolves them). Statements with such a word read
// every column of every table whose name they contain: a name cannot be written without its
// letters.
#include "db/query_reads.h"

#include <algorithm>
#include <vector>

#include "db/database.h"
#include "db/query_guard.h"
#include "db/query_statements.h"
#include "db/statement.h"

namespace residue {
namespace {

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

bool contains(std::string_view text, std::string_view word) {
  return text.find(word) != std::string_view::npos;
}

Result<std::vector<std::string>> names(sqlite3* db, const char* sql) {
  RESIDUE_ASSIGN(Statement statement, Statement::prepare(db, sql));
  std::vector<std::string> list;
  for (;;) {
    RESIDUE_ASSIGN(const bool more, statement.step());
    if (!more) return list;
    list.emplace_back(statement.text(0));
  }
}

std::string quoted(const std::string& name) { return '"' + name + '"'; }

Result<void> add_all_that_is_named(sqlite3* db, const std::string& text,
                                   std::set<ColumnRead>* reads) {
  RESIDUE_ASSIGN(const std::vector<std::string> tables,
                 names(db,
                       "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') UNION "
                       "SELECT name FROM pragma_module_list"));
  QueryGuard guard(db, reads);
  for (const std::string& table : tables) {
    if (!contains(text, lower(table))) continue;
    // Not every module is a table; of those that are, preparing is enough.
    (void)Statement::prepare(db, "SELECT * FROM " + quoted(table));
  }
  return {};
}

}  // namespace

Result<std::set<ColumnRead>> columns_read(std::string_view sql) {
  RESIDUE_ASSIGN(Database database, Database::open(":memory:", Database::Mode::kWrite));
  sqlite3* db = database.handle();
  std::set<ColumnRead> reads;
  RESIDUE_TRY(for_each_statement(database, sql, &reads,
                                 [](Statement&, const QueryGuard&) { return Result<void>(); }));
  const std::string text = lower(sql);
  if (contains(text, "using") || contains(text, "natural")) {
    RESIDUE_TRY(add_all_that_is_named(db, text, &reads));
  }
  // What a view reads has been told in its stead; and the schema, to which SQLite looks on its own
  // as well, is no data.
  RESIDUE_ASSIGN(const std::vector<std::string> views,
                 names(db, "SELECT name FROM sqlite_schema WHERE type = 'view'"));
  std::erase_if(reads, [&](const ColumnRead& read) {
    return read.table == "sqlite_master" ||
           std::find(views.begin(), views.end(), read.table) != views.end();
  });
  return reads;
}

}  // namespace residue
