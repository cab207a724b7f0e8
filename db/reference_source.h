// ReferenceSource: the blocks of references of every snapshot that a connection can see, stored or
// in memory, read one at a time. As ChunkSource it belongs to one cursor.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "db/chunk_addresses.h"
#include "db/chunk_source.h"
#include "db/reference_block.h"
#include "db/reference_decoder.h"
#include "formats/base/result.h"

namespace residue {

struct ReferenceRef {
  int64_t snapshot = 0;
  uint32_t block = 0;
  ReferenceRange range;
  uint32_t lowest_target = 0, highest_target = ~uint32_t{0} >> 1;
};

class ReferenceSource {
 public:
  // `live` is read at each call and must outlive the source.
  ReferenceSource(sqlite3* db, const LiveSnapshots& live)
      : db_(db), chunks_(db, live), addresses_(chunks_) {}
  ReferenceSource(const ReferenceSource&) = delete;
  ReferenceSource& operator=(const ReferenceSource&) = delete;

  Result<std::vector<int64_t>> snapshots() { return chunks_.snapshots(); }
  // Its blocks in order of sources; empty if the snapshot does not exist or its references are not
  // known. Lives as long as this.
  Result<const std::vector<ReferenceRef>*> blocks(int64_t snapshot);
  // Lives until the next load().
  Result<const ReferenceBlock*> load(const ReferenceRef& ref);
  ChunkAddresses& addresses() { return addresses_; }

 private:
  struct Cached {
    int64_t snapshot = 0;
    uint32_t block = 0;
    uint64_t last_use = 0;
    std::unique_ptr<ReferenceBlock> columns;
  };

  Result<std::vector<ReferenceRef>> list_stored(int64_t snapshot);
  Result<void> check_stored(int64_t snapshot, const std::vector<ReferenceRef>& list);
  Result<void> load_stored(const ReferenceRef& ref, ReferenceBlock& block);
  Cached& cache_slot();

  sqlite3* db_;
  ChunkSource chunks_;
  ChunkAddresses addresses_;
  std::map<int64_t, std::vector<ReferenceRef>> directories_;
  std::vector<Cached> cache_;
  uint64_t clock_ = 0;
  ReferenceDecoder decoder_;
};

}  // namespace residue
