// Reach: one test for each place a last pointer can be in, and for each way from there.
#include <gtest/gtest.h>

#include "tests/analyzer/process_builder.h"
#include "tests/analyzer/snapshot_checks.h"

namespace residue {
namespace {

using test::complaints;
using test::GlibcHeapBuilder;
using test::ImageBuilder;
using test::ProcessBuilder;
using test::reach_of;
using test::state_of;

class ReachTest : public ::testing::Test {
 protected:
  ReachTest() { guard(); }
  GlibcHeapBuilder& heap() { return process.heap(); }
  ImageBuilder& memory() { return process.memory(); }
  // A chunk that stays in use, so that what is freed on either side does not merge. It is kept
  // alive, so that it is in nobody's way.
  uint64_t guard() {
    const uint64_t user = heap().alloc(24);
    point(process.global(), user);
    return user;
  }
  uint64_t alloc(uint64_t size = 100) {
    const uint64_t user = heap().alloc(size);
    guard();
    return user;
  }
  void point(uint64_t from, uint64_t to) { memory().put64(from, to); }
  // How the only chunk fares if `place` is all that points to it.
  std::string only_pointer_at(uint64_t place, uint64_t offset = 0) {
    const uint64_t user = alloc();
    point(place, user + offset);
    return reach_of(process.analyze(), user);
  }

