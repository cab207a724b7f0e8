// QueryGuard: while it lives, statements prepared on the connection may only read.
//
// SQLite's own test (sqlite3_stmt_readonly) lets ATTACH, BEGIN and some PRAGMAs pass; the guard
// therefore allows by name what a query needs and refuses all else.
#pragma once

#include <sqlite3.h>

#include <set>
#include <string>

#include "db/query_reads.h"

namespace residue {

class QueryGuard {
 public:
  // `reads`, if not null, receives each column that a statement prepared meanwhile reads.
  explicit QueryGuard(sqlite3* db, std::set<ColumnRead>* reads = nullptr);
  ~QueryGuard();
  QueryGuard(const QueryGuard&) = delete;
  QueryGuard& operator=(const QueryGuard&) = delete;

  // What was refused last ("ATTACH", "PRAGMA user_version"); empty if nothing was.
  const std::string& refused() const { return refused_; }
  void reset() { refused_.clear(); }

 private:
  static int decide(void* self, int action, const char* first, const char* second,
                    const char* database, const char* trigger);
  sqlite3* db_;
  std::set<ColumnRead>* reads_;
  std::string refused_;
};

}  // namespace residue
