#include "db/reference_vtab.h"

#include <algorithm>
#include <new>
#include <vector>

#include "db/reference_filter.h"
#include "db/reference_source.h"
#include "db/statement.h"

namespace residue {
namespace {

constexpr const char* kDeclaration =
    "CREATE TABLE reference(snapshot INTEGER, source INTEGER, target INTEGER, interior INTEGER, "
    "kind TEXT)";

struct ReferenceVtab : sqlite3_vtab {
  sqlite3* db;
  const LiveSnapshots* live;
};

// Walks snapshots, their blocks, and the references of a block that the filter leaves.
struct ReferenceCursor : sqlite3_vtab_cursor {
  ReferenceCursor(sqlite3* db, const LiveSnapshots& live)
      : sqlite3_vtab_cursor{}, references(db, live) {}

  Result<void> start(const ReferenceFilter& wanted);
  Result<void> advance();
  bool at_end() const { return block == nullptr; }
  Result<uint64_t> address(uint32_t id) {
    return references.addresses().address(ref->snapshot, id);
  }

  ReferenceSource references;
  ReferenceFilter filter;
  std::vector<int64_t> snapshots;
  size_t next_snapshot = 0;
  const std::vector<ReferenceRef>* blocks = nullptr;
  size_t next_block = 0;
  IdRanges sources, targets;  // of the current snapshot
  const ReferenceRef* ref = nullptr;
  const ReferenceBlock* block = nullptr;
  uint32_t row = 0;     // in the block
  uint32_t source = 0;  // its source, less the block's first

