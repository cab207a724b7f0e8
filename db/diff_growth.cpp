#include "db/diff_growth.h"

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "db/diff_keys.h"
#include "db/diff_pairs.h"
#include "db/diff_process.h"

namespace residue {
namespace {

enum Dimension : uint32_t { kType, kModule, kOwner, kHeap, kSize, kRegion, kShape };

// A chunk that is used, seen from one side: its key in each dimension.
struct Side {
  bool used = false;
  bool leaked = false;
  uint64_t size = 0;
  std::array<uint32_t, kGrowthDimensions.size()> key{};
};

// Sizes as keys: small ones are their own numbers, so that no chunk is looked up.
class SizeKeys {
 public:
  static constexpr uint32_t kDirect = 1 << 15;

  uint32_t of(uint64_t size) {
    if (size < kDirect) return static_cast<uint32_t>(size);
    const auto [it, is_new] =
        large_.try_emplace(size, kDirect + static_cast<uint32_t>(large_.size()));
    if (is_new) sizes_.push_back(size);
    return it->second;
  }
  std::string name(uint32_t key) const {
    return std::to_string(key < kDirect ? key : sizes_[key - kDirect]);
  }

 private:
  std::unordered_map<uint64_t, uint32_t> large_;
  std::vector<uint64_t> sizes_;
};

// The mapped file in which a chunk lies; asked for ascending addresses.
class RegionCursor {
 public:
  explicit RegionCursor(const std::vector<SideKeys::NamedRegion>& regions) : regions_(regions) {}

  uint32_t find(uint64_t address) {
    while (next_ < regions_.size() && regions_[next_].end <= address) ++next_;
    const bool inside = next_ < regions_.size() && regions_[next_].begin <= address;
    return inside ? regions_[next_].key : kNoKey;
  }

 private:
  const std::vector<SideKeys::NamedRegion>& regions_;
  size_t next_ = 0;
};

class Meter {
 public:
  Meter(const DiffKeys& keys, uint32_t dimensions)
      : keys_(keys), regions_before_(keys.before.regions), regions_after_(keys.after.regions) {
    for (uint32_t d = 0; d < kGrowthDimensions.size(); ++d) {
      if ((dimensions >> d & 1) != 0) wanted_.push_back(d);
    }
    for (uint32_t d : wanted_) tables_[d].resize(count_of(d));
  }

  void add(const ChunkWalk* before, const ChunkWalk* after) {
    Side old;
    Side now;
    if (before != nullptr && before->used()) old = look(*before, keys_.before, regions_before_);
    if (after != nullptr && after->used()) now = look(*after, keys_.after, regions_after_);
    if (!old.used && !now.used) return;
    for (const uint32_t d : wanted_) count(d, old, now);
  }

  std::vector<GrowthRow> take_rows() const {
    std::vector<GrowthRow> rows;
    for (const uint32_t d : wanted_) {
      const auto first = static_cast<int64_t>(rows.size());
      for (uint32_t key = 0; key < tables_[d].size(); ++key) {
        const Growth& g = tables_[d][key];
        const uint64_t any = g.new_count | g.gone_count | g.resized_count | g.kept_count |
                             g.joined_count | g.left_count;
        if (any != 0) rows.push_back({d, name_of(d, key), g});
      }
      std::stable_sort(rows.begin() + first, rows.end(),
                       [](const GrowthRow& a, const GrowthRow& b) {
                         return a.growth.new_bytes > b.growth.new_bytes;
                       });
    }
    return rows;
  }

 private:
  const NameTable* names_of(uint32_t dimension) const {
    const std::array<const NameTable*, kGrowthDimensions.size()> tables = {
        &keys_.types, &keys_.modules, &keys_.owners, &keys_.heaps,
        nullptr,      &keys_.regions, &keys_.shapes};
    return tables[dimension];
  }
  uint32_t count_of(uint32_t dimension) const {
    return dimension == kSize ? SizeKeys::kDirect : names_of(dimension)->size();
  }
  std::string name_of(uint32_t dimension, uint32_t key) const {
    return dimension == kSize ? sizes_.name(key) : names_of(dimension)->name(key);
  }

