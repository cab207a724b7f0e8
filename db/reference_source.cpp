#include "db/reference_source.h"

#include <algorithm>
#include <string>

namespace residue {
namespace {

// A block takes 1.6 MB at most.
constexpr size_t kCachedBlocks = 16;

// Of a snapshot in memory: nothing needs to be unpacked, so little is read at a time.
constexpr uint32_t kLiveSources = 4096;

Error block_error(int64_t snapshot, size_t block, const std::string& what) {
  return {ErrorCode::kCorrupt,
          "snapshot " + std::to_string(snapshot) + ", reference block " + std::to_string(block) +
              ": " + what,
          {}};
}

std::vector<ReferenceRef> list_live(int64_t id, const Snapshot& snapshot) {
  std::vector<ReferenceRef> list;
  if (!has_references(snapshot)) return list;
  for (const ReferenceRange& range : divide_references(snapshot, kLiveSources)) {
    list.push_back({id, static_cast<uint32_t>(list.size()), range});
  }
  return list;
}

}  // namespace

Result<const std::vector<ReferenceRef>*> ReferenceSource::blocks(int64_t snapshot) {
  if (const auto known = directories_.find(snapshot); known != directories_.end()) {
    return &known->second;
  }
  std::vector<ReferenceRef> list;
  if (const Snapshot* live = chunks_.find_live(snapshot)) {
    list = list_live(snapshot, *live);
  } else {
    RESIDUE_ASSIGN(list, list_stored(snapshot));
    RESIDUE_TRY(check_stored(snapshot, list));
  }
  return &directories_.emplace(snapshot, std::move(list)).first->second;
}

Result<std::vector<ReferenceRef>> ReferenceSource::list_stored(int64_t snapshot) {
  RESIDUE_ASSIGN(const int64_t chunks, addresses_.count(snapshot));
  RESIDUE_ASSIGN(Statement statement,
                 Statement::prepare(db_,
                                    "SELECT block, first_id, chunk_count, reference_count, "
                                    "lowest_target, highest_target FROM reference_block "
                                    "WHERE snapshot = ? ORDER BY block"));
  RESIDUE_TRY(statement.bind(snapshot));
  std::vector<ReferenceRef> list;
  int64_t end = 0;
  bool may_continue = false;  // the last block holds one chunk, and perhaps not all of it
  for (;;) {
    RESIDUE_ASSIGN(const bool row, statement.step());
    if (!row) return list;
    const int64_t first = statement.integer(1);
    const int64_t count = statement.integer(2);
    const int64_t references = statement.integer(3);
    const bool follows = first == end || (may_continue && first == end - 1 && count == 1);
    if (statement.integer(0) != static_cast<int64_t>(list.size()) || !follows) {
      return block_error(snapshot, list.size(), "a block before it is missing");
    }
    if (count < 1 || count > kBlockSources || count > chunks - first || references < 0 ||
        references > kBlockReferences) {
      return block_error(snapshot, list.size(), "senseless numbers of chunks and references");
    }
    const int64_t lowest = statement.integer(4);
    const int64_t highest = statement.integer(5);
    if (lowest < 0 || lowest > highest || highest >= chunks) {
      return block_error(snapshot, list.size(), "its references lead to no chunk");
    }
    list.push_back({snapshot, static_cast<uint32_t>(list.size()),
                    ReferenceRange{static_cast<uint32_t>(first), static_cast<uint32_t>(count),
                                   static_cast<uint32_t>(references), 0},
                    static_cast<uint32_t>(lowest), static_cast<uint32_t>(highest)});
    end = first + count;
    may_continue = count == 1;
  }
}

// Whether all blocks are there.
Result<void> ReferenceSource::check_stored(int64_t snapshot,
                                           const std::vector<ReferenceRef>& list) {
  RESIDUE_ASSIGN(
      Statement total,
      Statement::prepare(db_, "SELECT coalesce(reference_count, -1) FROM snapshot WHERE id = ?"));
  RESIDUE_TRY(total.bind(snapshot));
  RESIDUE_ASSIGN(const bool known, total.step());
  if (!known) return {};
  int64_t sum = 0;
  for (const ReferenceRef& ref : list) sum += ref.range.references;
  RESIDUE_ASSIGN(const uint32_t chunks, addresses_.count(snapshot));
  const uint32_t end = list.empty() ? 0 : list.back().range.first_id + list.back().range.count;
  const bool stored = total.integer(0) >= 0;
  if (stored ? sum == total.integer(0) && end == chunks : list.empty()) return {};
  return block_error(snapshot, list.size(),
                     stored ? "the block is missing" : "a block that should not be there");
}

Result<const ReferenceBlock*> ReferenceSource::load(const ReferenceRef& ref) {
  ++clock_;
  for (Cached& cached : cache_) {
    if (cached.block == ref.block && cached.snapshot == ref.snapshot && cached.last_use != 0) {
      cached.last_use = clock_;
      return cached.columns.get();
    }
  }
  Cached& slot = cache_slot();
  slot.last_use = 0;  // not valid while it is being filled
  if (const Snapshot* live = chunks_.find_live(ref.snapshot)) {
    gather_references(*live, ref.range, *slot.columns);
  } else if (Result<void> loaded = load_stored(ref, *slot.columns); !loaded) {
    return block_error(ref.snapshot, ref.block, loaded.error().message);
  }
  slot.snapshot = ref.snapshot;
  slot.block = ref.block;
  slot.last_use = clock_;
  return slot.columns.get();
}

ReferenceSource::Cached& ReferenceSource::cache_slot() {
  if (cache_.size() < kCachedBlocks) {
    return cache_.emplace_back(Cached{0, 0, 0, std::make_unique<ReferenceBlock>()});
  }
  return *std::min_element(cache_.begin(), cache_.end(), [](const Cached& a, const Cached& b) {
    return a.last_use < b.last_use;
  });
}

Result<void> ReferenceSource::load_stored(const ReferenceRef& ref, ReferenceBlock& block) {
  RESIDUE_ASSIGN(
      Statement statement,
      Statement::prepare(db_, "SELECT data FROM reference_block WHERE snapshot = ? AND block = ?"));
  RESIDUE_TRY(statement.bind(ref.snapshot, ref.block));
  RESIDUE_ASSIGN(const bool row, statement.step());
  if (!row) return corrupt_block("the block is missing");
  RESIDUE_ASSIGN(const uint32_t chunks, addresses_.count(ref.snapshot));
  RESIDUE_TRY(decoder_.decode(statement.blob(0), chunks, block));
  bool same = block.first_id == ref.range.first_id && block.sources() == ref.range.count &&
              block.references() == ref.range.references;
  if (!block.target.empty()) {
    const auto [low, high] = std::minmax_element(block.target.begin(), block.target.end());
    same = same && *low == ref.lowest_target && *high == ref.highest_target;
  }
  if (!same) return corrupt_block("the block is not the one that its row describes");
  return {};
}

}  // namespace residue