 private:
  Result<bool> next_blocks();
  void find_row();
};

Result<void> ReferenceCursor::start(const ReferenceFilter& wanted) {
  filter = wanted;
  snapshots.clear();
  blocks = nullptr;
  block = nullptr;
  next_snapshot = 0;
  if (filter.nothing) return {};
  if (filter.snapshot) {
    snapshots.push_back(*filter.snapshot);
  } else {
    RESIDUE_ASSIGN(snapshots, references.snapshots());
  }
  return advance();
}

// The blocks of the next snapshot that has any; false behind the last one.
Result<bool> ReferenceCursor::next_blocks() {
  while (next_snapshot < snapshots.size()) {
    const int64_t snapshot = snapshots[next_snapshot++];
    RESIDUE_ASSIGN(blocks, references.blocks(snapshot));
    next_block = 0;
    if (blocks->empty()) continue;
    RESIDUE_ASSIGN(sources, find_ids(filter.source, snapshot, references.addresses()));
    RESIDUE_ASSIGN(targets, find_ids(filter.target, snapshot, references.addresses()));
    return true;
  }
  return false;
}

// The next row from `row` on that the filter leaves, or the block's end.
void ReferenceCursor::find_row() {
  const uint32_t count = block->sources();
  while (source < count) {
    const uint32_t wanted = sources.next(block->first_id + source) - block->first_id;
    if (wanted >= count) break;
    if (wanted != source) row = block->begin[wanted];
    source = wanted;
    for (const uint32_t end = block->begin[source + 1]; row < end; ++row) {
      if (targets.hold(block->target[row])) return;
    }
    ++source;
  }
  row = block->references();
}

Result<void> ReferenceCursor::advance() {
  for (;;) {
    if (block != nullptr) {
      find_row();
      if (row < block->references()) return {};
      block = nullptr;
    }
    if (blocks == nullptr || next_block == blocks->size()) {
      RESIDUE_ASSIGN(const bool more, next_blocks());
      if (!more) return {};
    }
    ref = &(*blocks)[next_block++];
    const ReferenceRange& range = ref->range;
    if (range.references == 0 || !sources.meet(range.first_id, range.first_id + range.count) ||
        !targets.meet(ref->lowest_target, ref->highest_target + 1)) {
      continue;
    }
    RESIDUE_ASSIGN(block, references.load(*ref));
    row = source = 0;
  }
}

ReferenceCursor* cursor_of(sqlite3_vtab_cursor* cursor) {
  return static_cast<ReferenceCursor*>(cursor);
}

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
  *vtab = new (std::nothrow) ReferenceVtab{{}, db, static_cast<const LiveSnapshots*>(live)};
  return *vtab == nullptr ? SQLITE_NOMEM : SQLITE_OK;
}

int disconnect(sqlite3_vtab* vtab) {
  delete static_cast<ReferenceVtab*>(vtab);
  return SQLITE_OK;
}

int best_index(sqlite3_vtab*, sqlite3_index_info* info) { return plan_references(info); }

int open_cursor(sqlite3_vtab* base, sqlite3_vtab_cursor** cursor) {
  const auto* vtab = static_cast<ReferenceVtab*>(base);
  *cursor = new (std::nothrow) ReferenceCursor(vtab->db, *vtab->live);
  return *cursor == nullptr ? SQLITE_NOMEM : SQLITE_OK;
}

int close_cursor(sqlite3_vtab_cursor* cursor) {
  delete cursor_of(cursor);
  return SQLITE_OK;
}

int start_scan(sqlite3_vtab_cursor* base, int, const char* plan, int count,
               sqlite3_value** values) {
  const auto started = cursor_of(base)->start(
      read_reference_filter(plan, std::span(values, static_cast<size_t>(count))));
  return started ? SQLITE_OK : fail(base->pVtab, started.error());
}

int next_row(sqlite3_vtab_cursor* base) {
  ReferenceCursor* cursor = cursor_of(base);
  ++cursor->row;
  const auto advanced = cursor->advance();
  return advanced ? SQLITE_OK : fail(base->pVtab, advanced.error());
}

int at_end(sqlite3_vtab_cursor* cursor) { return cursor_of(cursor)->at_end() ? 1 : 0; }

int give_address(ReferenceCursor& cursor, sqlite3_context* context, uint32_t id) {
  const Result<uint64_t> address = cursor.address(id);
  if (!address) return fail(cursor.pVtab, address.error());
  sqlite3_result_int64(context, static_cast<sqlite3_int64>(*address));
  return SQLITE_OK;
}

int give_column(sqlite3_vtab_cursor* base, sqlite3_context* context, int column) {
  ReferenceCursor& cursor = *cursor_of(base);
  const ReferenceBlock& block = *cursor.block;
  switch (column) {
    case kColReferenceSnapshot:
      sqlite3_result_int64(context, cursor.ref->snapshot);
      return SQLITE_OK;
    case kColSource:
      return give_address(cursor, context, block.first_id + cursor.source);
    case kColTarget:
      return give_address(cursor, context, block.target[cursor.row]);
    case kColInterior:
      sqlite3_result_int(context, block.interior(cursor.row) ? 1 : 0);
      return SQLITE_OK;
    case kColKind: {
      const auto kind = static_cast<size_t>(block.kind(cursor.row));
      sqlite3_result_text(context, kReferenceKindNames[kind], -1, SQLITE_STATIC);
      return SQLITE_OK;
    }
    default:
      return SQLITE_OK;
  }
}

// Unique as long as there are fewer than two million snapshots, of 16 million blocks each.
int give_rowid(sqlite3_vtab_cursor* base, sqlite3_int64* rowid) {
  const ReferenceCursor& cursor = *cursor_of(base);
  const auto number = static_cast<uint64_t>(cursor.ref->snapshot) << 24 | cursor.ref->block;
  static_assert(kBlockReferences <= 1 << 18);
  *rowid = static_cast<sqlite3_int64>(number << 18 | cursor.row);
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

Result<void> register_reference_table(sqlite3* db, const LiveSnapshots* live) {
  static const sqlite3_module kModule = make_module();
  const int rc = sqlite3_create_module(db, "reference", &kModule, const_cast<LiveSnapshots*>(live));
  if (rc != SQLITE_OK) return sqlite_error(db, rc);
  return {};
}

}  // namespace residue
