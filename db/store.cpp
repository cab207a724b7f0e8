#include "db/store.h"

#include <optional>
#include <utility>

#include "db/chunk_encoder.h"
#include "db/reference_block.h"
#include "db/statement.h"
#include "db/store_rows.h"

namespace residue {
namespace {

Result<std::optional<int64_t>> find_same(sqlite3* db, const SnapshotInfo& info) {
  RESIDUE_ASSIGN(Statement find,
                 Statement::prepare(db,
                                    "SELECT id FROM snapshot WHERE source IS ? AND "
                                    "source_bytes = ? AND taken_at IS ? AND pid = ?"));
  RESIDUE_TRY(find.bind(info.source, info.source_bytes, info.taken_at, info.pid));
  RESIDUE_ASSIGN(const bool found, find.step());
  return found ? std::optional(find.integer(0)) : std::nullopt;
}

Result<void> check_label(sqlite3* db, const std::string& label) {
  if (label.empty()) return {};
  RESIDUE_ASSIGN(Statement find,
                 Statement::prepare(db, "SELECT id, source FROM snapshot WHERE label = ?"));
  RESIDUE_TRY(find.bind(label));
  RESIDUE_ASSIGN(const bool found, find.step());
  if (!found) return {};
  return Error{ErrorCode::kUsage,
               "the label '" + label + "' already belongs to snapshot " +
                   std::to_string(find.integer(0)) + " (" + std::string(find.text(1)) + ")",
               {}};
}

Result<int64_t> insert_snapshot(sqlite3* db, const Snapshot& snapshot,
                                const StoreOptions& options) {
  const SnapshotInfo& info = snapshot.info;
  RESIDUE_ASSIGN(
      Statement insert,
      Statement::prepare(
          db,
          "INSERT INTO snapshot (label, taken_at, source, source_bytes, format, os, arch, pid, "
          "executable, complete, tool_version, chunk_count, process, dump_id, imported_at) VALUES "
          "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, strftime('%Y-%m-%dT%H:%M:%SZ', 'now'))"));
  RESIDUE_TRY(insert.run(info.label, info.taken_at, info.source, info.source_bytes, info.format,
                         info.os, info.arch, info.pid, info.executable, info.complete,
                         options.tool_version, snapshot.chunks.map.size(), info.process,
                         info.dump_id));
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
  RESIDUE_ASSIGN(const std::optional<int64_t> same, find_same(db, snapshot.info));
  if (same) return StoreOutcome{*same, true};
  RESIDUE_TRY(check_label(db, snapshot.info.label));
  RESIDUE_ASSIGN(const int64_t id, insert_snapshot(db, snapshot, options));
  RESIDUE_TRY(store_rows(db, id, snapshot));
  if (with_chunks) {
    RESIDUE_TRY(store_chunks(db, id, snapshot));
    RESIDUE_TRY(store_references(db, id, snapshot, options.references, options.jobs));
  } else {
    RESIDUE_TRY(note_references(db, id, snapshot));
  }
  RESIDUE_TRY(transaction.commit());
  return StoreOutcome{id, false};
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
