// References, roots, types and marks in processes of every word size and byte order. The heap is
// one that no allocator made: chunks of one size, so that nothing here depends on a malloc.
#include <gtest/gtest.h>

#include "analyzer/reach.h"
#include "analyzer/types.h"
#include "symbolize/symbolizer.h"
#include "tests/analyzer/image_builder.h"

namespace residue {
namespace {

using test::ImageBuilder;

// What the ABIs say of a machine; see tests/analyzer/machines_test.cpp.
struct Abi {
  const char* name;
  Architecture architecture;
  unsigned word;
  ByteOrder order;
  int64_t tls, dtv;  // from the thread pointer: a word of the program's TLS, the pointer to the DTV
  uint64_t red_zone;
  uint64_t tid = 0;  // in struct pthread, where ended threads can be told; 0 elsewhere
};

void PrintTo(const Abi& abi, std::ostream* out) { *out << abi.name; }

constexpr uint64_t kProgram = 0x08048000, kText = kProgram, kRodata = kProgram + 0x1000;
constexpr uint64_t kData = kProgram + 0x2000, kHeap = 0x09000000, kTls = 0x76000000;
constexpr uint64_t kThreadPointer = kTls + 0x10000, kStack = 0x7f000000, kSp = kStack + 0x1800;
constexpr uint64_t kChunk = 64, kChunks = 32;

class WordsTest : public ::testing::TestWithParam<Abi> {
 protected:
  WordsTest() {
    Image& header = memory.header();
    header.architecture = GetParam().architecture;
    header.pointer_width = GetParam().word;
    header.order = GetParam().order;
    Module module;
    module.path = "/bin/program";
    module.range = {Address(kProgram), ByteCount(0x3000)};
    module.tls_image = AddressRange{Address(kRodata), ByteCount(0x20)};
    const ModuleId id = memory.add_module(std::move(module));
    memory.map(kText, 0x1000, test::kReadExecute, RegionKind::kModuleText, "/bin/program", id);
    memory.map(kRodata, 0x1000, test::kRead, RegionKind::kModuleRodata, "/bin/program", id);
    memory.map(kData, 0x1000, test::kReadWrite, RegionKind::kModuleData, "/bin/program", id);
    memory.map(kHeap, kChunk * kChunks, test::kReadWrite, RegionKind::kHeap, "[heap]");
    memory.map(kTls, 0x20000, test::kReadWrite, RegionKind::kAnonymous);
    memory.map(kStack, 0x2000, test::kReadWrite, RegionKind::kStack, "[stack]");
    memory.add_thread(7, kSp, kThreadPointer);
    states.assign(kChunks, ChunkState::kUsed);
  }

  uint64_t word() const { return GetParam().word; }
  static uint64_t chunk(uint64_t i) { return kHeap + i * kChunk; }
  void point(uint64_t from, uint64_t to) { memory.put_word(from, to); }

  // A class without bases: its vtable's address point. Itanium C++ ABI 2.5, 2.9.
  uint64_t add_class(const char* mangled, uint64_t base_offset = 0) {
    const uint64_t table = next_table_, info = table + 4 * word(), name = table + 8 * word();
    next_table_ += 0x80;
    const auto top = static_cast<uint64_t>(-static_cast<int64_t>(base_offset));
    point(table, word() == 4 ? top & 0xffffffff : top);
    point(table + word(), info);
    point(table + 2 * word(), function());
    point(info, kData + 0x800);
    point(info + word(), name);
    memory.put_text(name, mangled);
    return table + 2 * word();
  }

  // As a vtable names it: on big-endian 64-bit PowerPC by its descriptor.
  uint64_t function() {
    if (GetParam().architecture != Architecture::kPpc64) return kText + 0x100;
    memory.put_word(kData + 0x900, kText + 0x100);
    return kData + 0x900;
  }

