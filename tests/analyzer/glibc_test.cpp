// glibc heaps of every release: all chunks, their states, and counters that balance.
#include <gtest/gtest.h>

#include "tests/analyzer/process_builder.h"
#include "tests/analyzer/snapshot_checks.h"

namespace residue {
namespace {

using test::all_verified;
using test::complaints;
using test::expect_chunks;
using test::expect_counters;
using test::GlibcHeapBuilder;
using test::heap_named;
using test::ProcessBuilder;
using test::state_of;

// Used chunks of many sizes, freed ones on every list that the release has, in one arena.
void populate(ProcessBuilder* process, size_t arena, size_t cache) {
  GlibcHeapBuilder& heap = process->heap();
  std::vector<uint64_t> victims;
  // Sizes are those of 64-bit machines; half of it on 32-bit ones.
  const auto alloc = [&](uint64_t size) {
    return heap.alloc(size * heap.release().word() / 8, arena);
  };
  for (const uint64_t size : {1, 24, 25, 40, 104, 120, 121, 400, 1000, 1016, 5000, 70000}) {
    alloc(size);
    victims.push_back(alloc(size));
  }
  heap.alloc(64, arena);
  if (heap.release().has_tcache()) {
    for (const uint64_t size : {24, 24, 24, 200, 1000}) {
      heap.free_to_tcache(alloc(size), cache);
    }
    for (int i = 0; i < 7; ++i) heap.free_to_tcache(alloc(56), cache);
  }
  if (heap.release().has_fastbins()) {
    for (const uint64_t size : {24, 40, 40, 40, 120}) {
      heap.free_to_fastbin(alloc(size));
    }
  }
  heap.alloc(8, arena);
  for (size_t i = 2; i < victims.size(); ++i) {
    if (i % 3 == 0) {
      heap.free_to_unsorted(victims[i]);
    } else {
      heap.free_to_bin(victims[i]);
    }
  }
  for (const uint64_t size : {2000, 2000, 2016, 2032, 2000, 90000, 3000}) {
    const uint64_t user = alloc(size);
    alloc(16);
    heap.free_to_bin(user);
  }
}

// A main arena, an arena with one heap, one with three, and mmapped chunks.
void populate_all(ProcessBuilder* process) {
  GlibcHeapBuilder& heap = process->heap();
  const size_t thread = process->add_thread(1001);
  const size_t one = heap.add_arena();
  const size_t many = heap.add_arena();
  size_t cache_of_one = 0, cache_of_many = 0;
  if (heap.release().has_tcache()) {
    cache_of_one = heap.add_tcache(one, process->tcache_slot(thread));
    cache_of_many = heap.add_tcache(many, process->tcache_slot(process->add_thread(1002)));
  }
  populate(process, GlibcHeapBuilder::kMain, 0);
  populate(process, one, cache_of_one);
  heap.alloc(100, many);
  heap.add_heap(many);
  heap.alloc(1000, many);
  heap.add_heap(many);
  populate(process, many, cache_of_many);
  heap.alloc_mmapped(200000);
  heap.alloc_mmapped_adjacent({140000, 300000, 5000});
  heap.alloc_mmapped_aligned(300000, 0x1000 - heap.release().alignment);
}

struct Build {
  test::Machine machine;
  unsigned minor;
  bool arenas_per_thread = true;
};

void PrintTo(const Build& build, std::ostream* out) {
  *out << build.machine.name << " 2." << build.minor;
}

class EveryGlibc : public ::testing::TestWithParam<Build> {
 protected:
  static test::ProcessOptions options() {
    test::ProcessOptions options;
    options.glibc = GetParam().minor;
    options.machine = GetParam().machine;
    options.arenas_per_thread = GetParam().arenas_per_thread;
    return options;
  }
};

TEST_P(EveryGlibc, AllChunksOfAllArenasAreFoundWithSizeAndState) {
  ProcessBuilder process(options());
  populate_all(&process);
  expect_chunks(process.analyze(), process.heap());
}

TEST_P(EveryGlibc, CountersBalanceAndAgreeWithMallinfo) {
  ProcessBuilder process(options());
  populate_all(&process);
  expect_counters(process.analyze(), process.heap());
}

TEST_P(EveryGlibc, TheLayoutIsChosenByFitWithoutAVersionString) {
  test::ProcessOptions no_banner = options();
  no_banner.banner = false;
  ProcessBuilder process(no_banner);
  populate_all(&process);
  const Snapshot snapshot = process.analyze();
  expect_chunks(snapshot, process.heap());
  expect_counters(snapshot, process.heap());
}

TEST_P(EveryGlibc, AHeapWithOnlyAMainArenaIsWalked) {
  ProcessBuilder process(options());
  for (int i = 0; i < 5; ++i) process.heap().alloc(100);
  const Snapshot snapshot = process.analyze();
  expect_chunks(snapshot, process.heap());
  expect_counters(snapshot, process.heap());
}

TEST_P(EveryGlibc, MallocInAStaticProgramIsFound) {
  test::ProcessOptions linked_in = options();
  linked_in.static_libc = true;
  ProcessBuilder process(linked_in);
  populate_all(&process);
  const Snapshot snapshot = process.analyze();
  expect_chunks(snapshot, process.heap());
  expect_counters(snapshot, process.heap());
}

TEST_P(EveryGlibc, TheVersionNamesTheLayoutThatFitted) {
  ProcessBuilder process(options());
  populate_all(&process);
  const Snapshot snapshot = process.analyze();
  const unsigned minor = GetParam().minor;
  const std::string state = !GetParam().arenas_per_thread ? "2.12-2.14 without arenas per thread"
                            : minor < 23                  ? "-2.22"
                            : minor < 27                  ? "2.23-2.26"
                            : minor < 43                  ? "2.27-2.42"
                                                          : "2.43";
  const std::string& version = heap_named(snapshot, "main_arena").version;
  EXPECT_NE(version.find(state), std::string::npos) << version;
  const bool says_tcache = version.find("tcache") != std::string::npos;
  EXPECT_EQ(says_tcache, process.heap().release().has_tcache()) << version;
}

TEST_P(EveryGlibc, AForeignBreakInsideTheMainHeapIsSteppedOver) {
  for (const uint64_t left : {0x2000U, 0x400U, 0x50U, 0x30U, 0x20U, 0x18U, 0x10U}) {
    SCOPED_TRACE(left);
    ProcessBuilder process(options());
    GlibcHeapBuilder& heap = process.heap();
    if (left < heap.release().min_size()) continue;
    for (int i = 0; i < 20; ++i) heap.alloc(200);
    heap.alloc_all_but(left);
    const uint64_t foreign = heap.foreign_sbrk(0x1234);
    process.memory().fill(foreign, 0x1234, 0xab);
    populate(&process, GlibcHeapBuilder::kMain, 0);
    const Snapshot snapshot = process.analyze();
    expect_chunks(snapshot, heap);
    expect_counters(snapshot, heap);
  }
}

TEST_P(EveryGlibc, PiecesOfAMainArenaThatGrewByMmapAreWalked) {
  for (const uint64_t left : {0x2000U, 0x50U, 0x30U, 0x20U, 0x18U, 0x10U}) {
    SCOPED_TRACE(left);
    ProcessBuilder process(options());
    GlibcHeapBuilder& heap = process.heap();
    if (left < heap.release().min_size()) continue;
    for (int i = 0; i < 20; ++i) heap.alloc(200);
    heap.alloc_all_but(left);
    heap.grow_by_mmap();
    for (int i = 0; i < 20; ++i) heap.alloc(300);
    heap.alloc_all_but(left);
    heap.grow_by_mmap();
    populate(&process, GlibcHeapBuilder::kMain, 0);
    const Snapshot snapshot = process.analyze();
    expect_chunks(snapshot, heap);
    expect_counters(snapshot, heap);
  }
}

TEST_P(EveryGlibc, MallocInMemoryOfNoKnownModuleIsFound) {
  ProcessBuilder process(options());
  populate_all(&process);
  Image image = process.image();
  for (Region& region : image.regions) {
    if (region.module != kNone<ModuleId>) region.kind = RegionKind::kAnonymous;
    region.module = kNone<ModuleId>;
  }
  image.modules.clear();
  const Snapshot snapshot = analyze(image, {}, {});
  expect_chunks(snapshot, process.heap());
  expect_counters(snapshot, process.heap());
}

TEST_P(EveryGlibc, RemnantsAtTheEndOfOlderHeapsAreNoChunksOfAnybody) {
  for (const uint64_t left : {0x400U, 0x50U, 0x40U, 0x30U, 0x20U, 0x18U, 0x10U}) {
    SCOPED_TRACE(left);
    ProcessBuilder process(options());
    GlibcHeapBuilder& heap = process.heap();
    if (left < heap.release().min_size()) continue;
    heap.alloc(1);
    const size_t arena = heap.add_arena();
    heap.alloc(1000, arena);
    heap.alloc_all_but(left, arena);
    heap.add_heap(arena);
    heap.alloc(1000, arena);
    heap.alloc_all_but(left, arena);
    heap.add_heap(arena);
    heap.alloc(50, arena);
    const Snapshot snapshot = process.analyze();
    expect_chunks(snapshot, heap);
    expect_counters(snapshot, heap);
  }
}

TEST_P(EveryGlibc, AnAlignedMmappedChunkIsReportedOnceAtItsRealPlace) {
  for (const uint64_t alignment : {0x20U, 0x40U, 0x80U, 0x200U, 0x1000U, 0x4000U, 0x10000U}) {
    SCOPED_TRACE(alignment);
    ProcessBuilder process(options());
    const test::GlibcRelease& release = process.heap().release();
    // Space for a smallest chunk must be before the moved one.
    if (alignment - release.alignment < release.min_size()) continue;
    process.heap().alloc(1);
    process.heap().alloc_mmapped_aligned(200000, alignment - release.alignment);
    process.heap().alloc_mmapped(150000);
    const Snapshot snapshot = process.analyze();
    expect_chunks(snapshot, process.heap());
    expect_counters(snapshot, process.heap());
  }
}

TEST_P(EveryGlibc, ACacheHoldsChunksOfAnotherArena) {
  ProcessBuilder process(options());
  GlibcHeapBuilder& heap = process.heap();
  if (!heap.release().has_tcache()) return;
  const size_t arena = heap.add_arena();
  heap.free_to_tcache(heap.alloc(40));
  const uint64_t foreign = heap.alloc(40, arena);
  heap.free_to_tcache(foreign);
  heap.free_to_tcache(heap.alloc(40));
  heap.alloc(40, arena);
  const Snapshot snapshot = process.analyze();
  expect_chunks(snapshot, heap);
  expect_counters(snapshot, heap);
  EXPECT_EQ(state_of(snapshot, foreign), "cached");
}

std::string build_name(const ::testing::TestParamInfo<Build>& build) {
  return std::string(build.param.machine.name) + "_2_" + std::to_string(build.param.minor) +
         (build.param.arenas_per_thread ? "" : "_plain");
}

// The first and the last release of every row of every table, as far as the machine has them.
std::vector<Build> builds_of(const test::Machine& machine) {
  std::vector<Build> builds;
  for (const unsigned minor :
       {12, 14, 15, 16, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 41, 42, 43}) {
    if (minor >= machine.first_release) builds.push_back({machine, minor, true});
  }
  for (const unsigned minor : {12, 14}) {
    if (minor >= machine.first_release) builds.push_back({machine, minor, false});
  }
  return builds;
}

// x86: aligned to 8 up to 2.25, to 16 from 2.26; x32: to 16; ARM: to 8; PowerPC: as x86,
// big-endian.
INSTANTIATE_TEST_SUITE_P(X8664, EveryGlibc, ::testing::ValuesIn(builds_of(test::kX8664)),
                         build_name);
INSTANTIATE_TEST_SUITE_P(S390x, EveryGlibc, ::testing::ValuesIn(builds_of(test::kS390x)),
                         build_name);
INSTANTIATE_TEST_SUITE_P(X86, EveryGlibc, ::testing::ValuesIn(builds_of(test::kX86)), build_name);
INSTANTIATE_TEST_SUITE_P(X32, EveryGlibc, ::testing::ValuesIn(builds_of(test::kX32)), build_name);
INSTANTIATE_TEST_SUITE_P(Arm, EveryGlibc, ::testing::ValuesIn(builds_of(test::kArm)), build_name);
INSTANTIATE_TEST_SUITE_P(Ppc, EveryGlibc, ::testing::ValuesIn(builds_of(test::kPpc)), build_name);

TEST(Glibc, AnArenaThatWasNeverUsedIsNoHeapAndNoProblem) {
  ProcessBuilder process({.glibc = 25});  // no tcache: nothing has been allocated
  process.heap().finish();
  test::ImageBuilder& memory = process.memory();
  const uint64_t arena = process.heap().arena_address(GlibcHeapBuilder::kMain);
  const auto& at = process.heap().release().state;
  for (uint64_t offset = 0; offset < at.size; offset += 8) memory.put64(arena + offset, 0);
  memory.put64(arena + at.next, arena);
  memory.put64(arena + at.attached_threads, 1);
  const Snapshot snapshot = process.analyze();
  EXPECT_EQ(snapshot.chunks.map.size(), 0U);
  EXPECT_TRUE(all_verified(snapshot)) << complaints(snapshot);
}

// On 32-bit machines some releases differ from others in nothing but the alignment. Here top lies
// where either may have it, and no chunk is in a bin: only the chunks themselves tell.
TEST(Glibc, TheAlignmentIsThatOfTheChunks) {
  for (const unsigned minor : {27U, 36U, 43U}) {
    SCOPED_TRACE(minor);
    ProcessBuilder process({.glibc = minor, .machine = test::kArm});
    GlibcHeapBuilder& heap = process.heap();
    for (int i = 0; i < 50; ++i) heap.alloc(12);
    while (heap.top_of(GlibcHeapBuilder::kMain) % 16 != 8) heap.alloc(20);
    for (int i = 0; i < 50; ++i) heap.alloc(28);
    const Snapshot snapshot = process.analyze();
    expect_chunks(snapshot, heap);
    expect_counters(snapshot, heap);
  }
}

TEST(Glibc, AProcessWithoutAnyHeapIsAnalysed) {
  test::ImageBuilder memory;
  memory.map(0x10000, 0x1000, test::kReadWrite, RegionKind::kAnonymous);
  const Image image = memory.build();
  const Snapshot snapshot = analyze(image, {}, {});
  EXPECT_EQ(snapshot.chunks.map.size(), 0U);
}

TEST(Glibc, TheThreadCacheItselfIsSystem) {
  ProcessBuilder process;
  GlibcHeapBuilder& heap = process.heap();
  const size_t thread = process.add_thread(1001);
  const size_t arena = heap.add_arena();
  heap.add_tcache(arena, process.tcache_slot(thread));
  heap.alloc(40, arena);
  heap.free_to_tcache(heap.alloc(40));
  const Snapshot snapshot = process.analyze();
  EXPECT_EQ(test::reach_of(snapshot, heap.tcache_struct(0)), "system");
  EXPECT_EQ(test::reach_of(snapshot, heap.tcache_struct(1)), "system");
}

TEST(Glibc, AnEmptyThreadCacheIsSystemToo) {
  ProcessBuilder process;
  process.heap().alloc(40);
  const Snapshot snapshot = process.analyze();
  EXPECT_EQ(test::reach_of(snapshot, process.heap().tcache_struct(0)), "system");
}

TEST(Glibc, AZeroedBlockOfTheCachesSizeInATlsVariableIsNotTakenForTheCache) {
  // The program's thread-local variables lie nearer to the thread pointer than libc's.
  ProcessBuilder process;
  GlibcHeapBuilder& heap = process.heap();
  const uint64_t buffer = heap.alloc(640);
  const uint64_t freed = heap.alloc(40);
  heap.alloc(40);
  heap.free_to_tcache(freed);
  process.memory().put64(process.tls_slot(), buffer);
  const Snapshot snapshot = process.analyze();
  EXPECT_EQ(state_of(snapshot, freed), "cached");
  EXPECT_EQ(test::reach_of(snapshot, buffer), "reachable");
  EXPECT_EQ(test::reach_of(snapshot, heap.tcache_struct(0)), "system");
}

TEST(Glibc, AChunkOfTheCachesSizeIsOrdinaryWhenNoThreadPointsToIt) {
  ProcessBuilder process;
  const uint64_t user = process.heap().alloc(640);
  const Snapshot snapshot = process.analyze();
  EXPECT_EQ(test::reach_of(snapshot, user), "leaked");
}

}  // namespace
}  // namespace residue
