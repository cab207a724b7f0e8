#include "db/diff.h"

#include <array>
#include <string>
#include <vector>

#include "db/query.h"
#include "db/statement.h"

namespace residue {
namespace {

// Parameters: ?1 from, ?2 to, ?3 dimension or '', ?4 limit or -1.
std::vector<Cell> parameters_of(const DiffRequest& request) {
  return {request.from, request.to, request.dimension,
          request.limit > 0 ? request.limit : int64_t{-1}};
}

constexpr std::array<const char*, 7> kPairColumns = {
    "count_before", "bytes_before", "count_after",       "bytes_after",
    "count_delta",  "bytes_delta",  "leaked_bytes_delta"};
constexpr std::array<const char*, 12> kGrowthColumns = {
    "new_count",    "new_bytes",    "gone_count", "gone_bytes", "resized_count", "resized_bytes",
    "joined_count", "joined_bytes", "left_count", "left_bytes", "lost_count",    "lost_bytes"};

// ", X name" for each column; `with_name`: ", X(name) AS name".
template <size_t kCount>
std::string list(const std::array<const char*, kCount>& columns, const char* before = "",
                 bool with_name = false) {
  std::string text;
  for (const char* column : columns) {
    text.append(", ").append(before);
    if (with_name) text.append("(").append(column).append(") AS ");
    text.append(column);
  }
  return text;
}

std::string all_columns() { return "dimension, key" + list(kPairColumns) + list(kGrowthColumns); }

// What `diff` and `growth` say of a key are brought together by GROUP BY, each having one row for
// it at most: the planner joins two computed tables by comparing every row with every other.
std::string pair_rows(const DiffRequest& request) {
  std::string where = " WHERE from_snapshot = ?1 AND to_snapshot = ?2";
  if (!request.dimension.empty()) where += " AND dimension = ?3";
  const std::string changed = "(count_delta <> 0 OR bytes_delta <> 0 OR leaked_bytes_delta <> 0)";
  std::string sql = "SELECT dimension, key";
  if (request.by_name || request.sums_only) {
    sql += list(kPairColumns) + list(kGrowthColumns, "NULL AS ");
    sql += request.by_name ? " FROM diff_by_name" : " FROM diff";
    return sql + where + " AND " + changed;
  }
  sql += list(kPairColumns, "max", true) + list(kGrowthColumns, "max", true);
  sql += " FROM (SELECT dimension, key" + list(kPairColumns) + list(kGrowthColumns, "NULL AS ");
  sql += " FROM diff" + where + " AND " + changed + " UNION ALL SELECT dimension, key";
  sql += list(kPairColumns, "NULL AS ") + list(kGrowthColumns) + " FROM growth" + where;
  return sql + ") GROUP BY dimension, key HAVING max(count_before) IS NOT NULL";
}

Result<uint64_t> number(sqlite3* db, const char* sql, int64_t snapshot) {
  RESIDUE_ASSIGN(Statement statement, Statement::prepare(db, sql));
  RESIDUE_TRY(statement.bind(snapshot));
  RESIDUE_ASSIGN(const bool row, statement.step());
  return row ? static_cast<uint64_t>(statement.integer(0)) : uint64_t{0};
}

Result<void> read_heaps(sqlite3* db, int64_t snapshot, Totals& totals) {
  RESIDUE_ASSIGN(
      Statement heaps,
      Statement::prepare(db,
                         "SELECT total(used_bytes), total(free_bytes), total(cached_bytes), "
                         "total(overhead_bytes), count(*) - coalesce(sum(name = 'mmapped'), 0), "
                         "allocator FROM heap WHERE snapshot = ? GROUP BY allocator ORDER BY "
                         "total(free_bytes) + total(cached_bytes) + total(overhead_bytes) DESC"));
  RESIDUE_TRY(heaps.bind(snapshot));
  for (bool first = true;; first = false) {
    RESIDUE_ASSIGN(const bool more, heaps.step());
    if (!more) return {};
    totals.used += static_cast<uint64_t>(heaps.integer(0));
    totals.free += static_cast<uint64_t>(heaps.integer(1));
    totals.cached += static_cast<uint64_t>(heaps.integer(2));
    totals.overhead += static_cast<uint64_t>(heaps.integer(3));
    if (!first) continue;
    totals.arenas = static_cast<uint64_t>(heaps.integer(4));
    totals.allocator = heaps.text(5);
  }
}

Result<Totals> read_totals(sqlite3* db, int64_t snapshot) {
  Totals totals;
  RESIDUE_TRY(read_heaps(db, snapshot, totals));
  RESIDUE_ASSIGN(totals.leaked,
                 number(db,
                        "SELECT coalesce(sum(leaked_bytes), 0) FROM usage WHERE snapshot = ? AND "
                        "dimension = 'type'",
                        snapshot));
  RESIDUE_ASSIGN(
      totals.mapped,
      number(db, "SELECT coalesce(sum(size), 0) FROM region WHERE snapshot = ?", snapshot));
  RESIDUE_ASSIGN(
      Statement info,
      Statement::prepare(db, "SELECT taken_at, executable, pid FROM snapshot WHERE id = ?"));
  RESIDUE_TRY(info.bind(snapshot));
  RESIDUE_ASSIGN(const bool row, info.step());
  if (!row) return totals;
  totals.taken_at = info.text(0);
  totals.executable = info.text(1);
  totals.pid = info.integer(2);
  return totals;
}

}  // namespace

Result<Kinship> compare_processes(Database& database, int64_t from, int64_t to) {
  auto kinship = compare_processes(database.handle(), from, to);
  if (!kinship) return std::move(kinship).error().in(database.path());
  return kinship;
}

Result<void> changed_keys(Database& database, const DiffRequest& request, RowSink& sink) {
  const std::string order = " ORDER BY bytes_delta DESC, dimension, key";
  std::string sql = pair_rows(request);
  if (request.limit_each) {
    // A window's place is not known yet where the rows are chosen: hence the two levels.
    sql = "SELECT " + all_columns() +
          " FROM (SELECT *, row_number() OVER (PARTITION BY dimension ORDER BY bytes_delta DESC, "
          "key) AS place FROM (" +
          sql + ")) WHERE (?4 < 0 OR place <= ?4)" + order;
  } else {
    sql += order + " LIMIT ?4";
  }
  return query(database, sql, sink, parameters_of(request));
}

Result<void> changed_chunks(Database& database, const DiffRequest& request, RowSink& sink) {
  const std::string order = request.limit > 0
                                ? "max(coalesce(size_before, 0), coalesce(size_after, 0)) DESC, "
                                  "address LIMIT ?4"
                                : "address";
  return query(database,
               "SELECT address, status, size_before, size_after, heap, type, owner, cluster, "
               "reach, reach_before, type_before, state_before FROM chunk_diff WHERE "
               "from_snapshot = ?1 AND to_snapshot = ?2 AND status <> 'kept' ORDER BY " +
                   order,
               sink, parameters_of(request));
}

Result<void> new_leaks(Database& database, const DiffRequest& request, RowSink& sink) {
  const std::string shape = request.by_name ? "stable_key('shape', shape)" : "shape";
  return query(database,
               "SELECT chunks, bytes, bytes_each, verdict, module, head, count, shape FROM cluster "
               "WHERE snapshot = ?2 AND suppressed IS NULL AND coalesce(" +
                   shape + ", '') NOT IN (SELECT coalesce(" + shape +
                   ", '') FROM cluster WHERE snapshot = ?1 AND suppressed IS NULL) "
                   "ORDER BY bytes DESC, id LIMIT ?4",
               sink, parameters_of(request));
}

Result<Totals> snapshot_totals(Database& database, int64_t snapshot) {
  auto totals = read_totals(database.handle(), snapshot);
  if (!totals) return std::move(totals).error().in(database.path());
  return totals;
}

}  // namespace residue
