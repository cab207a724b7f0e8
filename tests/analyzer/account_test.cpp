// The account of all bytes, and the usage rows: every way of adding up gives the same sums.
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "tests/analyzer/process_builder.h"
#include "tests/analyzer/snapshot_checks.h"

namespace residue {
namespace {

using test::GlibcHeapBuilder;
using test::ProcessBuilder;

void expect_account_adds_up(const Snapshot& snapshot, const Image& image) {
  uint64_t mapped = 0, in_dump = 0;
  for (const Region& region : image.regions) {
    mapped += region.range.size.value();
    if (region.backing == Backing::kDump) in_dump += region.bytes.size();
  }
  uint64_t bytes = 0, account_in_dump = 0;
  std::set<std::string> categories;
  for (const AccountRow& row : snapshot.account) {
    bytes += row.bytes;
    account_in_dump += row.in_dump;
    EXPECT_TRUE(categories.insert(row.category).second) << row.category << " twice";
    EXPECT_LE(row.in_dump, row.bytes) << row.category;
  }
  EXPECT_EQ(bytes, mapped);
  EXPECT_EQ(account_in_dump, in_dump);
  test::expect_memory_adds_up(snapshot, image);
}

uint64_t account_of(const Snapshot& snapshot, const std::string& category) {
  for (const AccountRow& row : snapshot.account) {
    if (row.category == category) return row.bytes;
  }
  return 0;
}

struct Totals {
  uint64_t used_count = 0, used_bytes = 0, leaked_count = 0, leaked_bytes = 0;
  friend bool operator==(const Totals&, const Totals&) = default;
};

std::ostream& operator<<(std::ostream& out, const Totals& t) {
  return out << "used " << t.used_count << "/" << t.used_bytes << " leaked " << t.leaked_count
             << "/" << t.leaked_bytes;
}

Totals chunk_totals(const Snapshot& snapshot) {
  Totals t;
  snapshot.chunks.map.for_each([&](ChunkId id, Address, ByteCount usable, const residue::Run&) {
    if (snapshot.chunks.state[id.value()] != ChunkState::kUsed) return;
    ++t.used_count;
    t.used_bytes += usable.value();
    if (!is_leak(snapshot.chunks.reach[id.value()])) return;
    ++t.leaked_count;
    t.leaked_bytes += usable.value();
  });
  return t;
}

void expect_usage_adds_up(const Snapshot& snapshot) {
  std::map<std::string, Totals> sums;
  std::set<std::pair<std::string, std::string>> keys;
  for (const UsageRow& row : snapshot.usage) {
    EXPECT_TRUE(keys.emplace(row.dimension, row.key).second) << row.dimension << " " << row.key;
    EXPECT_LE(row.leaked_count, row.used_count) << row.dimension << " " << row.key;
    EXPECT_LE(row.leaked_bytes, row.used_bytes) << row.dimension << " " << row.key;
    Totals& t = sums[row.dimension];
    t.used_count += row.used_count;
    t.used_bytes += row.used_bytes;
    t.leaked_count += row.leaked_count;
    t.leaked_bytes += row.leaked_bytes;
  }
  const Totals expected = chunk_totals(snapshot);
  for (const char* dimension : {"type", "owner", "module", "size", "heap"}) {
    EXPECT_EQ(sums[dimension], expected) << dimension;
  }
  uint64_t cluster_chunks = 0, cluster_bytes = 0;
  for (const ClusterRow& row : snapshot.clusters) {
    cluster_chunks += row.chunks;
    cluster_bytes += row.bytes;
  }
  EXPECT_EQ(cluster_chunks, expected.leaked_count);
  EXPECT_EQ(cluster_bytes, expected.leaked_bytes);
}

// A process with something of everything.
void populate(ProcessBuilder* process) {
  GlibcHeapBuilder& heap = process->heap();
  test::ImageBuilder& memory = process->memory();
  process->add_thread(1001);
  const test::ClassInfo session = process->add_class("7Session");
  const size_t arena = heap.add_arena();
  for (int i = 0; i < 50; ++i) {
    const size_t where = i % 2 == 0 ? arena : GlibcHeapBuilder::kMain;
    const uint64_t live = heap.alloc(64, where), text = heap.alloc(40, where);
    const uint64_t lost = heap.alloc(200, where), freed = heap.alloc(600, where);
    heap.alloc(24, where);
    memory.put64(live, session.primary);
    memory.put64(live + 8, text);
    memory.put_text(text, "a text of thirty-one characters");
    memory.put64(process->global(), live);
    memory.put64(lost, session.primary);
    memory.put64(freed + 64, lost);
    if (i % 3 == 0) heap.free_to_unsorted(freed);
    if (heap.release().has_tcache() && i % 8 == 0) heap.free_to_tcache(heap.alloc(90, where));
    if (heap.release().has_fastbins()) heap.free_to_fastbin(heap.alloc(30, where));
  }
  heap.add_heap(arena);
  memory.put64(process->stack_pointer() + 8, heap.alloc(500, arena));
  memory.put64(process->global(), heap.alloc_mmapped(200000));
  heap.alloc_mmapped_aligned(300000, 0x3ff0);
  heap.alloc_all_but(0x30);
  heap.foreign_sbrk(0x2345);
  memory.set_register(0, "r12", heap.alloc(77) + 5);
  memory.map(0x7ffff5000000, 0x3000, test::kReadWrite, RegionKind::kAnonymous);
  memory.map(0x7ffff5010000, 0x3000, test::kRead, RegionKind::kFile, "/var/lib/data");
  memory.map(0x7ffff5020000, 0x2000, test::kReadExecute, RegionKind::kVdso, "[vdso]");
  memory.reserve(0x7ffff5030000, 0x100000);
}

class Account : public ::testing::TestWithParam<unsigned> {};

TEST_P(Account, CategoriesAddUpToAllRegions) {
  ProcessBuilder process({.glibc = GetParam()});
  populate(&process);
  const Snapshot snapshot = process.analyze();
  expect_account_adds_up(snapshot, process.last_image());
}

TEST_P(Account, CategoriesOfChunksAreTheHeapsSums) {
  ProcessBuilder process({.glibc = GetParam()});
  populate(&process);
  const Snapshot snapshot = process.analyze();
  uint64_t used = 0, cached = 0, free = 0;
  for (const auto& [user, block] : process.heap().blocks()) {
    if (block.state == ChunkState::kUsed) used += block.usable;
    if (block.state == ChunkState::kCached) cached += block.usable;
  }
  for (const HeapRow& row : snapshot.heaps) free += row.free_bytes;
  EXPECT_EQ(account_of(snapshot, "used chunks"), used);
  EXPECT_EQ(account_of(snapshot, "cached chunks"), cached);
  EXPECT_EQ(account_of(snapshot, "free chunks"), free);
  EXPECT_GT(account_of(snapshot, "allocator overhead"), 0U);
}

TEST_P(Account, MemoryThatOthersTookWithSbrkIsNotTheAllocators) {
  ProcessBuilder process({.glibc = GetParam()});
  for (int i = 0; i < 5; ++i) process.heap().alloc(1000);
  process.heap().alloc_all_but(0x20);
  process.heap().foreign_sbrk(0x100000);
  process.heap().alloc(1000);
  const Snapshot snapshot = process.analyze();
  EXPECT_LT(account_of(snapshot, "allocator overhead"), 0x10000U);
  expect_account_adds_up(snapshot, process.last_image());
}

TEST_P(Account, UsageAddsUpInEveryDimension) {
  ProcessBuilder process({.glibc = GetParam()});
  populate(&process);
  expect_usage_adds_up(process.analyze());
}

TEST_P(Account, DamagedHeapsAddUpToo) {
  ProcessBuilder process({.glibc = GetParam()});
  populate(&process);
  const uint64_t victim = process.heap().alloc(100);
  for (int i = 0; i < 30; ++i) process.heap().alloc(100);
  process.heap().finish();
  process.memory().put64(victim - 8, 0x4242424242424242);
  const Snapshot snapshot = process.analyze();
  expect_account_adds_up(snapshot, process.last_image());
  expect_usage_adds_up(snapshot);
}

TEST_P(Account, TruncatedDumpsAddUpToo) {
  ProcessBuilder process({.glibc = GetParam()});
  populate(&process);
  const uint64_t base = process.heap().heap_address(GlibcHeapBuilder::kMain, 0);
  process.memory().drop(base + 0x3000, process.memory().end_of_mapping(base) - base - 0x3000);
  const Snapshot snapshot = process.analyze();
  expect_account_adds_up(snapshot, process.last_image());
  expect_usage_adds_up(snapshot);
}

std::string release_name(const ::testing::TestParamInfo<unsigned>& release) {
  return "2_" + std::to_string(release.param);
}

INSTANTIATE_TEST_SUITE_P(Releases, Account, ::testing::Values(12, 24, 28, 31, 36, 42, 43),
                         release_name);

TEST(AccountOfNothing, AnImageWithoutHeapsAddsUp) {
  test::ImageBuilder memory;
  memory.map(0x10000, 0x3000, test::kReadWrite, RegionKind::kAnonymous);
  memory.map(0x20000, 0x1000, test::kRead, RegionKind::kFile, "/etc/hosts");
  memory.reserve(0x30000, 0x5000);
  const Image image = memory.build();
  const Snapshot snapshot = analyze(image, {}, {});
  expect_account_adds_up(snapshot, image);
  EXPECT_TRUE(snapshot.clusters.empty());
}

}  // namespace
}  // namespace residue
