#include "db/store.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "db/chunk_encoder.h"
#include "db/reference_block.h"
#include "db/snapshot_tables.h"
#include "db/statement.h"
#include "db/store_rows.h"

namespace residue {
namespace {

struct Same {
  int64_t id = 0;
  std::string label;
};

// Of a large dump `dump_id` has seen a part of the bytes. Two dumps of an idle process can be equal
// in all of these; then what was found in them has to be equal too.
Result<std::optional<Same>> find_same(sqlite3* db, const Snapshot& snapshot) {
  const SnapshotInfo& info = snapshot.info;
  uint64_t used_bytes = 0;
  for (const HeapRow& heap : snapshot.heaps) used_bytes += heap.used_bytes;
  RESIDUE_ASSIGN(
      Statement find,
      Statement::prepare(
          db,
          "SELECT id, label FROM snapshot WHERE source IS ?1 AND source_bytes = ?2 AND "
          "taken_at IS ?3 AND pid = ?4 AND coalesce(dump_id = ?5, 1) "
          "UNION ALL SELECT s.id, s.label FROM snapshot s WHERE s.dump_id = ?5 AND "
          "s.chunk_count = ?6 AND ?7 = (SELECT coalesce(sum(h.used_bytes), 0) FROM heap h WHERE "
          "h.snapshot = s.id) LIMIT 1"));
  RESIDUE_TRY(find.bind(info.source, info.source_bytes, info.taken_at, info.pid, info.dump_id,
                        snapshot.chunks.map.size(), used_bytes));
  RESIDUE_ASSIGN(const bool found, find.step());
  if (!found) return std::optional<Same>();
  return std::optional(Same{find.integer(0), std::string(find.text(1))});
}

// `id`: of the snapshot that may have it.
Result<void> check_label(sqlite3* db, const std::string& label, int64_t id) {
  if (label.empty()) return {};
  RESIDUE_ASSIGN(
      Statement find,
      Statement::prepare(db, "SELECT id, source FROM snapshot WHERE label = ? AND id <> ?"));
  RESIDUE_TRY(find.bind(label, id));
  RESIDUE_ASSIGN(const bool found, find.step());
  if (!found) return {};
  return Error{ErrorCode::kUsage,
               "the label '" + label + "' already belongs to snapshot " +
                   std::to_string(find.integer(0)) + " (" + std::string(find.text(1)) + ")",
               {}};
}

Result<void> remove(sqlite3* db, int64_t id) {
  RESIDUE_ASSIGN(const std::vector<std::string> tables, snapshot_tables(db));
  RESIDUE_TRY(delete_snapshot_rows(db, tables, id));
  RESIDUE_ASSIGN(Statement drop, Statement::prepare(db, "DELETE FROM snapshot WHERE id = ?"));
  return drop.run(id);
}

// `id`: that it is to have; nothing for a new one.
Result<int64_t> insert_snapshot(sqlite3* db, const Snapshot& snapshot, const std::string& label,
                                std::optional<int64_t> id, const std::string& tool_version) {
  const SnapshotInfo& info = snapshot.info;
  RESIDUE_ASSIGN(
      Statement insert,
      Statement::prepare(
          db,
          "INSERT INTO snapshot (id, label, taken_at, source, source_bytes, format, os, arch, pid, "
          "executable, complete, tool_version, chunk_count, process, dump_id, imported_at) VALUES "
          "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, "
          "strftime('%Y-%m-%dT%H:%M:%SZ', 'now'))"));
  RESIDUE_TRY(insert.run(id, label, info.taken_at, info.source, info.source_bytes, info.format,
                         info.os, info.arch, info.pid, info.executable, info.complete, tool_version,
                         snapshot.chunks.map.size(), info.process, info.dump_id));
  return sqlite3_last_insert_rowid(db);
}

Result<void> store_block(Statement& insert, int64_t id, int64_t number, ChunkEncoder& encoder) {
  RESIDUE_ASSIGN(const ChunkEncoder::Block block, encoder.finish());
  return insert.run(id, number, block.first_id, block.count, block.first_address,
                    block.last_address, block.data);
}

Result<void> store_chunks(sqlite3* db, int64_t id, const Snapshot& snapshot) {
  RESIDUE_ASSIGN(Statement insert,
                 Statement::prepare(db,
                                    "INSERT INTO chunk_block (snapshot, block, first_id, "
                                    "chunk_count, first_address, last_address, data) "
                                    "VALUES (?, ?, ?, ?, ?, ?, ?)"));
  ChunkEncoder encoder(snapshot);
  RESIDUE_TRY(encoder.check());
  Result<void> stored;
  int64_t number = 0;
  snapshot.chunks.map.for_each([&](ChunkId, Address address, ByteCount usable, const Run& run) {
    if (!stored) return;  // there is no way to end the walk early
    encoder.add(address, usable, run);
    if (encoder.pending() == kBlockChunks) stored = store_block(insert, id, number++, encoder);
  });
  if (stored && encoder.pending() > 0) stored = store_block(insert, id, number, encoder);
  return stored;
}

Result<StoreOutcome> store_in_transaction(sqlite3* db, const Snapshot& snapshot,
                                          const StoreOptions& options, bool with_chunks) {
  RESIDUE_ASSIGN(Transaction transaction, Transaction::begin(db));
  RESIDUE_ASSIGN(const std::optional<Same> same, find_same(db, snapshot));
  if (same && !options.replace) return StoreOutcome{same->id, true, false, same->label};
  RESIDUE_TRY(check_label(db, snapshot.info.label, same ? same->id : 0));
  std::optional<int64_t> wanted;
  std::string label = snapshot.info.label;
  if (same) {
    RESIDUE_TRY(remove(db, same->id));
    wanted = same->id;
    if (label.empty()) label = same->label;
  }
  RESIDUE_ASSIGN(const int64_t id,
                 insert_snapshot(db, snapshot, label, wanted, options.tool_version));
  RESIDUE_TRY(store_rows(db, id, snapshot));
  if (with_chunks) {
    RESIDUE_TRY(store_chunks(db, id, snapshot));
    RESIDUE_TRY(store_references(db, id, snapshot, options.references, options.jobs));
  } else {
    RESIDUE_TRY(note_references(db, id, snapshot));
  }
  RESIDUE_TRY(transaction.commit());
  return StoreOutcome{id, false, same.has_value(), label};
}

}  // namespace

Result<StoreOutcome> store(Database& database, const Snapshot& snapshot,
                           const StoreOptions& options) {
  if (!database.writable()) {
    return Error{ErrorCode::kUsage, database.path() + ": opened for reading only", {}};
  }
  auto outcome = store_in_transaction(database.handle(), snapshot, options, true);
  if (!outcome) return std::move(outcome).error().in(database.path());
  return outcome;
}

Result<int64_t> attach_live(Database& database, const Snapshot& snapshot,
                            const StoreOptions& options) {
  if (database.path() != ":memory:") {
    return Error{ErrorCode::kUsage, database.path() + ": not a database in memory", {}};
  }
  RESIDUE_TRY(ChunkEncoder(snapshot).check());
  if (has_references(snapshot)) RESIDUE_TRY(check_references(snapshot));
  auto outcome = store_in_transaction(database.handle(), snapshot, options, false);
  if (!outcome) return std::move(outcome).error();
  if (!outcome->already_there) database.add_live(outcome->id, snapshot);
  return outcome->id;
}

}  // namespace residue
