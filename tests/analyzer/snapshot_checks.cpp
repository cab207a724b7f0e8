#include "tests/analyzer/snapshot_checks.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "formats/base/text.h"

namespace residue::test {

ChunkId chunk_at(const Snapshot& snapshot, uint64_t user) {
  uint64_t start = 0;
  const ChunkId id = snapshot.chunks.map.find(user, &start);
  return id != kNone<ChunkId> && start == user ? id : kNone<ChunkId>;
}

std::string reach_of(const Snapshot& snapshot, uint64_t user) {
  const ChunkId id = chunk_at(snapshot, user);
  if (id == kNone<ChunkId>) return "no chunk";
  return kReachNames.at(static_cast<size_t>(snapshot.chunks.reach[id.value()]));
}

std::string state_of(const Snapshot& snapshot, uint64_t user) {
  const ChunkId id = chunk_at(snapshot, user);
  if (id == kNone<ChunkId>) return "no chunk";
  return kChunkStateNames.at(static_cast<size_t>(snapshot.chunks.state[id.value()]));
}

const TypeRow* type_of(const Snapshot& snapshot, uint64_t user) {
  const ChunkId id = chunk_at(snapshot, user);
  if (id == kNone<ChunkId>) return nullptr;
  const uint32_t type = snapshot.chunks.type[id.value()];
  return type == kNone<TypeId>.value() ? nullptr : &snapshot.types.at(type);
}

const OwnerRow* owner_of(const Snapshot& snapshot, uint64_t user) {
  const ChunkId id = chunk_at(snapshot, user);
  if (id == kNone<ChunkId>) return nullptr;
  const uint32_t owner = snapshot.chunks.owner[id.value()];
  return owner == kNone<OwnerId>.value() ? nullptr : &snapshot.owners.at(owner);
}

const ClusterRow* cluster_of(const Snapshot& snapshot, uint64_t user) {
  const ChunkId id = chunk_at(snapshot, user);
  if (id == kNone<ChunkId>) return nullptr;
  const uint32_t cluster = snapshot.chunks.cluster[id.value()];
  return cluster == ChunkTable::kNoCluster ? nullptr : &snapshot.clusters.at(cluster);
}

const HeapRow& heap_named(const Snapshot& snapshot, const std::string& name) {
  for (const HeapRow& row : snapshot.heaps) {
    if (row.name.starts_with(name)) return row;
  }
  ADD_FAILURE() << "no heap " << name << "\n" << complaints(snapshot);
  static const HeapRow none;
  return none;
}

std::string complaints(const Snapshot& snapshot) {
  std::string all;
  for (const HeapRow& row : snapshot.heaps) {
    all += "heap " + row.name + " (" + row.version + ") verified=" + (row.verified ? "yes" : "no") +
           " " + row.problem + "\n";
  }
  for (const Diagnostic& d : snapshot.diagnostics.items()) {
    all += "diagnostic " + d.stage + " " + d.place + ": " + d.message + "\n";
  }
  return all;
}

bool all_verified(const Snapshot& snapshot) {
  return std::all_of(snapshot.heaps.begin(), snapshot.heaps.end(),
                     [](const HeapRow& row) { return row.verified; });
}

namespace {

// Free memory at the end of an arena's heap: a walk may show it as a chunk or not.
std::set<uint64_t> tops_of(const GlibcHeapBuilder& heap) {
  std::set<uint64_t> tops;
  for (size_t i = 0; i < heap.arena_count(); ++i)
    tops.insert(heap.top_of(i) + heap.release().header());
  return tops;
}

std::string row_name(const GlibcHeapBuilder& heap, size_t arena) {
  return arena == GlibcHeapBuilder::kMain ? "main_arena"
                                          : "arena " + hex(heap.arena_address(arena));
}

}  // namespace

void expect_chunks(const Snapshot& snapshot, const GlibcHeapBuilder& heap) {
  for (const auto& [user, block] : heap.blocks()) {
    const ChunkId id = chunk_at(snapshot, user);
    ASSERT_NE(id, kNone<ChunkId>) << "chunk " << hex(user) << " of " << block.usable
                                  << " bytes is missing\n"
                                  << complaints(snapshot);
    EXPECT_EQ(snapshot.chunks.map.usable(id).value(), block.usable) << hex(user);
    EXPECT_EQ(snapshot.chunks.state[id.value()], block.state) << hex(user);
  }
  const std::set<uint64_t> tops = tops_of(heap);
  snapshot.chunks.map.for_each([&](ChunkId id, Address user, ByteCount usable, const Run&) {
    if (heap.blocks().contains(user.value())) return;
    const bool free = snapshot.chunks.state[id.value()] == ChunkState::kFree;
    EXPECT_TRUE(free && tops.contains(user.value()))
        << "there is no "
        << kChunkStateNames.at(static_cast<size_t>(snapshot.chunks.state[id.value()]))
        << " chunk at " << hex(user.value()) << " of " << usable.value() << " bytes";
  });
}

void expect_counters(const Snapshot& snapshot, const GlibcHeapBuilder& heap) {
  EXPECT_TRUE(all_verified(snapshot)) << complaints(snapshot);
  for (size_t arena = 0; arena < heap.arena_count(); ++arena) {
    const HeapRow& row = heap_named(snapshot, row_name(heap, arena));
    const ArenaTotals t = heap.totals(arena);
    EXPECT_EQ(row.problem, "");
    EXPECT_EQ(row.address.value(), heap.arena_address(arena));
    EXPECT_EQ(row.used_count, t.used_count) << row.name;
    EXPECT_EQ(row.used_bytes, t.used_bytes) << row.name;
    EXPECT_EQ(row.cached_count, t.cached_count) << row.name;
    EXPECT_EQ(row.cached_bytes, t.cached_bytes) << row.name;
    EXPECT_EQ(row.mapped_bytes,
              row.used_bytes + row.free_bytes + row.cached_bytes + row.overhead_bytes);
    // malloc.c, int_mallinfo(): fordblks is top, bins and fastbins; uordblks is all the rest.
    EXPECT_EQ(row.fordblks, t.top + t.binned + t.fast) << row.name;
    EXPECT_EQ(row.uordblks, t.system_mem - t.top - t.binned - t.fast) << row.name;
  }
  uint64_t mmapped = 0;
  for (const auto& [user, block] : heap.blocks()) mmapped += block.arena == heap.kMmapped ? 1 : 0;
  if (mmapped == 0) return;
  const HeapRow& row = heap_named(snapshot, "mmapped");
  EXPECT_EQ(row.used_count, mmapped);
  EXPECT_EQ(row.mapped_bytes, heap.mmapped_bytes());
  EXPECT_EQ(row.problem, "");
}

void expect_memory_adds_up(const Snapshot& snapshot, const Image& image) {
  uint64_t mapped = 0, in_dump = 0;
  for (const Region& region : image.regions) {
    mapped += region.range.size.value();
    if (region.backing != Backing::kAbsent) in_dump += region.bytes.size();
  }
  uint64_t bytes = 0, rows_in_dump = 0;
  std::map<std::string, uint64_t> by_category;
  for (const MemoryRow& row : snapshot.memory) {
    bytes += row.bytes;
    rows_in_dump += row.in_dump;
    by_category[row.category] += row.bytes;
    EXPECT_LE(row.in_dump, row.bytes) << row.category << " " << row.name;
    EXPECT_GT(row.bytes + row.count, 0U) << row.category << " " << row.name;
    if (row.rss) {
      EXPECT_LE(*row.rss, row.bytes) << row.category << " " << row.name;
    }
    if (row.heap) {
      EXPECT_LT(*row.heap, snapshot.heaps.size());
    }
  }
  EXPECT_EQ(bytes, mapped);
  EXPECT_EQ(rows_in_dump, in_dump);
  std::map<std::string, uint64_t> account;
  for (const AccountRow& row : snapshot.account) account[row.category] = row.bytes;
  EXPECT_EQ(by_category["live chunks"] + by_category["leaked chunks"], account["used chunks"]);
  for (const char* same : {"free chunks", "cached chunks", "module text", "module data", "vdso"}) {
    EXPECT_EQ(by_category[same], account[same]) << same;
  }
}

}  // namespace residue::test
