// Puts snapshots into a database.
//
// store() is all or nothing: one transaction, rolled back on any error, so that what was in the
// database stays as it was, also when the disk is full or the process is killed.
#pragma once

#include <cstdint>
#include <string>

#include "analyzer/snapshot.h"
#include "db/database.h"
#include "db/store_references.h"
#include "formats/base/result.h"

namespace residue {

struct StoreOptions {
  std::string tool_version;
  // A dump that is there already is stored anew, under the same id, and with its label unless the
  // snapshot brings one.
  bool replace = false;
  StoreReferences references = StoreReferences::kWithinBudget;
  unsigned jobs = 0;  // threads that encode references; 0 for one per processor
};

struct StoreOutcome {
  int64_t id = 0;              // snapshot.id
  bool already_there = false;  // the same dump was stored before; nothing was written
  bool replaced = false;       // the same dump was stored before, and is no more
  std::string label;           // of the snapshot in the database; empty if it has none
};

// A dump is the same if its path, size, time and process id are, or if it has the same bytes (as
// far as SnapshotInfo::dump_id tells) and as many chunks and used bytes were found in it; it is
// not if its bytes are known to differ. Fails with kUsage if the label belongs to another
// snapshot, kIo (disk full, locked, read-only), kInternal (the snapshot contradicts itself). Errors
// name the database.
Result<StoreOutcome> store(Database& database, const Snapshot& snapshot,
                           const StoreOptions& options = {});

// Shows a snapshot in a ":memory:" database without compressing its chunks: they are read from
// `snapshot`, which must outlive the database. Returns its id.
Result<int64_t> attach_live(Database& database, const Snapshot& snapshot,
                            const StoreOptions& options = {});

}  // namespace residue