  Side look(const ChunkWalk& walk, const SideKeys& keys, RegionCursor& regions) {
    const ChunkBlock& block = walk.block();
    const uint32_t i = walk.row();
    const uint32_t type = block.type[i];
    const uint32_t owner = block.owner[i];
    const uint32_t cluster = block.cluster[i];
    Side side;
    side.used = true;
    side.size = block.size[i];
    side.leaked = is_leak(static_cast<Reach>(block.reach[i])) && !keys.is_hidden(cluster);
    side.key[kType] = SideKeys::at(keys.type, type);
    side.key[kModule] = keys.module(type, cluster, owner);
    side.key[kOwner] = SideKeys::at(keys.owner, owner);
    side.key[kHeap] = SideKeys::at(keys.heap, block.heap[i]);
    side.key[kSize] = sizes_.of(side.size);
    const uint32_t file = regions.find(walk.address());
    side.key[kRegion] = file != kNoKey ? file : SideKeys::at(keys.heap_region, block.heap[i]);
    const bool in_cluster = side.leaked && cluster < keys.shape.size();
    side.key[kShape] = in_cluster ? keys.shape[cluster] : kNoKey;
    return side;
  }

  Growth& at(uint32_t dimension, uint32_t key) {
    std::vector<Growth>& table = tables_[dimension];
    if (key >= table.size()) table.resize(key + size_t{1});  // a large size
    return table[key];
  }

  void count(uint32_t dimension, const Side& old, const Side& now) {
    const uint32_t key_before = old.key[dimension];
    const uint32_t key_after = now.key[dimension];
    if (old.used && now.used) {
      count_stayed(dimension, old, now);
    } else if (old.used && key_before != kNoKey) {
      Growth& g = at(dimension, key_before);
      ++g.gone_count;
      g.gone_bytes += old.size;
    } else if (now.used && key_after != kNoKey) {
      Growth& g = at(dimension, key_after);
      ++g.new_count;
      g.new_bytes += now.size;
      g.new_leaked_count += now.leaked ? 1 : 0;
      g.new_leaked_bytes += now.leaked ? now.size : 0;
    }
  }

  void count_stayed(uint32_t dimension, const Side& old, const Side& now) {
    const uint32_t key_before = old.key[dimension];
    const uint32_t key_after = now.key[dimension];
    if (key_before != key_after && key_before != kNoKey) {
      Growth& g = at(dimension, key_before);
      ++g.left_count;
      g.left_bytes += old.size;
    }
    if (key_after == kNoKey) return;
    Growth& g = at(dimension, key_after);
    if (key_before != key_after) {
      ++g.joined_count;
      g.joined_bytes += now.size;
    } else if (old.size != now.size) {
      ++g.resized_count;
      g.resized_bytes += static_cast<int64_t>(now.size - old.size);
    } else {
      ++g.kept_count;
      g.kept_bytes += now.size;
    }
    if (now.leaked && !old.leaked) {
      ++g.lost_count;
      g.lost_bytes += now.size;
    }
  }

  const DiffKeys& keys_;
  RegionCursor regions_before_, regions_after_;
  SizeKeys sizes_;
  std::vector<uint32_t> wanted_;
  std::array<std::vector<Growth>, kGrowthDimensions.size()> tables_;
};

}  // namespace

Result<std::vector<GrowthRow>> measure_growth(sqlite3* db, const LiveSnapshots& live, int64_t from,
                                              int64_t to, uint32_t dimensions) {
  RESIDUE_ASSIGN(const Kinship kinship, need_same_process(db, from, to));
  if (!kinship.exists || dimensions == 0) return std::vector<GrowthRow>();
  DiffKeys keys;
  RESIDUE_TRY(keys.load(db, from, to));
  Meter meter(keys, dimensions);
  ChunkPairs pairs(db, live);
  RESIDUE_TRY(pairs.start(from, to, kTypeColumn | kOwnerColumn | kClusterColumn, 0));
  while (!pairs.at_end()) {
    meter.add(pairs.before(), pairs.after());
    if (!pairs.step()) RESIDUE_TRY(pairs.refill());
  }
  return meter.take_rows();
}

}  // namespace residue
