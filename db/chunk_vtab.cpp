#include "db/chunk_vtab.h"

#include <memory>
#include <new>
#include <tuple>
#include <vector>

#include "db/chunk_filter.h"
#include "db/statement.h"

namespace residue {
namespace {

constexpr const char* kDeclaration =
    "CREATE TABLE chunk(snapshot INTEGER, address INTEGER, size INTEGER, requested INTEGER, "
    "heap INTEGER, state TEXT, reach TEXT, type INTEGER, site INTEGER, site_group INTEGER, "
    "owner INTEGER, cluster INTEGER, retained INTEGER, dominator INTEGER)";

struct ChunkVtab : sqlite3_vtab {
  sqlite3* db;
  const LiveSnapshots* live;
};

// Walks snapshots, their blocks, and the rows of a block that the filter leaves.
struct ChunkCursor : sqlite3_vtab_cursor {
  ChunkCursor(sqlite3* db, const LiveSnapshots& live) : sqlite3_vtab_cursor{}, source(db, live) {}

  Result<void> start(const ChunkFilter& wanted, uint32_t needed);
  Result<void> advance();
  bool at_end() const { return block == nullptr; }

  ChunkSource source;
  ChunkFilter filter;
  uint32_t columns = 0;
  std::vector<int64_t> snapshots;
  size_t next_snapshot = 0;
  const std::vector<BlockRef>* blocks = nullptr;
  size_t next_block = 0;
  const BlockRef* ref = nullptr;
  const ChunkBlock* block = nullptr;
  uint32_t row = 0;
  uint32_t end = 0;
};

Result<void> ChunkCursor::start(const ChunkFilter& wanted, uint32_t needed) {
  filter = wanted;
  if (columns != needed) source.clear();
  columns = needed;
  snapshots.clear();
  blocks = nullptr;
  block = nullptr;
  next_snapshot = 0;
  row = end = 0;
  if (filter.nothing) return {};
  if (filter.snapshot) {
    snapshots.push_back(*filter.snapshot);
  } else {
    RESIDUE_ASSIGN(snapshots, source.snapshots());
  }
  return advance();
}

// To the next row from `row` on that matches.
Result<void> ChunkCursor::advance() {
  for (;;) {
    while (row < end && !filter.matches(*block, row)) ++row;
    if (row < end) return {};
    block = nullptr;
    if (blocks == nullptr || next_block == blocks->size()) {
      if (next_snapshot == snapshots.size()) return {};
      RESIDUE_ASSIGN(blocks, source.blocks(snapshots[next_snapshot]));
      ++next_snapshot;
      next_block = 0;
      continue;
    }
    ref = &(*blocks)[next_block++];
    if (!filter.may_hold(*ref)) continue;
    RESIDUE_ASSIGN(block, source.load(*ref, columns));
    std::tie(row, end) = filter.rows(*block);
  }
}

ChunkCursor* cursor_of(sqlite3_vtab_cursor* cursor) { return static_cast<ChunkCursor*>(cursor); }

// Hands an error to SQLite, which copies the message.
int fail(sqlite3_vtab* vtab, const Error& error) {
  sqlite3_free(vtab->zErrMsg);
  vtab->zErrMsg = sqlite3_mprintf("%s", error.message.c_str());
  return error.code == ErrorCode::kCorrupt ? SQLITE_CORRUPT_VTAB : SQLITE_ERROR;
}

int connect(sqlite3* db, void* live, int, const char* const*, sqlite3_vtab** vtab, char**) {
  const int rc = sqlite3_declare_vtab(db, kDeclaration);
  if (rc != SQLITE_OK) return rc;
  sqlite3_vtab_config(db, SQLITE_VTAB_INNOCUOUS);
  *vtab = new (std::nothrow) ChunkVtab{{}, db, static_cast<const LiveSnapshots*>(live)};
  return *vtab == nullptr ? SQLITE_NOMEM : SQLITE_OK;
}

int disconnect(sqlite3_vtab* vtab) {
  delete static_cast<ChunkVtab*>(vtab);
  return SQLITE_OK;
}

int best_index(sqlite3_vtab*, sqlite3_index_info* info) { return plan_filter(info); }

int open_cursor(sqlite3_vtab* base, sqlite3_vtab_cursor** cursor) {
  const auto* vtab = static_cast<ChunkVtab*>(base);
  *cursor = new (std::nothrow) ChunkCursor(vtab->db, *vtab->live);
  return *cursor == nullptr ? SQLITE_NOMEM : SQLITE_OK;
}

int close_cursor(sqlite3_vtab_cursor* cursor) {
  delete cursor_of(cursor);
  return SQLITE_OK;
}

int start_scan(sqlite3_vtab_cursor* base, int columns, const char* plan, int count,
               sqlite3_value** values) {
  const ChunkFilter filter = read_filter(plan, std::span(values, static_cast<size_t>(count)));
  const auto started = cursor_of(base)->start(filter, static_cast<uint32_t>(columns));
  return started ? SQLITE_OK : fail(base->pVtab, started.error());
}

int next_row(sqlite3_vtab_cursor* base) {
  ChunkCursor* cursor = cursor_of(base);
  ++cursor->row;
  const auto advanced = cursor->advance();
  return advanced ? SQLITE_OK : fail(base->pVtab, advanced.error());
}

int at_end(sqlite3_vtab_cursor* cursor) { return cursor_of(cursor)->at_end() ? 1 : 0; }

void give_integer(sqlite3_context* context, uint64_t value) {
  sqlite3_result_int64(context, static_cast<sqlite3_int64>(value));
}

// Nothing given is NULL.
void give_id(sqlite3_context* context, uint32_t id) {
  if (id != ~uint32_t{0}) sqlite3_result_int64(context, id);
}

int give_column(sqlite3_vtab_cursor* base, sqlite3_context* context, int column) {
  const ChunkCursor& cursor = *cursor_of(base);
  const ChunkBlock& block = *cursor.block;
  const uint32_t i = cursor.row;
  switch (column) {
    case kColSnapshot:
      sqlite3_result_int64(context, cursor.ref->snapshot);
      break;
    case kColAddress:
      give_integer(context, block.address[i]);
      break;
    case kColSize:
      give_integer(context, block.size[i]);
      break;
    case kColRequested:
      if (!block.slack.empty() && block.slack[i] != ~uint32_t{0}) {
        give_integer(context, block.size[i] - block.slack[i]);
      }
      break;
    case kColHeap:
      give_id(context, block.heap[i]);
      break;
    case kColState:
      sqlite3_result_text(context, kChunkStateNames[block.state[i]], -1, SQLITE_STATIC);
      break;
    case kColReach:
      if (block.reach[i] != 0) {
        sqlite3_result_text(context, kReachNames[block.reach[i]], -1, SQLITE_STATIC);
      }
      break;
    case kColType:
      give_id(context, block.type[i]);
      break;
    case kColOwner:
      give_id(context, block.owner[i]);
      break;
    case kColCluster:
      give_id(context, block.cluster[i]);
      break;
    case kColRetained:
      if (!block.retained.empty() && block.state[i] == static_cast<uint8_t>(ChunkState::kUsed)) {
        give_integer(context, block.retained[i]);
      }
      break;
    case kColDominator:
      if (!block.dominator.empty() && block.dominator[i] != 0) {
        give_integer(context, block.dominator[i]);
      }
      break;
    default:
      break;
  }
  return SQLITE_OK;
}

int give_rowid(sqlite3_vtab_cursor* base, sqlite3_int64* rowid) {
  const ChunkCursor& cursor = *cursor_of(base);
  *rowid = cursor.ref->snapshot * (int64_t{1} << 32) + cursor.ref->first_id + cursor.row;
  return SQLITE_OK;
}

sqlite3_module make_module() {
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

}  // namespace

Result<void> register_chunk_table(sqlite3* db, const LiveSnapshots* live) {
  static const sqlite3_module kModule = make_module();
  const int rc = sqlite3_create_module(db, "chunk", &kModule, const_cast<LiveSnapshots*>(live));
  if (rc != SQLITE_OK) return sqlite_error(db, rc);
  return {};
}

}  // namespace residue