  void mark() {
    image = memory.build();
    residue::Run run;
    run.begin = Address(kHeap);
    run.end = Address(kHeap + kChunk * kChunks);
    run.heap = HeapId(0);
    run.gap = static_cast<uint32_t>(word());
    run.bytes = image.view(Address(kHeap), kChunk * kChunks);
    std::vector<uint64_t> starts(kChunk / 16 * kChunks / 64);
    for (uint64_t i = 0; i < kChunks; ++i) starts[i * 4 / 64] |= uint64_t{1} << (i * 4 % 64);
    heaps.chunks.map.add_run(run, std::move(starts));
    heaps.chunks.map.finish();
    heaps.chunks.state = states;
    heaps.claimed = {{Address(kHeap), ByteCount(kChunk * kChunks)}};
    Symbolizer symbolizer(image, FileSearch(), 1);
    TypeFinder types(image, &symbolizer.symbols());
    ReferenceGraph graph = build_references(image, heaps, spare, &types, &heaps.chunks.type);
    ended = find_ended_threads(image, heaps.claimed);
    const Roots roots = find_roots(image, heaps.claimed, ended);
    if (drop_shared_parts(image, heaps.chunks.map, graph, roots, &types, &spare)) {
      graph = build_references(image, heaps, spare, &types, &heaps.chunks.type);
    }
    EdgeFinder finder(image, heaps.chunks.map, &types);
    const std::vector<UnwoundStack> stacks(image.threads.size());
    OwnerTable owners(image, stacks, &symbolizer);
    const LoaderChunks loader = find_loader_chunks(image, heaps.chunks.map, roots, ended);
    mark_reach({image, heaps, graph, roots, spare, &finder, &owners, loader}, &heaps.chunks,
               nullptr);
    type_rows = types.take_rows();
    owner_rows = owners.take_rows();
  }

  std::string reach(uint64_t i) const {
    return kReachNames[static_cast<size_t>(heaps.chunks.reach[i])];
  }
  std::string type(uint64_t i) const {
    const uint32_t id = heaps.chunks.type[i];
    return id < type_rows.size() ? type_rows[id].name : "";
  }

  ImageBuilder memory;
  std::vector<ChunkState> states;
  std::vector<SparePart> spare;
  Image image;
  Heaps heaps;
  std::vector<Address> ended;
  std::vector<TypeRow> type_rows;
  std::vector<OwnerRow> owner_rows;

