// Owners: the name of what keeps a chunk alive.
#include <gtest/gtest.h>

#include "tests/analyzer/process_builder.h"
#include "tests/analyzer/snapshot_checks.h"

namespace residue {
namespace {

using test::owner_of;
using test::ProcessBuilder;

class OwnersTest : public ::testing::Test {
 protected:
  // A chunk to which only `place` points.
  uint64_t chunk_held_by(uint64_t place) {
    const uint64_t user = process.heap().alloc(100);
    process.memory().put64(place, user);
    return user;
  }
  ProcessBuilder process;
};

TEST_F(OwnersTest, AGlobalHasItsSymbolsNameAndModule) {
  const uint64_t table = process.global(4);
  process.add_symbols({{"g_before", table - 8, 8}, {"_ZN3app10g_sessionsE", table, 32}});
  const uint64_t user = chunk_held_by(table + 16);
  const Snapshot snapshot = process.analyze();
  const OwnerRow* owner = owner_of(snapshot, user);
  ASSERT_NE(owner, nullptr);
  EXPECT_EQ(owner->kind, "global");
  EXPECT_EQ(owner->name.substr(0, 15), "app::g_sessions");
  EXPECT_EQ(owner->module, "server");
  EXPECT_EQ(owner->thread, 0U);
}

TEST_F(OwnersTest, AGlobalBetweenSymbolsIsNotGivenToANeighbour) {
  const uint64_t table = process.global(4);
  process.add_symbols({{"g_before", table - 8, 8}, {"g_behind", table + 16, 8}});
  const uint64_t user = chunk_held_by(table);
  const Snapshot snapshot = process.analyze();
  const OwnerRow* owner = owner_of(snapshot, user);
  ASSERT_NE(owner, nullptr);
  EXPECT_EQ(owner->name.find("g_"), std::string::npos) << owner->name;
}

TEST_F(OwnersTest, AGlobalWithoutSymbolsIsModuleAndOffset) {
  const uint64_t user = chunk_held_by(process.global());
  const Snapshot snapshot = process.analyze();
  const OwnerRow* owner = owner_of(snapshot, user);
  ASSERT_NE(owner, nullptr);
  EXPECT_EQ(owner->kind, "global");
  EXPECT_EQ(owner->name.substr(0, 9), "server+0x") << owner->name;
  EXPECT_EQ(owner->module, "server");
}

TEST_F(OwnersTest, AStackBelongsToItsThread) {
  const size_t thread = process.add_thread(1001);
  const uint64_t main = chunk_held_by(process.stack_pointer() + 0x40);
  const uint64_t other = chunk_held_by(process.memory().thread(thread).sp + 0x40);
  const Snapshot snapshot = process.analyze();
  ASSERT_NE(owner_of(snapshot, main), nullptr);
  ASSERT_NE(owner_of(snapshot, other), nullptr);
  EXPECT_EQ(owner_of(snapshot, main)->kind, "thread");
  EXPECT_EQ(owner_of(snapshot, main)->thread, 1000U);
  EXPECT_EQ(owner_of(snapshot, other)->kind, "thread");
  EXPECT_EQ(owner_of(snapshot, other)->thread, 1001U);
}

TEST_F(OwnersTest, ARegisterBelongsToItsThread) {
  const size_t thread = process.add_thread(1001);
  const uint64_t user = process.heap().alloc(100);
  process.memory().set_register(thread, "r13", user);
  const Snapshot snapshot = process.analyze();
  ASSERT_NE(owner_of(snapshot, user), nullptr);
  EXPECT_EQ(owner_of(snapshot, user)->kind, "register");
  EXPECT_EQ(owner_of(snapshot, user)->thread, 1001U);
}

TEST_F(OwnersTest, ThreadLocalMemoryIsTlsOfItsThread) {
  const size_t thread = process.add_thread(1001);
  const uint64_t distance = process.thread_pointer() - process.tls_slot();
  const uint64_t main = chunk_held_by(process.tls_slot());
  const uint64_t other = chunk_held_by(process.memory().thread(thread).thread_pointer - distance);
  const Snapshot snapshot = process.analyze();
  ASSERT_NE(owner_of(snapshot, main), nullptr);
  ASSERT_NE(owner_of(snapshot, other), nullptr);
  EXPECT_EQ(owner_of(snapshot, main)->kind, "tls");
  EXPECT_EQ(owner_of(snapshot, main)->thread, 1000U);
  EXPECT_EQ(owner_of(snapshot, other)->kind, "tls");
  EXPECT_EQ(owner_of(snapshot, other)->thread, 1001U);
}

TEST_F(OwnersTest, AnonymousMemoryIsAnOwnerToo) {
  process.memory().map(0x7ffff5000000, 0x2000, test::kReadWrite, RegionKind::kAnonymous);
  const uint64_t user = chunk_held_by(0x7ffff5000010);
  const Snapshot snapshot = process.analyze();
  ASSERT_NE(owner_of(snapshot, user), nullptr);
  EXPECT_EQ(owner_of(snapshot, user)->kind, "anonymous");
}

TEST_F(OwnersTest, WhatAnOwnedChunkHoldsHasTheSameOwner) {
  const uint64_t first = chunk_held_by(process.global());
  const uint64_t second = chunk_held_by(first + 8);
  const uint64_t third = chunk_held_by(second + 24);
  const Snapshot snapshot = process.analyze();
  ASSERT_NE(owner_of(snapshot, first), nullptr);
  EXPECT_EQ(owner_of(snapshot, second), owner_of(snapshot, first));
  EXPECT_EQ(owner_of(snapshot, third), owner_of(snapshot, first));
}

TEST_F(OwnersTest, ALeakedChunkHasNoOwner) {
  const uint64_t user = process.heap().alloc(100);
  EXPECT_EQ(owner_of(process.analyze(), user), nullptr);
}

TEST_F(OwnersTest, OneVariableIsOneOwnerHoweverManyChunksItKeeps) {
  const uint64_t table = process.global(8);
  process.add_symbols({{"g_table", table, 64}});
  std::vector<uint64_t> users;
  for (uint64_t i = 0; i < 8; ++i) users.push_back(chunk_held_by(table + 8 * i));
  const Snapshot snapshot = process.analyze();
  for (const uint64_t user : users) {
    EXPECT_EQ(owner_of(snapshot, user), owner_of(snapshot, users[0]));
  }
}

}  // namespace
}  // namespace residue
