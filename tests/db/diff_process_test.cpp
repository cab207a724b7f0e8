// Which two snapshots are of one process.
#include "db/diff_process.h"

#include <gtest/gtest.h>

#include "db/store.h"
#include "tests/db/support.h"

namespace residue {
namespace {

using testing::open_or_die;

struct Facts {
  const char* process = "";
  uint32_t pid = 10;
  const char* executable = "/app";
  uint64_t base = 0x1000;        // of /app
  const char* library = "/lib";  // of which base is 0x9000, or 0xa000 in one that moved
  uint64_t library_base = 0x9000;
};

Kinship compare(const Facts& a, const Facts& b) {
  Database database = open_or_die(":memory:", Database::Mode::kWrite);
  int number = 0;
  for (const Facts& facts : {a, b}) {
    Snapshot snapshot;
    snapshot.info.source = std::to_string(++number);
    snapshot.info.process = facts.process;
    snapshot.info.pid = facts.pid;
    snapshot.info.executable = facts.executable;
    snapshot.modules.push_back({"app", "/app", "", Address(facts.base), ByteCount(16), "none"});
    snapshot.modules.push_back(
        {"lib", facts.library, "", Address(facts.library_base), ByteCount(16), "none"});
    EXPECT_TRUE(store(database, snapshot));
  }
  auto kinship = compare_processes(database.handle(), 1, 2);
  EXPECT_TRUE(kinship);
  return kinship ? *kinship : Kinship{};
}

TEST(CompareProcesses, BelievesTheirIdentities) {
  const Kinship same = compare({"aa"}, {"aa", 11, "/other", 0x2000});
  EXPECT_TRUE(same.same_process);
  EXPECT_FALSE(same.inferred);
  const Kinship other = compare({"aa"}, {"bb"});
  EXPECT_FALSE(other.same_process);
  EXPECT_FALSE(other.inferred);
}

TEST(CompareProcesses, InfersThemWhereOneIsMissing) {
  for (const char* process : {"", "aa"}) {
    const Kinship same = compare({""}, {process});
    EXPECT_TRUE(same.same_process);
    EXPECT_TRUE(same.inferred);
    EXPECT_NE(same.reason.find("inferred"), std::string::npos);
  }
  EXPECT_FALSE(compare({}, {"", 11}).same_process);
  EXPECT_FALSE(compare({"", 0}, {"", 0}).same_process) << "0 is unknown";
  EXPECT_FALSE(compare({}, {"", 10, "/other"}).same_process);
  const Kinship moved = compare({}, {"", 10, "/app", 0x2000});
  EXPECT_FALSE(moved.same_process);
  EXPECT_NE(moved.reason.find("1 of 2 modules"), std::string::npos) << moved.reason;
  EXPECT_TRUE(compare({}, {"", 10, "/app", 0x1000, "/loaded-later", 0xa000}).same_process);
}

TEST(CompareProcesses, ASnapshotIsOfItsOwnProcess) {
  Database database = open_or_die(":memory:", Database::Mode::kWrite);
  Snapshot snapshot;
  snapshot.info.source = "1";
  ASSERT_TRUE(store(database, snapshot));
  EXPECT_TRUE(compare_processes(database.handle(), 1, 1)->same_process);
  EXPECT_FALSE(compare_processes(database.handle(), 1, 7)->exists);
}

}  // namespace
}  // namespace residue