 private:
  uint64_t next_table_ = kRodata + 0x100;
};

TEST_P(WordsTest, GlobalsAndChunksAreReadWordByWord) {
  point(kData + word(), chunk(1));
  point(chunk(1) + 3 * word(), chunk(2));
  point(chunk(2) + kChunk - 2 * word(), chunk(3));  // its last usable word
  point(kData + 0x1000 - word(), chunk(4));
  mark();
  EXPECT_EQ(reach(0), "leaked");
  for (const uint64_t i : {1U, 2U, 3U, 4U}) EXPECT_EQ(reach(i), "reachable") << i;
  EXPECT_EQ(reach(5), "leaked");
}

TEST_P(WordsTest, AWordThatStraddlesTwoIsNone) {
  point(kData + word() / 2, chunk(1));
  mark();
  EXPECT_EQ(reach(1), "leaked");
}

TEST_P(WordsTest, InteriorPointersAreTold) {
  point(kData, chunk(1) + 24);
  mark();
  EXPECT_EQ(reach(1), "interior");
}

TEST_P(WordsTest, StacksCountFromTheRedZoneOn) {
  point(kSp + word(), chunk(1));
  point(kSp - GetParam().red_zone, chunk(2));
  point(kSp - GetParam().red_zone - word(), chunk(3));
  mark();
  EXPECT_EQ(reach(1), "reachable");
  EXPECT_EQ(reach(2), "reachable");
  EXPECT_EQ(reach(3), "stale");
}

TEST_P(WordsTest, ThreadLocalMemoryIsTheThreads) {
  point(kThreadPointer + static_cast<uint64_t>(GetParam().tls), chunk(1));
  mark();
  EXPECT_EQ(reach(1), "reachable");
  ASSERT_LT(heaps.chunks.owner[1], owner_rows.size());
  EXPECT_EQ(owner_rows[heaps.chunks.owner[1]].kind, "tls");
}

TEST_P(WordsTest, TheVectorOfDynamicTlsIsSystemAndASource) {
  point(kThreadPointer + static_cast<uint64_t>(GetParam().dtv), chunk(1) + 2 * word());
  point(chunk(1) + 4 * word(), chunk(2));
  mark();
  EXPECT_EQ(reach(1), "system");
  EXPECT_EQ(reach(2), "reachable");
}

TEST_P(WordsTest, VectorRegistersAreReadWordByWord) {
  ImageBuilder bytes;  // of the same order, for its bytes alone
  bytes.header().order = GetParam().order;
  bytes.header().pointer_width = GetParam().word;
  bytes.map(0x1000, 64, test::kReadWrite, RegionKind::kAnonymous);
  bytes.put_word(0x1000 + 5 * word(), chunk(1));
  const Image copied = bytes.build();
  const auto view = copied.view(Address(0x1000), 64);
  memory.thread(0).extended_state = memory.keep({view.begin(), view.end()});
  mark();
  EXPECT_EQ(reach(1), "reachable");
}

TEST_P(WordsTest, AVtableGivesTheClass) {
  point(chunk(1), add_class("7Session"));
  point(kData, chunk(1));
  mark();
  EXPECT_EQ(type(1), "Session");
  EXPECT_EQ(type(2), "");
}

TEST_P(WordsTest, ThePointerToASecondBaseIsNotInterior) {
  const uint64_t offset = 3 * word();
  const uint64_t second = add_class("7Session", offset);
  point(chunk(1) + offset, second);
  point(kData, chunk(1) + offset);
  point(chunk(2) + offset + word(), second);  // not where that base lies
  point(kData + word(), chunk(2) + offset + word());
  mark();
  EXPECT_EQ(reach(1), "reachable");
  EXPECT_EQ(reach(2), "interior");
}

TEST_P(WordsTest, ThePointerBehindAnArraysCountIsNotInterior) {
  point(chunk(1), 5);
  point(kData, chunk(1) + word());
  // Elements of 24 bytes that are aligned to 8: the count is the cookie's last word. On ARM the
  // element's size is its first.
  point(chunk(2) + 8 - word(), 2);
  if (GetParam().architecture == Architecture::kArm) point(chunk(2), 24);
  point(kData + word(), chunk(2) + 8);
  point(chunk(3), 5000);
  point(kData + 2 * word(), chunk(3) + word());
  mark();
  EXPECT_EQ(reach(1), "reachable");
  EXPECT_EQ(reach(2), "reachable");
  EXPECT_EQ(reach(3), "interior");
}

TEST_P(WordsTest, FreeChunksHoldOnlyStaleReferences) {
  states[1] = states[2] = ChunkState::kFree;
  point(chunk(1) + 2 * word(), chunk(3));
  point(chunk(1), chunk(4) - 2 * word());  // fd: the header of another free chunk
  point(chunk(2) + word(), chunk(5));      // bk
  mark();
  EXPECT_EQ(reach(3), "stale");
  EXPECT_EQ(reach(4), "leaked");
  EXPECT_EQ(reach(5), "leaked");
}

TEST_P(WordsTest, SpareCapacityHoldsOnlyStaleReferences) {
  const uint64_t vector = kData + 0x40, end = chunk(1) + 2 * word();
  spare.push_back({Address(end), Address(chunk(2) - word()), "vector `v`", Address(vector)});
  point(vector, chunk(1));
  point(end - word(), chunk(3));
  point(end, chunk(4));
  point(chunk(2) - 2 * word(), chunk(5));  // its last usable word
  mark();
  EXPECT_EQ(reach(1), "reachable");
  EXPECT_EQ(reach(3), "reachable");
  EXPECT_EQ(reach(4), "stale");
  EXPECT_EQ(reach(5), "stale");
}

TEST_P(WordsTest, ABufferToWhichAnotherRefersHasNoSpareCapacity) {
  const uint64_t vectors = kData + 0x40;
  for (const uint64_t i : {1U, 2U, 3U}) {
    const uint64_t vector = vectors + 0x40 * i;
    spare.push_back(
        {Address(chunk(i)), Address(chunk(i + 1) - word()), "vector `v`", Address(vector)});
    point(vector, chunk(i));
    point(vector + word(), chunk(i));  // it is empty
    point(chunk(i) + 3 * word(), chunk(10 + i));
  }
  point(kData + 0x20, chunk(2));
  point(kData + 0x20 + word(), chunk(8));
  point(chunk(8) + word(), chunk(3));
  mark();
  EXPECT_EQ(reach(11), "stale");
  EXPECT_EQ(reach(12), "reachable");
  EXPECT_EQ(reach(13), "reachable");
}

TEST_P(WordsTest, OnlyALocalsBufferIsDoubtedForWhatIsOnTheStack) {
  for (const uint64_t i : {1U, 2U}) {
    const uint64_t vector = i == 1 ? kData + 0x40 : kSp + 0x100;
    spare.push_back(
        {Address(chunk(i)), Address(chunk(i + 1) - word()), "vector `v`", Address(vector)});
    spare.back().is_local = i == 2;
    point(vector, chunk(i));
    point(kSp + 0x200 + i * word(), chunk(i));
    point(chunk(i) + 3 * word(), chunk(10 + i));
  }
  mark();
  EXPECT_EQ(reach(11), "stale");
  EXPECT_EQ(reach(12), "reachable");
}

// Stacks of threads that glibc made: [stack, stack + 0x5000), the descriptor close to the end. It
// says where its stack is, at a place that differs by version.
class EndedThreadTest : public WordsTest {
 protected:
  static constexpr uint64_t kSize = 0x5000;

