#include "db/chunk_source.h"

#include <algorithm>
#include <string>

namespace residue {
namespace {

// With all columns a block takes 3.5 MB.
constexpr size_t kCachedBlocks = 16;

Error block_error(int64_t snapshot, int64_t block, const std::string& what) {
  return {ErrorCode::kCorrupt,
          "snapshot " + std::to_string(snapshot) + ", chunk block " + std::to_string(block) + ": " +
              what,
          {}};
}

std::vector<BlockRef> list_live(int64_t id, const ChunkMap& map) {
  std::vector<BlockRef> blocks;
  for (uint32_t first = 0; first < map.size(); first += kBlockChunks) {
    const uint32_t count = std::min(kBlockChunks, map.size() - first);
    blocks.push_back({id, static_cast<uint32_t>(blocks.size()), first, count,
                      map.address(ChunkId(first)).value(),
                      map.address(ChunkId(first + count - 1)).value()});
    if (map.size() - first <= kBlockChunks) break;  // the next sum could wrap
  }
  return blocks;
}

template <typename T>
void copy_column(const std::vector<T>& from, const BlockRef& ref, T none, std::vector<T>& to) {
  if (from.empty()) {
    to.assign(ref.count, none);
  } else {
    to.assign(from.begin() + ref.first_id, from.begin() + ref.first_id + ref.count);
  }
}

void load_retained(const ChunkTable& chunks, const BlockRef& ref, ChunkBlock& block) {
  block.retained.clear();
  if (chunks.retained.empty()) return;
  block.retained.resize(ref.count);
  for (uint32_t i = 0; i < ref.count; ++i) {
    block.retained[i] = std::max(chunks.retained[ref.first_id + i], block.size[i]);
  }
}

void load_dominators(const ChunkTable& chunks, const BlockRef& ref, ChunkBlock& block) {
  block.dominator.clear();
  if (chunks.dominator.empty()) return;
  block.dominator.resize(ref.count);
  for (uint32_t i = 0; i < ref.count; ++i) {
    const uint32_t dominator = chunks.dominator[ref.first_id + i];
    if (dominator >= ChunkTable::kDominatedByOwner) {
      block.dominator[i] = 0;
    } else {
      const uint32_t index = dominator - ref.first_id;
      block.dominator[i] =
          index < ref.count ? block.address[index] : chunks.map.address(ChunkId(dominator)).value();
    }
  }
}

void load_live(const ChunkTable& chunks, const BlockRef& ref, uint32_t columns, ChunkBlock& block) {
  block.count = ref.count;
  if ((columns & kPlaceColumns) != 0) {
    block.address.resize(ref.count);
    block.size.resize(ref.count);
    block.heap.resize(ref.count);
    chunks.map.for_each(ref.first_id, ref.first_id + ref.count,
                        [&](ChunkId id, Address address, ByteCount usable, const Run& run) {
                          const uint32_t i = id.value() - ref.first_id;
                          block.address[i] = address.value();
                          block.size[i] = usable.value();
                          block.heap[i] = run.heap.value();
                        });
  }
  if ((columns & kStateColumns) != 0) {
    block.state.resize(ref.count);
    block.reach.resize(ref.count);
    for (size_t i = 0; i < ref.count; ++i) {
      block.state[i] = static_cast<uint8_t>(chunks.state[ref.first_id + i]);
      block.reach[i] =
          chunks.reach.empty() ? uint8_t{0} : static_cast<uint8_t>(chunks.reach[ref.first_id + i]);
    }
  }
  const uint32_t none = ~uint32_t{0};
  if ((columns & kTypeColumn) != 0) copy_column(chunks.type, ref, none, block.type);
  if ((columns & kOwnerColumn) != 0) copy_column(chunks.owner, ref, none, block.owner);
  if ((columns & kClusterColumn) != 0) copy_column(chunks.cluster, ref, none, block.cluster);
  if ((columns & kRetainedColumn) != 0) load_retained(chunks, ref, block);
  if ((columns & kDominatorColumn) != 0) load_dominators(chunks, ref, block);
  if ((columns & kSlackColumn) != 0) {
    block.slack.clear();
    if (!chunks.slack.empty()) copy_column(chunks.slack, ref, none, block.slack);
  }
}

}  // namespace

const Snapshot* ChunkSource::find_live(int64_t snapshot) const {
  for (const LiveSnapshot& live : live_) {
    if (live.id == snapshot) return live.snapshot;
  }
  return nullptr;
}

Result<std::vector<int64_t>> ChunkSource::snapshots() {
  std::vector<int64_t> ids;
  RESIDUE_ASSIGN(Statement statement, Statement::prepare(db_, "SELECT id FROM snapshot"));
  for (;;) {
    RESIDUE_ASSIGN(const bool row, statement.step());
    if (!row) break;
    ids.push_back(statement.integer(0));
  }
  for (const LiveSnapshot& live : live_) ids.push_back(live.id);
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return ids;
}

Result<const std::vector<BlockRef>*> ChunkSource::blocks(int64_t snapshot) {
  if (const auto known = directories_.find(snapshot); known != directories_.end()) {
    return &known->second;
  }
  std::vector<BlockRef> list;
  if (const Snapshot* live = find_live(snapshot)) {
    list = list_live(snapshot, live->chunks.map);
  } else {
    RESIDUE_ASSIGN(list, list_stored(snapshot));
  }
  return &directories_.emplace(snapshot, std::move(list)).first->second;
}

Result<std::vector<BlockRef>> ChunkSource::list_stored(int64_t snapshot) {
  std::vector<BlockRef> list;
  RESIDUE_ASSIGN(Statement statement,
                 Statement::prepare(db_,
                                    "SELECT block, first_id, chunk_count, first_address, "
                                    "last_address FROM chunk_block WHERE snapshot = ? ORDER BY "
                                    "block"));
  RESIDUE_TRY(statement.bind(snapshot));
  int64_t next_id = 0;
  for (;;) {
    RESIDUE_ASSIGN(const bool row, statement.step());
    if (!row) break;
    const int64_t block = statement.integer(0);
    const int64_t count = statement.integer(2);
    if (block != static_cast<int64_t>(list.size()) || statement.integer(1) != next_id) {
      return block_error(snapshot, block, "a block before it is missing");
    }
    if (count < 1 || count > kBlockChunks || next_id + count > ~uint32_t{0}) {
      return block_error(snapshot, block, "a senseless number of chunks");
    }
    list.push_back({snapshot, static_cast<uint32_t>(block), static_cast<uint32_t>(next_id),
                    static_cast<uint32_t>(count), static_cast<uint64_t>(statement.integer(3)),
                    static_cast<uint64_t>(statement.integer(4))});
    next_id += count;
  }
  RESIDUE_ASSIGN(Statement total,
                 Statement::prepare(db_, "SELECT chunk_count FROM snapshot WHERE id = ?"));
  RESIDUE_TRY(total.bind(snapshot));
  RESIDUE_ASSIGN(const bool known, total.step());
  if (known && total.integer(0) != next_id) {
    return block_error(snapshot, static_cast<int64_t>(list.size()), "the block is missing");
  }
  return list;
}

Result<const ChunkBlock*> ChunkSource::load(const BlockRef& ref, uint32_t columns) {
  ++clock_;
  for (Cached& cached : cache_) {
    if (cached.block == ref.block && cached.snapshot == ref.snapshot && cached.last_use != 0) {
      cached.last_use = clock_;
      return cached.columns.get();
    }
  }
  Cached& slot = cache_slot();
  slot.last_use = 0;  // not valid while it is being filled
  if (const Snapshot* live = find_live(ref.snapshot)) {
    load_live(live->chunks, ref, columns, *slot.columns);
  } else if (Result<void> loaded = load_stored(ref, columns, *slot.columns); !loaded) {
    return block_error(ref.snapshot, ref.block, loaded.error().message);
  }
  slot.snapshot = ref.snapshot;
  slot.block = ref.block;
  slot.last_use = clock_;
  return slot.columns.get();
}

ChunkSource::Cached& ChunkSource::cache_slot() {
  if (cache_.size() < kCachedBlocks) {
    return cache_.emplace_back(Cached{0, 0, 0, std::make_unique<ChunkBlock>()});
  }
  return *std::min_element(cache_.begin(), cache_.end(), [](const Cached& a, const Cached& b) {
    return a.last_use < b.last_use;
  });
}

Result<void> ChunkSource::load_stored(const BlockRef& ref, uint32_t columns, ChunkBlock& block) {
  RESIDUE_ASSIGN(
      Statement statement,
      Statement::prepare(db_, "SELECT data FROM chunk_block WHERE snapshot = ? AND block = ?"));
  RESIDUE_TRY(statement.bind(ref.snapshot, ref.block));
  RESIDUE_ASSIGN(const bool row, statement.step());
  if (!row) return Error{ErrorCode::kCorrupt, "the block is missing", {}};
  RESIDUE_TRY(decoder_.decode(statement.blob(0), columns, block));
  const bool places = (columns & kPlaceColumns) != 0;
  if (block.count != ref.count || (places && (block.address.front() != ref.first_address ||
                                              block.address.back() != ref.last_address))) {
    return Error{ErrorCode::kCorrupt, "the block is not the one that its row describes", {}};
  }
  return {};
}

}  // namespace residue
