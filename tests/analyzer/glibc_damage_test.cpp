// Damaged glibc heaps: the walk ends, keeps what can be kept, and says that it does not balance.
#include <gtest/gtest.h>

#include "formats/base/text.h"
#include "tests/analyzer/process_builder.h"
#include "tests/analyzer/snapshot_checks.h"

namespace residue {
namespace {

using test::chunk_at;
using test::complaints;
using test::GlibcHeapBuilder;
using test::heap_named;
using test::ImageBuilder;
using test::ProcessBuilder;
using test::state_of;

class DamagedGlibc : public ::testing::TestWithParam<unsigned> {
 protected:
  DamagedGlibc() : process({.glibc = GetParam()}) {}
  GlibcHeapBuilder& heap() { return process.heap(); }
  ImageBuilder& memory() { return process.memory(); }
  bool has_tcache() { return heap().release().has_tcache(); }

  // The main arena is not verified and says why; the snapshot is otherwise usable.
  void expect_main_problem(const Snapshot& snapshot) {
    const HeapRow& row = heap_named(snapshot, "main_arena");
    EXPECT_FALSE(row.verified) << complaints(snapshot);
    EXPECT_NE(row.problem, "");
  }

  ProcessBuilder process;
};

TEST_P(DamagedGlibc, ATrampledHeaderIsNamedAndTheWalkGoesOnBehindIt) {
  const std::vector<uint64_t> before = heap().alloc_many(50, 100);
  std::vector<uint64_t> after;
  const uint64_t trampled = heap().alloc(100);
  for (int i = 0; i < 50; ++i) {
    after.push_back(heap().alloc(100));
    const uint64_t freed = heap().alloc(400);
    heap().alloc(24);
    if (i % 10 == 0) heap().free_to_unsorted(freed);
  }
  heap().finish();
  memory().put64(trampled - 8, 0x4141414141414141);
  const Snapshot snapshot = process.analyze();
  for (const uint64_t user : before) EXPECT_EQ(state_of(snapshot, user), "used") << hex(user);
  // Where the walk joins again is its choice; most of what follows must be there.
  size_t found = 0;
  for (const uint64_t user : after) found += state_of(snapshot, user) == "used" ? 1U : 0U;
  EXPECT_GE(found, after.size() - 10);
  expect_main_problem(snapshot);
  EXPECT_NE(complaints(snapshot).find(hex(trampled - 16)), std::string::npos)
      << "the place " << hex(trampled - 16) << " is not named:\n"
      << complaints(snapshot);
}

TEST_P(DamagedGlibc, ASizeOfZeroOrPastTheEndDoesNotStopTheWalk) {
  std::vector<uint64_t> users;
  for (int i = 0; i < 250; ++i) {
    users.push_back(heap().alloc(300));
    const uint64_t freed = heap().alloc(500);
    heap().alloc(24);
    if (i % 5 == 0) heap().free_to_unsorted(freed);
  }
  heap().finish();
  memory().put64(users[20] - 8, 0);
  memory().put64(users[150] - 8, 0x7ffffff1);
  const Snapshot snapshot = process.analyze();
  for (const size_t i : {19U, 22U, 100U, 149U, 152U, 249U}) {
    EXPECT_EQ(state_of(snapshot, users[i]), "used") << i;
  }
  expect_main_problem(snapshot);
}

TEST_P(DamagedGlibc, TheChunkBeforeATrampledHeaderKeepsItsState) {
  const uint64_t used = heap().alloc(100);
  heap().alloc(100);
  const uint64_t free = heap().alloc(600);
  heap().alloc(100);
  for (int i = 0; i < 100; ++i) heap().alloc(60);
  heap().free_to_unsorted(free);
  heap().finish();
  memory().put64(used + 104, 0x2020202020202020);  // an overflow by text: PREV_INUSE is clear in it
  EXPECT_EQ(state_of(process.analyze(), used), "used");
}

TEST_P(DamagedGlibc, ATrampledHeaderInAThreadArenaLeavesTheMainArenaVerified) {
  heap().alloc(100);
  const size_t arena = heap().add_arena();
  const uint64_t first = heap().alloc(100, arena);
  const uint64_t trampled = heap().alloc(100, arena);
  for (int i = 0; i < 20; ++i) heap().alloc(60, arena);
  heap().finish();
  memory().put64(trampled - 8, 0x2020202020202020);
  const Snapshot snapshot = process.analyze();
  EXPECT_EQ(state_of(snapshot, first), "used");
  EXPECT_TRUE(heap_named(snapshot, "main_arena").verified) << complaints(snapshot);
  EXPECT_FALSE(heap_named(snapshot, "arena ").verified);
}

TEST_P(DamagedGlibc, ACyclicCacheListEnds) {
  if (!has_tcache()) return;
  const std::vector<uint64_t> freed = heap().alloc_many(5, 40);
  heap().alloc(40);
  for (const uint64_t user : freed) heap().free_to_tcache(user);
  heap().finish();
  memory().put64(freed[0], heap().link(freed[0], freed[4]));  // the last points to the first
  expect_main_problem(process.analyze());
}

TEST_P(DamagedGlibc, ACutCacheListIsNoticed) {
  if (!has_tcache()) return;
  const std::vector<uint64_t> freed = heap().alloc_many(5, 40);
  const uint64_t used = heap().alloc(40);
  for (const uint64_t user : freed) heap().free_to_tcache(user);
  heap().finish();
  memory().put64(freed[2], heap().link(freed[2], 0));
  const Snapshot snapshot = process.analyze();
  EXPECT_EQ(state_of(snapshot, freed[4]), "cached");
  EXPECT_EQ(state_of(snapshot, used), "used");
  expect_main_problem(snapshot);
}

TEST_P(DamagedGlibc, ACacheLinkIntoNowhereIsNoticed) {
  if (!has_tcache()) return;
  const std::vector<uint64_t> freed = heap().alloc_many(3, 40);
  heap().alloc(40);
  for (const uint64_t user : freed) heap().free_to_tcache(user);
  heap().finish();
  memory().put64(freed[2], 0x6161616161616161);
  const Snapshot snapshot = process.analyze();
  EXPECT_EQ(state_of(snapshot, freed[2]), "cached");
  expect_main_problem(snapshot);
}

TEST_P(DamagedGlibc, ACyclicBinEnds) {
  std::vector<uint64_t> freed;
  for (int i = 0; i < 4; ++i) {
    freed.push_back(heap().alloc(600));
    heap().alloc(24);
  }
  for (const uint64_t user : freed) heap().free_to_unsorted(user);
  heap().finish();
  memory().put64(freed[1], freed[3] - 16);
  const Snapshot snapshot = process.analyze();
  EXPECT_EQ(state_of(snapshot, freed[3]), "free");
  expect_main_problem(snapshot);
}

TEST_P(DamagedGlibc, ABinThatPointsToItselfEnds) {
  const uint64_t freed = heap().alloc(3000);
  heap().alloc(24);
  heap().free_to_bin(freed);
  heap().finish();
  memory().put64(freed, freed - 16);
  memory().put64(freed + 8, freed - 16);
  const Snapshot snapshot = process.analyze();
  EXPECT_EQ(state_of(snapshot, freed), "free");
  expect_main_problem(snapshot);
}

TEST_P(DamagedGlibc, ACyclicFastbinEnds) {
  if (!heap().release().has_fastbins()) return;
  const uint64_t a = heap().alloc(40), b = heap().alloc(40);
  heap().alloc(40);
  heap().free_to_fastbin(a);
  heap().free_to_fastbin(b);
  heap().finish();
  memory().put64(a, heap().link(a, b - 16));
  const Snapshot snapshot = process.analyze();
  EXPECT_EQ(state_of(snapshot, a), "free");
  EXPECT_EQ(state_of(snapshot, b), "free");
  expect_main_problem(snapshot);
}

TEST_P(DamagedGlibc, AFreeChunkOnNoListIsNoticed) {
  const uint64_t lost = heap().alloc(600);
  const uint64_t used = heap().alloc(24);
  heap().free_to_nowhere(lost);
  const Snapshot snapshot = process.analyze();
  EXPECT_EQ(state_of(snapshot, lost), "free");
  EXPECT_EQ(state_of(snapshot, used), "used");
  expect_main_problem(snapshot);
}

TEST_P(DamagedGlibc, AnArenaWhoseMutexIsHeldIsWalkedAndVerifiedIfItBalances) {
  const uint64_t used = heap().alloc(600);
  heap().finish();
  memory().put32(heap().arena_address(GlibcHeapBuilder::kMain), 2);
  const Snapshot snapshot = process.analyze();
  EXPECT_EQ(state_of(snapshot, used), "used");
  EXPECT_TRUE(heap_named(snapshot, "main_arena").verified) << complaints(snapshot);
}

TEST_P(DamagedGlibc, AChunkInFlightWhileTheMutexIsHeldIsFree) {
  const uint64_t in_flight = heap().alloc(600);
  heap().alloc(600);
  heap().free_to_nowhere(in_flight);
  heap().finish();
  memory().put32(heap().arena_address(GlibcHeapBuilder::kMain), 1);
  EXPECT_EQ(state_of(process.analyze(), in_flight), "free");
}

TEST_P(DamagedGlibc, AWrongTotalIsNoticed) {
  heap().alloc(600);
  heap().alloc(600, heap().add_arena());
  heap().finish();
  const uint64_t arena = heap().arena_address(1);
  memory().put64(arena + heap().release().state.system_mem, 0x20000);
  const Snapshot snapshot = process.analyze();
  EXPECT_TRUE(heap_named(snapshot, "main_arena").verified) << complaints(snapshot);
  EXPECT_FALSE(heap_named(snapshot, "arena ").verified);
}

TEST_P(DamagedGlibc, AWrongCountOfMmappedChunksIsNoticed) {
  heap().alloc(100);
  const uint64_t user = heap().alloc_mmapped(200000);
  heap().finish();
  memory().put32(heap().mp_address() + heap().release().par.n_mmaps, 2);
  const Snapshot snapshot = process.analyze();
  EXPECT_EQ(state_of(snapshot, user), "used");
  EXPECT_FALSE(heap_named(snapshot, "mmapped").verified) << complaints(snapshot);
  EXPECT_TRUE(heap_named(snapshot, "main_arena").verified) << complaints(snapshot);
}

TEST_P(DamagedGlibc, AWrongSumOfMmappedBytesIsNoticed) {
  heap().alloc(100);
  heap().alloc_mmapped(200000);
  heap().finish();
  memory().put64(heap().mp_address() + heap().release().par.mmapped_mem,
                 heap().mmapped_bytes() + 0x1000);
  EXPECT_FALSE(heap_named(process.analyze(), "mmapped").verified);
}

TEST_P(DamagedGlibc, ChunksBeforeTheEndOfATruncatedHeapAreThere) {
  const std::vector<uint64_t> users = heap().alloc_many(400, 240);
  const uint64_t base = users.front() & ~uint64_t{0xfff};
  const uint64_t cut = base + 0x9000;
  memory().drop(cut, memory().end_of_mapping(base) - cut);
  const Snapshot snapshot = process.analyze();
  for (const uint64_t user : users) {
    if (user + 256 > cut) break;
    EXPECT_EQ(state_of(snapshot, user), "used") << hex(user);
  }
  expect_main_problem(snapshot);
}

TEST_P(DamagedGlibc, ChunksBeforeTheEndOfATruncatedThreadHeapAreThere) {
  heap().alloc(100);
  const size_t arena = heap().add_arena();
  const std::vector<uint64_t> users = heap().alloc_many(400, 240, arena);
  const uint64_t base = heap().heap_address(arena, 0);
  const uint64_t cut = base + 0x9000;
  memory().drop(cut, memory().end_of_mapping(base) - cut);
  const Snapshot snapshot = process.analyze();
  for (const uint64_t user : users) {
    if (user + 256 > cut) break;
    EXPECT_EQ(state_of(snapshot, user), "used") << hex(user);
  }
  EXPECT_TRUE(heap_named(snapshot, "main_arena").verified) << complaints(snapshot);
  EXPECT_FALSE(heap_named(snapshot, "arena ").verified);
}

TEST_P(DamagedGlibc, ATrampledThreadArenaDoesNotCostTheMainArena) {
  const uint64_t user = heap().alloc(100);
  const size_t arena = heap().add_arena();
  heap().alloc(100, arena);
  heap().finish();
  memory().fill(heap().arena_address(arena), heap().release().state.size, 0x5a);
  const Snapshot snapshot = process.analyze();
  EXPECT_EQ(state_of(snapshot, user), "used") << complaints(snapshot);
}

TEST_P(DamagedGlibc, AThreadArenaThatIsNotInTheDumpDoesNotCostTheOthers) {
  const uint64_t user = heap().alloc(100);
  const size_t absent = heap().add_arena(), present = heap().add_arena();
  heap().alloc(100, absent);
  const uint64_t other = heap().alloc(100, present);
  memory().drop(heap().heap_address(absent, 0), GlibcHeapBuilder::kGrowth);
  const Snapshot snapshot = process.analyze();
  EXPECT_EQ(state_of(snapshot, user), "used") << complaints(snapshot);
  EXPECT_EQ(state_of(snapshot, other), "used") << complaints(snapshot);
}

TEST_P(DamagedGlibc, AMmappedChunkWhoseEndIsNotInTheDumpIsKnown) {
  heap().alloc(100);
  const uint64_t user = heap().alloc_mmapped(200000);
  memory().drop(user - 16 + 0x10000, memory().end_of_mapping(user - 16) - (user - 16) - 0x10000);
  const Snapshot snapshot = process.analyze();
  const ChunkId id = chunk_at(snapshot, user);
  ASSERT_NE(id, kNone<ChunkId>) << complaints(snapshot);
  EXPECT_EQ(snapshot.chunks.map.usable(id).value(), heap().blocks().at(user).usable);
}

TEST_P(DamagedGlibc, APageMissingInTheMiddleCostsOnlyItsOwnChunks) {
  std::vector<uint64_t> users;
  for (int i = 0; i < 400; ++i) {
    users.push_back(heap().alloc(240));
    if (i % 8 != 7) continue;
    const uint64_t freed = heap().alloc(700);
    heap().alloc(24);
    heap().free_to_unsorted(freed);
  }
  const uint64_t hole = (users[0] & ~uint64_t{0xfff}) + 0x9000;
  memory().drop(hole, 0x1000);
  const Snapshot snapshot = process.analyze();
  size_t lost = 0;
  for (const uint64_t user : users) {
    if (user + 256 <= hole) {
      EXPECT_EQ(state_of(snapshot, user), "used") << hex(user);
    }
    if (user >= hole + 0x1000 && chunk_at(snapshot, user) == kNone<ChunkId>) ++lost;
  }
  EXPECT_LE(lost, 10U);
  expect_main_problem(snapshot);
}

// The one row about this address; a row that says so if there is none.
CorruptionRow corruption_at(const Snapshot& snapshot, uint64_t address) {
  for (const CorruptionRow& row : snapshot.corruption) {
    if (row.address.value() == address) return row;
  }
  CorruptionRow none;
  none.kind = "no corruption at " + hex(address);
  return none;
}

TEST_P(DamagedGlibc, AnUndamagedHeapHoldsNoCorruption) {
  heap().alloc_many(5, 100);
  heap().free_to_unsorted(heap().alloc_many(3, 600)[1]);
  EXPECT_TRUE(process.analyze().corruption.empty());
}

TEST_P(DamagedGlibc, ATextThatRunsOverAHeaderIsBlamedOnTheChunkBefore) {
  const uint64_t writer = heap().alloc(40);
  const uint64_t next = heap().alloc(600);
  heap().alloc_many(70, 60);
  heap().finish();
  memory().put_text(writer, "0123456789 0123456789 0123456789 0123456789 0123456789");
  const CorruptionRow row = corruption_at(process.analyze(), next - 8);
  EXPECT_EQ(row.kind, "overflow");
  EXPECT_EQ(row.suspect.value(), writer);
  EXPECT_EQ(row.confidence, "likely");
  EXPECT_EQ(row.found, "3738392030313233 \"789 0123\"");
  EXPECT_NE(row.message.find("14 bytes beyond its end"), std::string::npos) << row.message;
}

TEST_P(DamagedGlibc, AnArrayThatRunsBackOverItsHeaderIsAnUnderflow) {
  heap().alloc(100);
  const uint64_t victim = heap().alloc(600);
  heap().alloc_many(70, 60);
  heap().finish();
  memory().fill(victim - 8, 200, 0x99);
  const CorruptionRow row = corruption_at(process.analyze(), victim - 8);
  EXPECT_EQ(row.kind, "underflow");
  EXPECT_EQ(row.suspect.value(), victim);
}

TEST_P(DamagedGlibc, AChunkThatClaimsItsNeighboursIsCutToItsSize) {
  const uint64_t victim = heap().alloc(100);
  const std::vector<uint64_t> swallowed = heap().alloc_many(20, 60);
  heap().alloc_many(20, 90);
  heap().finish();
  memory().put64(victim - 8, 0x7c1);  // into the middle of another chunk
  const Snapshot snapshot = process.analyze();
  for (const uint64_t user : swallowed) EXPECT_EQ(state_of(snapshot, user), "used") << hex(user);
  const ChunkId id = chunk_at(snapshot, victim);
  ASSERT_NE(id, kNone<ChunkId>);
  EXPECT_EQ(snapshot.chunks.map.usable(id).value(), 104U);
  EXPECT_EQ(corruption_at(snapshot, victim - 8).expected.substr(0, 4), "7100");
  expect_main_problem(snapshot);
}

TEST_P(DamagedGlibc, AClearedBitDoesNotFreeAChunkThatIsOnNoList) {
  const uint64_t used = heap().alloc(100);
  const uint64_t next = heap().alloc(200);
  heap().alloc(100);
  heap().finish();
  memory().put8(next - 8, static_cast<uint8_t>(memory().get64(next - 8) & ~uint64_t{1}));
  const Snapshot snapshot = process.analyze();
  EXPECT_EQ(state_of(snapshot, used), "used");
  EXPECT_NE(corruption_at(snapshot, next - 8).kind.substr(0, 2), "no");
  expect_main_problem(snapshot);
}

TEST_P(DamagedGlibc, AFreeChunkWhoseSizeWasOverwrittenBehindItStaysFree) {
  const uint64_t freed = heap().alloc(600);
  heap().alloc(100);
  heap().free_to_unsorted(freed);
  heap().finish();
  memory().put64(freed + 600 - 8 + 8, 0x1122334455667788);
  const Snapshot snapshot = process.analyze();
  EXPECT_EQ(state_of(snapshot, freed), "free");
  EXPECT_EQ(corruption_at(snapshot, freed + 600).suspect.value(), freed);
}

TEST_P(DamagedGlibc, AWordOfTheMainArenaMayBeWrong) {
  const std::vector<uint64_t> users = heap().alloc_many(30, 100);
  heap().finish();
  const auto& state = heap().release().state;
  const uint64_t arena = heap().arena_address(GlibcHeapBuilder::kMain);
  for (const uint64_t offset : {uint64_t{state.top}, uint64_t{state.next},
                                uint64_t{state.system_mem}, uint64_t{state.system_mem} + 8}) {
    const uint64_t old = memory().get64(arena + offset);
    for (const uint64_t value : {uint64_t{0}, uint64_t{0x4141414141414141}, old ^ 0x10}) {
      memory().put64(arena + offset, value);
      const Snapshot snapshot = process.analyze();
      for (const uint64_t user : users) {
        EXPECT_EQ(state_of(snapshot, user), "used") << hex(offset) << " = " << hex(value) << "\n"
                                                    << complaints(snapshot);
      }
    }
    memory().put64(arena + offset, old);
  }
}

TEST_P(DamagedGlibc, AWordOfAThreadArenaMayBeWrong) {
  heap().alloc(100);
  const size_t index = heap().add_arena();
  const std::vector<uint64_t> users = heap().alloc_many(30, 100, index);
  heap().finish();
  const auto& state = heap().release().state;
  const uint64_t arena = heap().arena_address(index);
  const uint64_t info = heap().heap_address(index, 0);
  for (const uint64_t place : {arena + state.top, arena + state.next, arena + state.system_mem,
                               info, info + 8, info + 16, info + 24}) {
    const uint64_t old = memory().get64(place);
    for (const uint64_t value : {uint64_t{0x1000}, uint64_t{0x4141414141414141}, old ^ 0x10}) {
      memory().put64(place, value);
      const Snapshot snapshot = process.analyze();
      for (const uint64_t user : users) {
        EXPECT_EQ(state_of(snapshot, user), "used")
            << hex(place - info) << " = " << hex(value) << "\n"
            << complaints(snapshot);
      }
      EXPECT_TRUE(heap_named(snapshot, "main_arena").verified) << complaints(snapshot);
    }
    memory().put64(place, old);
  }
}

TEST_P(DamagedGlibc, AChunkOnTwoListsWasFreedTwice) {
  if (!has_tcache() || !heap().release().has_fastbins()) return;
  const uint64_t twice = heap().alloc(40);
  const uint64_t other = heap().alloc(40);
  heap().alloc(40);
  heap().free_to_tcache(other);
  heap().free_to_fastbin(twice);
  heap().finish();
  memory().put64(other, heap().link(other, twice));
  memory().put64(twice, heap().link(twice, 0));
  const Snapshot snapshot = process.analyze();
  EXPECT_EQ(corruption_at(snapshot, twice).kind, "double free") << complaints(snapshot);
}

std::string release_name(const ::testing::TestParamInfo<unsigned>& release) {
  return "2_" + std::to_string(release.param);
}

INSTANTIATE_TEST_SUITE_P(Releases, DamagedGlibc, ::testing::Values(12, 24, 28, 31, 36, 42, 43),
                         release_name);

}  // namespace
}  // namespace residue