  uint64_t map_stack(uint64_t stack) {
    memory.map(stack, kSize, test::kReadWrite, RegionKind::kAnonymous);
    const uint64_t descriptor = stack + 0x4000;
    point(descriptor + 0x500, stack);
    point(descriptor + 0x500 + word(), kSize);
    return descriptor;
  }
};

// Where struct pthread points to itself.
class SelfPointerTest : public EndedThreadTest {
 protected:
  uint64_t add_stack(uint64_t stack, uint32_t tid) {
    const uint64_t descriptor = map_stack(stack);
    point(descriptor, descriptor);
    point(descriptor + 2 * word(), descriptor);
    memory.put32(descriptor + GetParam().tid, tid);
    return descriptor;
  }
};

TEST_P(SelfPointerTest, TheStackOfAnEndedThreadIsDead) {
  const uint64_t descriptor = add_stack(0x75000000, 0);
  point(descriptor + word(), chunk(3) + 2 * word());
  point(descriptor - 0x800, chunk(1));
  mark();
  ASSERT_EQ(ended, std::vector<Address>{Address(descriptor)});
  EXPECT_EQ(reach(1), "stale");
  EXPECT_EQ(reach(3), "system");
}

// pthread_join reads what a thread returned from its descriptor, and leaves -1 there as the id.
TEST_P(SelfPointerTest, WhatAThreadReturnedIsAliveUntilItIsJoined) {
  for (const bool joined : {false, true}) {
    const uint64_t descriptor = add_stack(joined ? 0x75100000 : 0x75000000, joined ? ~0U : 0);
    point(descriptor - 0x800, chunk(joined ? 1 : 2));
    point(descriptor + 0x600, chunk(joined ? 3 : 4));
  }
  mark();
  EXPECT_EQ(ended.size(), 2u);
  EXPECT_EQ(reach(1), "stale");
  EXPECT_EQ(reach(2), "stale");
  EXPECT_EQ(reach(3), "stale");
  EXPECT_EQ(reach(4), "reachable");
}

// From glibc 2.42 on no guard page lies between stacks and other memory.
TEST_P(SelfPointerTest, WhatLiesBesideAnEndedThreadsStackIsAlive) {
  const uint64_t region = 0x75000000, stack = region + 0x2000, descriptor = stack + 0x4000;
  memory.map(region, 0x9000, test::kReadWrite, RegionKind::kStack);
  point(descriptor, descriptor);
  point(descriptor + 2 * word(), descriptor);
  point(descriptor + 0x340, stack);                      // stackblock
  memory.put_word(descriptor + 0x340 + word(), 0x5000);  // stackblock_size
  point(region + 0x800, chunk(1));
  point(stack + 0x800, chunk(2));
  point(stack + 0x5800, chunk(3));
  mark();
  EXPECT_EQ(reach(1), "reachable");
  EXPECT_EQ(reach(2), "stale");
  EXPECT_EQ(reach(3), "reachable");
}

TEST_P(SelfPointerTest, TheStackOfALivingThreadIsNot) {
  const uint64_t descriptor = add_stack(0x75000000, 4711);  // in another process's view of threads
  point(descriptor - 0x800, chunk(1));
  mark();
  EXPECT_TRUE(ended.empty());
  EXPECT_EQ(reach(1), "reachable");
}

// Elsewhere glibc's list of stacks leads to them: its head is in libc's data; each element lies 24
// words into its struct pthread, and the thread's id behind its two words.
class StackListTest : public EndedThreadTest {
 protected:
  void link(const std::vector<uint64_t>& elements) {
    for (size_t i = 0; i < elements.size(); ++i) {
      const uint64_t next = elements[(i + 1) % elements.size()];
      point(elements[i], next);
      point(next + word(), elements[i]);
    }
  }
  uint64_t add_stack(uint64_t stack, uint32_t tid) {
    const uint64_t element = map_stack(stack) + 24 * word();
    memory.put32(element + 2 * word(), tid);
    return element;
  }
};

TEST_P(StackListTest, TheStacksOfEndedThreadsAreDead) {
  const uint64_t joined = add_stack(0x75000000, ~0U), ended_only = add_stack(0x75100000, 0);
  const uint64_t runs = add_stack(0x75200000, 4711);
  link({kData + 0x400, joined, ended_only, runs});
  point(0x75003000, chunk(1));
  point(0x75103000, chunk(2));
  point(0x75203000, chunk(3));
  point(0x75004800, chunk(4));  // behind the descriptor: perhaps the vector of dynamic TLS
  mark();
  EXPECT_EQ(reach(1), "stale");
  EXPECT_EQ(reach(2), "stale");
  EXPECT_EQ(reach(3), "reachable");
  EXPECT_EQ(reach(4), "reachable");
}

TEST_P(StackListTest, ARingThatDoesNotCloseIsNoList) {
  const uint64_t first = add_stack(0x75000000, 0), second = add_stack(0x75100000, 0);
  link({kData + 0x400, first, second});
  point(second + word(), kData + 0x400);
  point(0x75003000, chunk(1));
  mark();
  EXPECT_EQ(reach(1), "reachable");
}

TEST_P(StackListTest, AnElementWithoutAStackMakesItNoList) {
  const uint64_t first = add_stack(0x75000000, 0);
  link({kData + 0x400, first, kTls + 0x18000});
  point(0x75003000, chunk(1));
  mark();
  EXPECT_EQ(reach(1), "reachable");
}

constexpr Abi kX86_64 = {"x86_64", Architecture::kX86_64, 8, ByteOrder::kLittle, -0x20, 8, 128,
                         720};
constexpr Abi kX86 = {"x86", Architecture::kX86, 4, ByteOrder::kLittle, -0x20, 4, 0, 104};
constexpr Abi kArm = {"arm", Architecture::kArm, 4, ByteOrder::kLittle, 8, 0, 0};
constexpr Abi kPpc64 = {"ppc64", Architecture::kPpc64, 8, ByteOrder::kBig, -0x7000, -0x7008, 288};
constexpr Abi kMips = {"mips", Architecture::kMips, 4, ByteOrder::kBig, -0x7000, -0x7008, 0};
constexpr Abi kS390x = {"s390x", Architecture::kS390x, 8, ByteOrder::kBig, -0x20, 8, 0, 208};

INSTANTIATE_TEST_SUITE_P(
    Abis, WordsTest,
    ::testing::Values(kX86_64, kX86, kS390x, kArm, kPpc64, kMips,
                      Abi{"armeb", Architecture::kArm, 4, ByteOrder::kBig, 8, 0, 0},
                      Abi{"ppc", Architecture::kPpc, 4, ByteOrder::kBig, -0x7000, -0x7004, 0},
                      Abi{"mipsel", Architecture::kMips, 4, ByteOrder::kLittle, -0x7000, -0x7008,
                          0},
                      Abi{"riscv32", Architecture::kRiscv32, 4, ByteOrder::kLittle, 0, -8, 0}),
    [](const auto& parameter) { return std::string(parameter.param.name); });

INSTANTIATE_TEST_SUITE_P(Abis, StackListTest, ::testing::Values(kArm, kPpc64, kMips),
                         [](const auto& parameter) { return std::string(parameter.param.name); });

INSTANTIATE_TEST_SUITE_P(Abis, SelfPointerTest, ::testing::Values(kX86_64, kX86, kS390x),
                         [](const auto& parameter) { return std::string(parameter.param.name); });

}  // namespace
}  // namespace residue
