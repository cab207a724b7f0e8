#include "db/diff_rows_vtab.h"

#include <array>
#include <memory>
#include <new>

#include "db/diff_plan.h"
#include "db/statement.h"

namespace residue {
namespace {

constexpr int kDimension = 2;
constexpr int kKey = 3;
constexpr char kPlanDimension = 'd';
constexpr std::array<PlanTerm, 1> kTerms = {{{kDimension, kPlanDimension}}};

struct RowsVtab : sqlite3_vtab {
  sqlite3* db;
  const RowsTable* table;
  const LiveSnapshots* live;
};

struct RowsCursor : sqlite3_vtab_cursor {
  explicit RowsCursor(const RowsVtab& of)
      : sqlite3_vtab_cursor{}, db(of.db), table(of.table), live(of.live) {}

  Result<void> start(std::optional<int64_t> from, std::optional<int64_t> to,
                     std::optional<std::string> wanted);

  sqlite3* db;
  const RowsTable* table;
  const LiveSnapshots* live;
  std::unique_ptr<PairRows> rows;
  int64_t from_snapshot = 0, to_snapshot = 0;
  std::optional<std::string> dimension;
  size_t row = 0, end = 0;
};

Result<void> RowsCursor::start(std::optional<int64_t> from, std::optional<int64_t> to,
                               std::optional<std::string> wanted) {
  row = end = 0;
  if (!from || !to) return {};
  if (rows == nullptr || from_snapshot != *from || to_snapshot != *to || dimension != wanted) {
    rows.reset(table->make());
    if (rows == nullptr) return Error{ErrorCode::kInternal, "out of memory", {}};
    from_snapshot = *from;
    to_snapshot = *to;
    dimension = std::move(wanted);
    Result<void> computed = rows->compute(db, *live, *from, *to, dimension);
    if (!computed) {
      rows.reset();
      return computed;
    }
  }
  end = rows->size();
  return {};
}

RowsCursor* cursor_of(sqlite3_vtab_cursor* cursor) { return static_cast<RowsCursor*>(cursor); }

int disconnect(sqlite3_vtab* vtab) {
  delete static_cast<RowsVtab*>(vtab);
  return SQLITE_OK;
}

int best_index(sqlite3_vtab*, sqlite3_index_info* info) { return plan_pair(info, kTerms, 2000); }

int open_cursor(sqlite3_vtab* base, sqlite3_vtab_cursor** cursor) {
  const auto* vtab = static_cast<RowsVtab*>(base);
  *cursor = new (std::nothrow) RowsCursor(*vtab);
  return *cursor == nullptr ? SQLITE_NOMEM : SQLITE_OK;
}

int close_cursor(sqlite3_vtab_cursor* cursor) {
  delete cursor_of(cursor);
  return SQLITE_OK;
}

int start_scan(sqlite3_vtab_cursor* base, int, const char* plan, int count,
               sqlite3_value** values) {
  const std::string_view letters(plan == nullptr ? "" : plan);
  if (!plan_has_pair(letters)) {
    return fail_scan(base->pVtab, pair_missing(cursor_of(base)->table->name));
  }
  std::optional<int64_t> from;
  std::optional<int64_t> to;
  std::optional<std::string> dimension;
  for (size_t i = 0; i < static_cast<size_t>(count) && i < letters.size(); ++i) {
    if (letters[i] == kPlanFrom) {
      from = whole_number(values[i]);
    } else if (letters[i] == kPlanTo) {
      to = whole_number(values[i]);
    } else {
      dimension = std::string(plain_text(values[i]).value_or(std::string_view()));
    }
  }
  const auto started = cursor_of(base)->start(from, to, std::move(dimension));
  return started ? SQLITE_OK : fail_scan(base->pVtab, started.error());
}

int next_row(sqlite3_vtab_cursor* base) {
  ++cursor_of(base)->row;
  return SQLITE_OK;
}

int at_end(sqlite3_vtab_cursor* base) {
  const RowsCursor& cursor = *cursor_of(base);
  return cursor.row >= cursor.end ? 1 : 0;
}

int give_column(sqlite3_vtab_cursor* base, sqlite3_context* context, int column) {
  const RowsCursor& cursor = *cursor_of(base);
  if (column < kDimension) {
    sqlite3_result_int64(context, column == 0 ? cursor.from_snapshot : cursor.to_snapshot);
  } else if (column <= kKey) {
    const std::string_view text =
        column == kKey ? cursor.rows->key(cursor.row) : cursor.rows->dimension(cursor.row);
    sqlite3_result_text64(context, text.data(), text.size(), SQLITE_TRANSIENT, SQLITE_UTF8);
  } else {
    sqlite3_result_int64(context, cursor.rows->number(cursor.row, column));
  }
  return SQLITE_OK;
}

int give_rowid(sqlite3_vtab_cursor* base, sqlite3_int64* rowid) {
  *rowid = static_cast<sqlite3_int64>(cursor_of(base)->row);
  return SQLITE_OK;
}

}  // namespace

int connect_rows(sqlite3* db, const RowsTable& table, void* live, sqlite3_vtab** vtab) {
  const int rc = sqlite3_declare_vtab(db, table.declaration);
  if (rc != SQLITE_OK) return rc;
  sqlite3_vtab_config(db, SQLITE_VTAB_INNOCUOUS);
  *vtab = new (std::nothrow) RowsVtab{{}, db, &table, static_cast<const LiveSnapshots*>(live)};
  return *vtab == nullptr ? SQLITE_NOMEM : SQLITE_OK;
}

sqlite3_module rows_module(decltype(sqlite3_module::xConnect) connect) {
  sqlite3_module module{};
  // No xCreate: the table cannot be made in a file, it only exists under its own name.
  module.xConnect = connect;
  module.xDisconnect = disconnect;
  module.xBestIndex = best_index;
  module.xOpen = open_cursor;
  module.xClose = close_cursor;
  module.xFilter = start_scan;
  module.xNext = next_row;
  module.xEof = at_end;
  module.xColumn = give_column;
  module.xRowid = give_rowid;
  return module;
}

}  // namespace residue