  ProcessBuilder process;
};

TEST_F(ReachTest, NothingPointsToItSoItIsLeaked) {
  const uint64_t user = alloc();
  EXPECT_EQ(reach_of(process.analyze(), user), "leaked");
}

TEST_F(ReachTest, AGlobalKeepsItReachable) {
  EXPECT_EQ(only_pointer_at(process.global()), "reachable");
}

TEST_F(ReachTest, TheLastWordOfDataKeepsItReachable) {
  const uint64_t page = process.global() & ~uint64_t{0xfff};
  EXPECT_EQ(only_pointer_at(page + 0x4000 - 8), "reachable");
}

TEST_F(ReachTest, AnInteriorPointerInAGlobalIsOnlyInterior) {
  EXPECT_EQ(only_pointer_at(process.global(), 16), "interior");
}

TEST_F(ReachTest, AnUnalignedSlotIsNotFollowed) {
  EXPECT_EQ(only_pointer_at(process.global(2) + 4), "leaked");
}

TEST_F(ReachTest, ThreadLocalMemoryKeepsItReachable) {
  EXPECT_EQ(only_pointer_at(process.tls_slot()), "reachable");
}

TEST_F(ReachTest, FirstLevelOfThreadSpecificDataKeepsItReachable) {
  // struct pthread lies at the thread pointer; specific_1stblock at 0x310 of it in 2.36.
  EXPECT_EQ(only_pointer_at(process.thread_pointer() + 0x310 + 8), "reachable");
}

TEST_F(ReachTest, SecondLevelOfThreadSpecificDataKeepsItReachable) {
  const uint64_t table = alloc(512);
  point(process.thread_pointer() + 0x510 + 8, table);
  EXPECT_EQ(only_pointer_at(table + 8), "reachable");
}

TEST_F(ReachTest, TheStackAboveItsPointerKeepsItReachable) {
  EXPECT_EQ(only_pointer_at(process.stack_pointer() + 0x40), "reachable");
}

TEST_F(ReachTest, TheVeryTopOfTheStackKeepsItReachable) {
  EXPECT_EQ(only_pointer_at(process.stack_pointer()), "reachable");
}

TEST_F(ReachTest, TheRedZoneIsAlive) {
  EXPECT_EQ(only_pointer_at(process.stack_pointer() - 64), "reachable");
}

TEST_F(ReachTest, TheRedZoneHas128Bytes) {
  EXPECT_EQ(only_pointer_at(process.stack_pointer() - 128), "reachable");
}

TEST_F(ReachTest, BelowTheRedZoneThereIsOnlyAStaleReference) {
  EXPECT_EQ(only_pointer_at(process.stack_pointer() - 136), "stale");
}

TEST_F(ReachTest, AnotherThreadsStackCountsFromItsOwnPointer) {
  const size_t thread = process.add_thread(1001);
  const uint64_t sp = memory().thread(thread).sp;
  const uint64_t above = alloc(), below = alloc();
  point(sp + 8, above);
  point(sp - 0x200, below);
  const Snapshot snapshot = process.analyze();
  EXPECT_EQ(reach_of(snapshot, above), "reachable");
  EXPECT_EQ(reach_of(snapshot, below), "stale");
}

TEST_F(ReachTest, ARegisterKeepsItReachable) {
  const uint64_t user = alloc();
  memory().set_register(0, "r12", user);
  EXPECT_EQ(reach_of(process.analyze(), user), "reachable");
}

TEST_F(ReachTest, AnOddInteriorValueInARegisterIsInterior) {
  const uint64_t user = alloc();
  memory().set_register(0, "rax", user + 37);
  EXPECT_EQ(reach_of(process.analyze(), user), "interior");
}

TEST_F(ReachTest, AnotherThreadsRegistersCountToo) {
  process.add_thread(1001);
  const uint64_t user = alloc();
  memory().set_register(1, "rbx", user);
  EXPECT_EQ(reach_of(process.analyze(), user), "reachable");
}

TEST_F(ReachTest, AStackPointerOutsideOfEveryStackLosesNothing) {
  // Switched to a coroutine's stack: nobody knows how much of the thread's own stack is alive.
  memory().thread(0).sp = 0x10;
  memory().set_register(0, "rsp", 0x10);
  EXPECT_EQ(only_pointer_at(process.stack_pointer() + 0x40), "reachable");
}

TEST_F(ReachTest, PrivateAnonymousMemoryKeepsItReachable) {
  memory().map(0x7ffff5000000, 0x2000, test::kReadWrite, RegionKind::kAnonymous);
  EXPECT_EQ(only_pointer_at(0x7ffff5001008), "reachable");
}

TEST_F(ReachTest, SharedAnonymousMemoryKeepsItReachable) {
  memory().map(0x7ffff5000000, 0x2000, test::kReadWrite, RegionKind::kFile, "/dev/zero (deleted)");
  EXPECT_EQ(only_pointer_at(0x7ffff5001008), "reachable");
}

TEST_F(ReachTest, AVectorRegisterKeepsItReachable) {
  const uint64_t user = alloc();
  std::vector<std::byte> state(832);
  for (unsigned i = 0; i < 8; ++i) state[0xa0 + i] = static_cast<std::byte>(user >> (8 * i));
  memory().thread(0).extended_state = memory().keep(std::move(state));
  EXPECT_EQ(reach_of(process.analyze(), user), "reachable");
}

TEST_F(ReachTest, AStackInAChunkIsAliveAndItsPointersCount) {
  // A coroutine runs: the thread's own stack is not where its stack pointer is.
  const uint64_t stack = alloc(16384), user = alloc();
  memory().thread(0).sp = stack + 8000;
  memory().set_register(0, "rsp", stack + 8000);
  point(stack + 9000, user);
  const Snapshot snapshot = process.analyze();
  EXPECT_EQ(reach_of(snapshot, stack), "reachable");
  EXPECT_EQ(reach_of(snapshot, user), "reachable");
}

TEST_F(ReachTest, MemoryThatOthersTookWithSbrkKeepsItReachable) {
  heap().alloc_all_but(0x20);
  const uint64_t foreign = heap().foreign_sbrk(0x2000);
  EXPECT_EQ(only_pointer_at(foreign + 0x108), "reachable");
}

TEST_F(ReachTest, TheVectorOfDynamicTlsIsSystemAndWhatItHoldsIsAlive) {
  const uint64_t vector = alloc(1000), block = alloc(200);
  point(vector + 32, block);
  point(process.thread_pointer() + 8, vector + 16);
  const Snapshot snapshot = process.analyze();
  EXPECT_EQ(reach_of(snapshot, vector), "system");
  EXPECT_EQ(reach_of(snapshot, block), "reachable");
}

TEST_F(ReachTest, LinkMapsAndWhatTheyNameAreSystem) {
  const uint64_t second = alloc(1100), name = alloc(40);
  memory().header().link_maps = {Address(process.global(5)), Address(second)};
  point(second + 8, name);
  const Snapshot snapshot = process.analyze();
  EXPECT_EQ(reach_of(snapshot, second), "system");
  EXPECT_EQ(reach_of(snapshot, name), "system");
}

TEST_F(ReachTest, AnXoredPointerIsNone) {
  const uint64_t user = alloc();
  point(process.global(), user ^ 0x5555aaaa5555aaaa);
  EXPECT_EQ(reach_of(process.analyze(), user), "leaked");
}

TEST_F(ReachTest, APointerToTheEndOfTheUsersBytesIsNoLeak) {
  const uint64_t user = heap().alloc(104);  // all of its usable bytes
  guard();
  point(process.global(), user + 104);
  const std::string reach = reach_of(process.analyze(), user);
  EXPECT_TRUE(reach == "reachable" || reach == "interior") << reach;
}

TEST_F(ReachTest, APointerToTheNextChunkIsNotOneToTheEndOfThisOne) {
  const uint64_t user = heap().alloc(104);
  const uint64_t next = heap().alloc(104);
  point(process.global(), next);
  const Snapshot snapshot = process.analyze();
  EXPECT_EQ(reach_of(snapshot, user), "leaked");
  EXPECT_EQ(reach_of(snapshot, next), "reachable");
}

TEST_F(ReachTest, APointerIntoTheNextHeaderIsNone) {
  const uint64_t user = heap().alloc(104);
  guard();
  point(process.global(), user + 104 + 3);
  EXPECT_EQ(reach_of(process.analyze(), user), "leaked");
}

TEST_F(ReachTest, APointerInsideACachedChunkIsStale) {
  const uint64_t freed = alloc(200);
  point(freed + 24, 0);
  heap().free_to_tcache(freed);
  EXPECT_EQ(only_pointer_at(freed + 24), "stale");
}

TEST_F(ReachTest, APointerInsideAChunkInABinIsStale) {
  const uint64_t freed = alloc(600);
  heap().free_to_unsorted(freed);
  EXPECT_EQ(only_pointer_at(freed + 64), "stale");
}

TEST_F(ReachTest, APointerInsideAFastbinChunkIsStale) {
  const uint64_t freed = alloc(100);
  heap().free_to_fastbin(freed);
  EXPECT_EQ(only_pointer_at(freed + 32), "stale");
}

TEST_F(ReachTest, AGlobalPointerToAFreedChunkDoesNotReachWhatThatHolds) {
  const uint64_t freed = alloc(600);
  heap().free_to_unsorted(freed);
  point(process.global(), freed);
  EXPECT_EQ(only_pointer_at(freed + 64), "stale");
}

TEST_F(ReachTest, WhatAStaleChunkHoldsIsStale) {
  const uint64_t freed = alloc(600), kept = alloc(), below = alloc();
  heap().free_to_unsorted(freed);
  point(freed + 64, kept);
  point(kept + 8, below);
  const Snapshot snapshot = process.analyze();
  EXPECT_EQ(reach_of(snapshot, kept), "stale");
  EXPECT_EQ(reach_of(snapshot, below), "stale");
}

TEST_F(ReachTest, LinksBetweenFreeChunksAreNoReferences) {
  // fd and bk name headers, which lie in the span of the chunk before.
  const uint64_t before1 = heap().alloc(40), freed1 = heap().alloc(3000);
  const uint64_t before2 = heap().alloc(40), freed2 = heap().alloc(3000);
  const uint64_t before3 = heap().alloc(40), freed3 = heap().alloc(2900);
  guard();
  heap().free_to_bin(freed1);
  heap().free_to_bin(freed2);
  heap().free_to_bin(freed3);
  const Snapshot snapshot = process.analyze();
  EXPECT_EQ(reach_of(snapshot, before1), "leaked");
  EXPECT_EQ(reach_of(snapshot, before2), "leaked");
  EXPECT_EQ(reach_of(snapshot, before3), "leaked");
}

TEST_F(ReachTest, ArenasAndCachesAreNoRoots) {
  // All of main_arena's pointers name headers; the top's and the bins' point behind these chunks.
  const uint64_t before_bin = heap().alloc(40);
  const uint64_t freed = heap().alloc(600);
  guard();
  heap().free_to_unsorted(freed);
  const size_t arena = heap().add_arena();
  const uint64_t in_arena = heap().alloc(40, arena);
  const uint64_t before_top = heap().alloc(40);
  const Snapshot snapshot = process.analyze();
  EXPECT_EQ(reach_of(snapshot, before_bin), "leaked");
  EXPECT_EQ(reach_of(snapshot, before_top), "leaked");
  EXPECT_EQ(reach_of(snapshot, in_arena), "leaked");
}

TEST_F(ReachTest, TwelveCachedChunksAreCachedAndNoLeaks) {
  std::vector<uint64_t> freed = heap().alloc_many(6, 24);
  for (const uint64_t user : heap().alloc_many(6, 200)) freed.push_back(user);
  guard();
  for (const uint64_t user : freed) heap().free_to_tcache(user);
  const Snapshot snapshot = process.analyze();
  for (const uint64_t user : freed) {
    EXPECT_EQ(state_of(snapshot, user), "cached");
    EXPECT_EQ(reach_of(snapshot, user), "");
  }
  EXPECT_TRUE(snapshot.clusters.empty());
}

TEST_F(ReachTest, ADeepChainIsReachable) {
  uint64_t next = process.global();
  std::vector<uint64_t> chain;
  for (int i = 0; i < 20000; ++i) {
    chain.push_back(heap().alloc(24));
    point(next, chain.back());
    next = chain.back() + 8;
  }
  const Snapshot snapshot = process.analyze();
  for (const uint64_t user : chain) ASSERT_EQ(reach_of(snapshot, user), "reachable");
}

TEST_F(ReachTest, WhatAnInteriorChunkHoldsIsInterior) {
  const uint64_t outer = alloc(), inner = alloc();
  point(process.global(), outer + 24);
  point(outer + 8, inner);
  const Snapshot snapshot = process.analyze();
  EXPECT_EQ(reach_of(snapshot, outer), "interior");
  EXPECT_EQ(reach_of(snapshot, inner), "interior");
}

TEST_F(ReachTest, OnePathOfStartsMakesItReachableWhateverElsePointsInside) {
  const uint64_t outer = alloc(), inner = alloc();
  point(process.global(), outer + 24);
  point(outer + 8, inner + 8);
  point(process.global(), outer);
  point(outer + 16, inner);
  const Snapshot snapshot = process.analyze();
  EXPECT_EQ(reach_of(snapshot, outer), "reachable");
  EXPECT_EQ(reach_of(snapshot, inner), "reachable");
}

TEST_F(ReachTest, ALivePathWinsOverAStaleOne) {
  const uint64_t freed = alloc(600), user = alloc();
  heap().free_to_unsorted(freed);
  point(freed + 64, user);
  point(process.global(), user + 8);
  EXPECT_EQ(reach_of(process.analyze(), user), "interior");
}

TEST_F(ReachTest, ChunksOfThreadArenasAndMmappedChunksAreReachedAlike) {
  const size_t arena = heap().add_arena();
  const uint64_t in_arena = heap().alloc(100, arena);
  const uint64_t mmapped = heap().alloc_mmapped(200000);
  const uint64_t aligned = heap().alloc_mmapped_aligned(200000, 0xff0);
  const uint64_t lost = heap().alloc_mmapped(300000);
  const uint64_t far = heap().alloc(100, arena);
  point(process.global(), in_arena);
  point(in_arena, mmapped);
  point(mmapped + 199992, aligned);
  point(aligned + 0x20000, far);
  const Snapshot snapshot = process.analyze();
  for (const uint64_t user : {in_arena, mmapped, aligned, far}) {
    EXPECT_EQ(reach_of(snapshot, user), "reachable") << complaints(snapshot);
  }
  EXPECT_EQ(reach_of(snapshot, lost), "leaked");
}

TEST_F(ReachTest, ThePointerToTheSecondBaseIsNotInterior) {
  const test::ClassInfo session = process.add_class("7Session", 16);
  const uint64_t user = alloc(64);
  point(user, session.primary);
  point(user + 16, session.secondary);
  point(process.global(), user + 16);
  EXPECT_EQ(reach_of(process.analyze(), user), "reachable");
}

TEST_F(ReachTest, ThePointerToASecondBaseOfOwnLayoutIsNotInterior) {
  // The base at +24 is an object of a class that exists by itself too (single inheritance).
  const test::ClassInfo member = process.add_class("6Member");
  const uint64_t user = alloc(64);
  point(user + 24, member.primary);
  point(process.global(), user + 24);
  EXPECT_EQ(reach_of(process.analyze(), user), "reachable");
}

TEST_F(ReachTest, ASecondBasesVtableElsewhereThanItSaysIsNoBase) {
  const test::ClassInfo session = process.add_class("7Session", 16);
  const uint64_t user = alloc(128);
  point(user + 64, session.secondary);  // says that it lies 16 bytes behind the start
  point(process.global(), user + 64);
  EXPECT_EQ(reach_of(process.analyze(), user), "interior");
}

TEST_F(ReachTest, ThePointerToAMemberBehindTheVtableIsInterior) {
  const test::ClassInfo session = process.add_class("7Session", 16);
  const uint64_t user = alloc(64);
  point(user, session.primary);
  point(user + 16, session.secondary);
  point(process.global(), user + 24);
  EXPECT_EQ(reach_of(process.analyze(), user), "interior");
}

TEST_F(ReachTest, ThePointerBehindAnArraysCountIsNotInterior) {
  // new T[5] with 24-byte elements: the count, then the elements.
  const uint64_t user = heap().alloc(8 + 5 * 24);
  guard();
  point(user, 5);
  point(process.global(), user + 8);
  EXPECT_EQ(reach_of(process.analyze(), user), "reachable");
}

TEST_F(ReachTest, ThePointerBehindTheCountOfAnArrayOfObjectsIsNotInterior) {
  const test::ClassInfo item = process.add_class("4Item");
  const uint64_t user = heap().alloc(8 + 3 * 32);
  guard();
  point(user, 3);
  for (uint64_t i = 0; i < 3; ++i) point(user + 8 + 32 * i, item.primary);
  point(process.global(), user + 8);
  EXPECT_EQ(reach_of(process.analyze(), user), "reachable");
}

TEST_F(ReachTest, ThePointerBehindSomethingThatIsNoCountIsInterior) {
  const uint64_t user = alloc(128);
  point(user, 5000);  // so many elements have no room
  point(process.global(), user + 8);
  EXPECT_EQ(reach_of(process.analyze(), user), "interior");
}

}  // namespace
}  // namespace residue
