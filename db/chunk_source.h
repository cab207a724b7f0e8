// ChunkSource: the blocks of chunks of every snapshot that a connection can see, stored or in
// memory, read one at a time.
//
// Belongs to one cursor of the table `chunk`, that is to one running statement: within it the
// database does not change, so that what was read once is kept (the list of blocks of a snapshot,
// and the blocks used last: a join looks up address after address). Errors name the snapshot and
// the block.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "analyzer/snapshot.h"
#include "db/chunk_block.h"
#include "db/chunk_decoder.h"
#include "db/statement.h"
#include "formats/base/result.h"

namespace residue {

// A snapshot whose chunks are read from memory. Not owned.
struct LiveSnapshot {
  int64_t id = 0;
  const Snapshot* snapshot = nullptr;
};
using LiveSnapshots = std::vector<LiveSnapshot>;

struct BlockRef {
  int64_t snapshot = 0;
  uint32_t block = 0;
  uint32_t first_id = 0;
  uint32_t count = 0;
  uint64_t first_address = 0;
  uint64_t last_address = 0;  // where its last chunk begins
};

class ChunkSource {
 public:
  // `live` is read at each call and must outlive the source.
  ChunkSource(sqlite3* db, const LiveSnapshots& live) : db_(db), live_(live) {}

  // Ids of all snapshots, ascending.
  Result<std::vector<int64_t>> snapshots();
  // Its blocks in address order; empty for a snapshot that does not exist. Lives as long as this.
  Result<const std::vector<BlockRef>*> blocks(int64_t snapshot);
  // The columns in the mask `columns` (at least). Lives until the next load(). REQUIRES: `columns`
  // is the same in every call, or clear() in between.
  Result<const ChunkBlock*> load(const BlockRef& ref, uint32_t columns);
  void clear() { cache_.clear(); }
  // The snapshot if it is in memory, else null.
  const Snapshot* find_live(int64_t snapshot) const;

 private:
  struct Cached {
    int64_t snapshot = 0;
    uint32_t block = 0;
    uint64_t last_use = 0;
    std::unique_ptr<ChunkBlock> columns;
  };

  Result<std::vector<BlockRef>> list_stored(int64_t snapshot);
  Result<void> load_stored(const BlockRef& ref, uint32_t columns, ChunkBlock& block);
  Cached& cache_slot();

  sqlite3* db_;
  const LiveSnapshots& live_;
  std::map<int64_t, std::vector<BlockRef>> directories_;
  std::vector<Cached> cache_;
  uint64_t clock_ = 0;
  ChunkDecoder decoder_;
};

}  // namespace residue
