#include "db/snapshot_tables.h"

#include "db/statement.h"

namespace residue {
namespace {

// Also a name that the file brings along is only a name.
std::string quoted(const std::string& name) {
  std::string text = "\"";
  for (const char c : name) text.append(c == '"' ? 2 : 1, c);
  return text + '"';
}

}  // namespace

Result<std::vector<std::string>> snapshot_tables(sqlite3* db) {
  // In `snapshot` the column is a generated one, which pragma_table_info leaves out.
  RESIDUE_ASSIGN(Statement find,
                 Statement::prepare(db,
                                    "SELECT m.name FROM main.sqlite_schema m JOIN "
                                    "pragma_table_info(m.name, 'main') c WHERE m.type = 'table' "
                                    "AND m.rootpage <> 0 "
                                    "AND m.name <> 'snapshot' AND c.name = 'snapshot'"));
  std::vector<std::string> names;
  for (;;) {
    RESIDUE_ASSIGN(const bool more, find.step());
    if (!more) return names;
    names.emplace_back(find.text(0));
  }
}

Result<void> delete_snapshot_rows(sqlite3* db, const std::vector<std::string>& tables,
                                  int64_t snapshot) {
  for (const std::string& table : tables) {
    std::string sql = "DELETE FROM main.";
    sql.append(quoted(table)).append(" WHERE snapshot = ?");
    RESIDUE_ASSIGN(Statement statement, Statement::prepare(db, sql));
    RESIDUE_TRY(statement.run(snapshot));
  }
  return {};
}

}  // namespace residue
