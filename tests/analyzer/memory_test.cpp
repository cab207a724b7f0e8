// Where the process's size went: each part of a synthetic process stands in the row it belongs to.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "formats/format.h"
#include "tests/analyzer/process_builder.h"
#include "tests/analyzer/snapshot_checks.h"

namespace residue {
namespace {

using test::GlibcHeapBuilder;
using test::ProcessBuilder;

constexpr uint64_t kPage = 0x1000;
constexpr uint64_t kRedZone = 128;

// The sum over the rows of a category that `wanted` picks.
template <typename Wanted>
MemoryRow sum_of(const Snapshot& snapshot, const std::string& category, Wanted&& wanted) {
  MemoryRow sum;
  sum.rss = 0;
  for (const MemoryRow& row : snapshot.memory) {
    if (row.category != category || !wanted(row)) continue;
    sum.count += row.count;
    sum.bytes += row.bytes;
    sum.in_dump += row.in_dump;
    sum.rss = row.rss && sum.rss ? std::optional(*sum.rss + *row.rss) : std::nullopt;
  }
  return sum;
}
MemoryRow sum_of(const Snapshot& snapshot, const std::string& category) {
  return sum_of(snapshot, category, [](const MemoryRow&) { return true; });
}
MemoryRow of_heap(const Snapshot& snapshot, const std::string& category, uint32_t heap) {
  return sum_of(snapshot, category, [heap](const MemoryRow& row) { return row.heap == heap; });
}
MemoryRow of_thread(const Snapshot& snapshot, const std::string& category, uint32_t tid) {
  return sum_of(snapshot, category, [tid](const MemoryRow& row) { return row.thread == tid; });
}
MemoryRow named(const Snapshot& snapshot, const std::string& category, const std::string& name) {
  return sum_of(snapshot, category, [&](const MemoryRow& row) { return row.name == name; });
}

class Memory : public ::testing::TestWithParam<unsigned> {};

TEST_P(Memory, ChunksOfEachHeapAreThoseOfTheHeap) {
  ProcessBuilder process({.glibc = GetParam()});
  GlibcHeapBuilder& heap = process.heap();
  const size_t arena = heap.add_arena();
  for (int i = 0; i < 40; ++i) {
    for (const size_t where : {GlibcHeapBuilder::kMain, arena}) {
      const uint64_t live = heap.alloc(100, where), freed = heap.alloc(700, where);
      heap.alloc(48, where);  // lost
      heap.alloc(24, where);  // lost
      process.memory().put64(process.global(), live);
      if (i % 2 == 0) heap.free_to_unsorted(freed);
    }
  }
  heap.add_heap(arena);
  heap.alloc(3000, arena);
  process.memory().put64(process.global(), heap.alloc_mmapped(200000));
  const Snapshot snapshot = process.analyze();
  ASSERT_TRUE(test::all_verified(snapshot)) << test::complaints(snapshot);
  test::expect_memory_adds_up(snapshot, process.last_image());
  for (uint32_t h = 0; h < snapshot.heaps.size(); ++h) {
    SCOPED_TRACE(snapshot.heaps[h].name);
    const HeapRow& row = snapshot.heaps[h];
    const MemoryRow live = of_heap(snapshot, "live chunks", h);
    const MemoryRow leaked = of_heap(snapshot, "leaked chunks", h);
    const MemoryRow overhead = of_heap(snapshot, "allocator overhead", h);
    EXPECT_EQ(live.bytes + leaked.bytes, row.used_bytes);
    EXPECT_EQ(live.count + leaked.count, row.used_count);
    EXPECT_EQ(of_heap(snapshot, "free chunks", h).bytes, row.free_bytes);
    EXPECT_EQ(of_heap(snapshot, "free chunks", h).count, row.free_count);
    EXPECT_EQ(of_heap(snapshot, "cached chunks", h).bytes, row.cached_bytes);
    // The main arena's own variable lies in libc's data, outside of what it has mapped.
    if (row.name != "main_arena") {
      EXPECT_EQ(overhead.bytes, row.overhead_bytes);
    }
    if (row.name == "main_arena") {
      EXPECT_GT(overhead.bytes, row.overhead_bytes + 1000);
    }
    if (row.name == "mmapped") {
      EXPECT_EQ(leaked.bytes, 0U);
    }
  }
  // Of each arena's heaps, two.
  EXPECT_EQ(of_heap(snapshot, "arena reserve", 1).count, 2U);
  const uint64_t mapped = heap.end_of(arena) - heap.heap_address(arena, 1) +
                          process.memory().end_of_mapping(heap.heap_address(arena, 0)) -
                          heap.heap_address(arena, 0);
  EXPECT_EQ(of_heap(snapshot, "arena reserve", 1).bytes, 2 * heap.heap_max() - mapped);
  uint64_t leaked = 0;
  for (const UsageRow& row : snapshot.usage) {
    if (row.dimension == "heap") leaked += row.leaked_bytes;
  }
  EXPECT_EQ(sum_of(snapshot, "leaked chunks").bytes, leaked);
  EXPECT_GT(leaked, 0U);
}

TEST_P(Memory, AHeapThatShrankKeepsWhatItHadInReserve) {
  ProcessBuilder process({.glibc = GetParam()});
  GlibcHeapBuilder& heap = process.heap();
  const size_t arena = heap.add_arena();
  heap.alloc(100, arena);
  heap.finish();
  // mprotect_size: what was writable once. The memory behind is there, and not the heap's.
  const uint64_t address = heap.heap_address(arena, 0);
  const uint64_t size = process.memory().get64(address + 16);
  process.memory().put64(address + 24, size + 5 * kPage);
  const Snapshot before = process.analyze();
  ASSERT_TRUE(test::all_verified(before)) << test::complaints(before);
  EXPECT_EQ(of_heap(before, "arena reserve", 1).bytes, heap.heap_max() - size);
  EXPECT_EQ(of_heap(before, "allocator overhead", 1).bytes, before.heaps[1].overhead_bytes);
}

std::string release_name(const ::testing::TestParamInfo<unsigned>& release) {
  return "2_" + std::to_string(release.param);
}
INSTANTIATE_TEST_SUITE_P(Releases, Memory, ::testing::Values(24, 31, 36, 42, 43), release_name);

TEST(MemoryOfThreads, AStackIsUsedFromTheStackPointerOn) {
  ProcessBuilder process;
  const size_t thread = process.add_thread(1001);
  const Snapshot snapshot = process.analyze();
  const Image& image = process.last_image();
  test::expect_memory_adds_up(snapshot, image);
  const Region* stack = image.find_region(Address(process.stack_pointer()));
  const uint64_t unused = process.stack_pointer() - stack->range.base.value() - kRedZone;
  EXPECT_EQ(of_thread(snapshot, "unused stack", 1000).bytes, unused);
  EXPECT_EQ(of_thread(snapshot, "stack", 1000).bytes, stack->range.size.value() - unused);
  // The other's TLS and descriptor lie at the end of its stack.
  const Region* other = image.find_region(Address(image.threads[thread].sp));
  const uint64_t below = image.threads[thread].sp - other->range.base.value() - kRedZone;
  const uint64_t stack_bytes = of_thread(snapshot, "stack", 1001).bytes;
  const uint64_t tls_bytes = of_thread(snapshot, "thread-local storage", 1001).bytes;
  EXPECT_EQ(of_thread(snapshot, "unused stack", 1001).bytes, below);
  EXPECT_EQ(stack_bytes + tls_bytes, other->range.size.value() - below);
  EXPECT_GE(tls_bytes, other->range.end().value() - image.threads[thread].thread_pointer);
  EXPECT_GT(stack_bytes, 0U);
  EXPECT_GT(of_thread(snapshot, "thread-local storage", 1000).bytes, 0U);
}

TEST(MemoryOfThreads, AnInaccessiblePageBelowAStackIsItsGuard) {
  ProcessBuilder process;
  const size_t thread = process.add_thread(1001);
  test::ImageBuilder& memory = process.memory();
  const uint64_t pointer = memory.thread(thread).thread_pointer;
  const uint64_t sp = memory.thread(thread).sp;
  const uint64_t base = sp & ~uint64_t{0xffff};
  memory.reserve(base - kPage, kPage);
  memory.reserve(base - 0x10 * kPage, kPage);  // of somebody else
  // stackblock and stackblock_size in struct pthread, as 2.36 has them.
  memory.put64(pointer + 0x690, base - kPage);
  memory.put64(pointer + 0x698, memory.end_of_mapping(base) - base + kPage);
  const Snapshot snapshot = process.analyze();
  test::expect_memory_adds_up(snapshot, process.last_image());
  EXPECT_EQ(of_thread(snapshot, "stack guard", 1001).bytes, kPage);
  EXPECT_EQ(sum_of(snapshot, "stack guard").bytes, kPage);
  EXPECT_EQ(of_thread(snapshot, "unused stack", 1001).bytes, sp - base - kRedZone);
}

TEST(MemoryOfThreads, AStackOfAnEndedThreadIsNobodys) {
  ProcessBuilder process;
  const size_t thread = process.add_thread(1001);
  test::ImageBuilder& memory = process.memory();
  const uint64_t pointer = memory.thread(thread).thread_pointer;
  const uint64_t base = memory.thread(thread).sp & ~uint64_t{0xffff};
  const uint64_t ended = base + 0x80000;
  const uint64_t descriptor = ended + 0x10000 - 0x900;
  memory.map(ended, 0x10000, test::kReadWrite, RegionKind::kAnonymous);
  memory.put64(descriptor, descriptor);
  memory.put64(descriptor + 16, descriptor);
  memory.put32(descriptor + 720, 0);  // tid
  memory.put64(descriptor + 0x690, ended);
  memory.put64(descriptor + 0x698, 0x10000);
  ASSERT_NE(pointer, descriptor);
  const Snapshot snapshot = process.analyze();
  test::expect_memory_adds_up(snapshot, process.last_image());
  EXPECT_EQ(sum_of(snapshot, "stack of ended threads").bytes, 0x10000U);
  EXPECT_EQ(sum_of(snapshot, "stack of ended threads").count, 1U);
}

TEST(MemoryOfModules, EachKindIsOneRowOfItsModule) {
  ProcessBuilder process;
  const Snapshot snapshot = process.analyze();
  const std::string program = snapshot.modules[0].name;
  EXPECT_EQ(named(snapshot, "module text", program).bytes, kPage);
  EXPECT_EQ(named(snapshot, "module read-only data", program).bytes, 3 * kPage);
  // The header's page, and two behind the text.
  EXPECT_EQ(named(snapshot, "module read-only data", program).count, 2U);
  EXPECT_EQ(named(snapshot, "module data", program).bytes, 5 * kPage);
}

TEST(MemoryOfMappings, AreNamedByFileOrGroupedBySize) {
  test::ImageBuilder memory;
  memory.map(0x10000, 3 * kPage, test::kReadWrite, RegionKind::kAnonymous);
  memory.map(0x20000, kPage, test::kReadWrite, RegionKind::kAnonymous);
  memory.map(0x100000, 0x100000, test::kReadWrite, RegionKind::kAnonymous);
  memory.map(0x300000, kPage, test::kRead, RegionKind::kFile, "/var/lib/data");
  memory.map(0x400000, kPage, test::kReadWrite, RegionKind::kFile, "/var/lib/data");
  memory.map(0x500000, kPage, test::kReadExecute, RegionKind::kAnonymous);
  memory.map(0x600000, kPage, test::kRead, RegionKind::kAnonymous);
  memory.reserve(0x700000, 0x10000);
  const Image image = memory.build();
  const Snapshot snapshot = analyze(image, {}, {});
  test::expect_memory_adds_up(snapshot, image);
  EXPECT_EQ(named(snapshot, "anonymous", "under 64 KiB").bytes, 4 * kPage);
  EXPECT_EQ(named(snapshot, "anonymous", "under 64 KiB").count, 2U);
  EXPECT_EQ(named(snapshot, "anonymous", "1 to 16 MiB").bytes, 0x100000U);
  EXPECT_EQ(named(snapshot, "file mapping", "/var/lib/data").bytes, 2 * kPage);
  EXPECT_EQ(sum_of(snapshot, "anonymous, executable").bytes, kPage);
  EXPECT_EQ(sum_of(snapshot, "anonymous, read-only").bytes, kPage);
  EXPECT_EQ(sum_of(snapshot, "inaccessible").bytes, 0x10000U);
  EXPECT_EQ(sum_of(snapshot, "inaccessible").in_dump, 0U);
}

TEST(MemoryOfMappings, AMappingInPartsIsOne) {
  test::ImageBuilder memory;
  memory.map(0x10000, 8 * kPage, test::kReadWrite, RegionKind::kAnonymous);
  memory.drop(0x12000, 2 * kPage);
  const Image image = memory.build();
  ASSERT_EQ(image.regions.size(), 3U);
  const Snapshot snapshot = analyze(image, {}, {});
  test::expect_memory_adds_up(snapshot, image);
  ASSERT_EQ(snapshot.memory.size(), 1U);
  EXPECT_EQ(snapshot.memory[0].count, 1U);
  EXPECT_EQ(snapshot.memory[0].in_dump, 6 * kPage);
}

TEST(MemoryOfMappings, HundredsOfThousandsAreFewRows) {
  Image image;
  image.os = "linux";
  image.architecture = Architecture::kX86_64;
  uint64_t at = 0x100000;
  for (int i = 0; i < 300000; ++i) {
    Region region;
    region.permissions = {true, i % 2 == 0, false};
    region.kind = i % 3 == 0 ? RegionKind::kFile : RegionKind::kAnonymous;
    if (i % 3 == 0) region.name = "/tmp/file" + std::to_string(i);
    region.range = {Address(at), ByteCount(kPage * static_cast<uint64_t>(1 + i % 5))};
    at = region.range.end().value() + kPage;
    image.regions.push_back(std::move(region));
  }
  const Snapshot snapshot = analyze(image, {}, {});
  test::expect_memory_adds_up(snapshot, image);
  EXPECT_LE(snapshot.memory.size(), 1010U);
  EXPECT_EQ(sum_of(snapshot, "file mapping").count, 100000U);
  EXPECT_EQ(named(snapshot, "file mapping", "(others)").count, 100000U - 999);
}

TEST(MemoryOfMappings, TheLastByteOfTheAddressSpaceCounts) {
  Image image;
  image.os = "linux";
  Region region;
  region.permissions = {true, true, false};
  region.kind = RegionKind::kAnonymous;
  region.range = {Address(~uint64_t{0xfff}), ByteCount(kPage)};
  image.regions.push_back(region);
  const Snapshot snapshot = analyze(image, {}, {});
  test::expect_memory_adds_up(snapshot, image);
}

// Whole pages in free chunks, by the rule of mtrim(): a chunk's six words of header and links stay,
// and what is behind its end.
TEST(FreeMemoryOfHeaps, LargestChunkAndWholePagesAreCounted) {
  ProcessBuilder process;
  GlibcHeapBuilder& heap = process.heap();
  heap.alloc_all_but(3 * kPage);
  std::vector<uint64_t> freed;
  for (const uint64_t size : {uint64_t{5000}, uint64_t{9000}, uint64_t{40000}}) {
    freed.push_back(heap.alloc(size));
    heap.alloc(24);
  }
  for (const uint64_t user : freed) heap.free_to_unsorted(user);
  const Snapshot snapshot = process.analyze();
  ASSERT_TRUE(test::all_verified(snapshot)) << test::complaints(snapshot);
  uint64_t largest =
      heap.end_of(GlibcHeapBuilder::kMain) - heap.top_of(GlibcHeapBuilder::kMain) - 8;
  uint64_t pages = 0;
  const auto add = [&](uint64_t header, uint64_t end) {
    const uint64_t from = (header + 48 + kPage - 1) & ~(kPage - 1);
    const uint64_t until = end & ~(kPage - 1);
    if (from < until) pages += until - from;
  };
  for (const uint64_t user : freed) {
    add(user - 16, user - 16 + heap.chunk_size(user));
    largest = std::max(largest, heap.chunk_size(user) - 8);
  }
  add(heap.top_of(GlibcHeapBuilder::kMain), heap.end_of(GlibcHeapBuilder::kMain));
  const HeapRow& row = test::heap_named(snapshot, "main_arena");
  EXPECT_EQ(row.largest_free, largest);
  EXPECT_EQ(row.free_pages, pages);
  EXPECT_GE(row.free_pages, 8 * kPage);
}

// Dumps made by other projects' people, where they are at hand.
TEST(MemoryOfRealCores, AddsUp) {
  namespace fs = std::filesystem;
  const fs::path corpus = RESIDUE_CORPUS_DIR;
  std::ifstream expected(corpus / "expected.tsv");
  if (!expected) GTEST_SKIP() << "the dumps of other projects are not there: " << corpus;
  size_t seen = 0;
  for (std::string line; std::getline(expected, line);) {
    std::istringstream fields(line);
    std::string file, project, kind;
    std::getline(fields, file, '\t');
    std::getline(fields, project, '\t');
    std::getline(fields, kind, '\t');
    if (kind != "ELF core") continue;
    SCOPED_TRACE(file);
    FileSearch search;
    search.sysroot = "/nonexistent/residue";
    Diagnostics diagnostics;
    const auto image = open_dump((corpus / file).string(), search, diagnostics);
    ASSERT_TRUE(image) << image.error().message;
    Symbolizer symbolizer(*image, search, 1);
    PipelineOptions options;
    options.symbolizer = &symbolizer;
    const Snapshot snapshot = analyze(*image, {}, options);
    test::expect_memory_adds_up(snapshot, *image);
    ++seen;
  }
  EXPECT_GT(seen, 0U);
}

}  // namespace
}  // namespace residue
