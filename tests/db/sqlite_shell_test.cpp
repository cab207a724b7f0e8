// The plain sqlite3 shell, which knows nothing of residue, reads every table and view.
#include <gtest/gtest.h>

#include <array>
#include <cstdio>

#include "db/store.h"
#include "tests/db/support.h"
#include "tests/db/synthetic_snapshot.h"

namespace residue {
namespace {

struct Ran {
  int status = -1;
  std::string output;
};

Ran run(const std::string& command) {
  Ran ran;
  FILE* pipe = ::popen((command + " 2>&1").c_str(), "r");
  if (pipe == nullptr) return ran;
  std::array<char, 4096> buffer{};
  for (size_t n = 1; n > 0;) {
    n = std::fread(buffer.data(), 1, buffer.size(), pipe);
    ran.output.append(buffer.data(), n);
  }
  ran.status = ::pclose(pipe);
  return ran;
}

TEST(SqliteShell, ReadsEveryTableAndView) {
  if (run("sqlite3 --version").status != 0) GTEST_SKIP() << "sqlite3 is not installed";
  const testing::TempDir dir;
  const std::string path = dir.file("a.db");
  {
    Database database = testing::open_or_die(path, Database::Mode::kWrite);
    testing::SyntheticHeap heap = testing::make_varied_heap(1000);
    heap.snapshot.usage = {{"type", "T", 1, 2, 3, 4}};
    ASSERT_TRUE(store(database, heap.snapshot));
    heap.snapshot.info.pid = 1;
    ASSERT_TRUE(store(database, heap.snapshot));
  }
  const auto shell = [&path](const std::string& sql) {
    return run("sqlite3 -batch '" + path + "' \"" + sql + "\"");
  };
  const Ran names = shell("SELECT name FROM sqlite_schema WHERE type IN ('table', 'view')");
  ASSERT_EQ(names.status, 0) << names.output;
  // The contract's tables, all of them ordinary ones but `chunk`.
  std::vector<std::string> expected = {
      "snapshot",      "module",        "region",         "thread",         "frame",
      "heap",          "type",          "site",           "site_candidate", "owner",
      "cluster",       "usage_by_type", "usage_by_owner", "usage_by_site",  "usage_by_module",
      "usage_by_size", "usage_by_heap", "process",        "oom_event",      "oom_task",
      "diagnostic",    "diff",          "suppression"};
  for (const std::string& name : expected) {
    EXPECT_NE(("\n" + names.output).find("\n" + name + "\n"), std::string::npos) << name;
  }
  std::string name;
  for (const char c : names.output) {
    if (c != '\n') {
      name += c;
      continue;
    }
    const Ran rows = shell("SELECT * FROM " + name);
    EXPECT_EQ(rows.status, 0) << name << ": " << rows.output;
    name.clear();
  }
  EXPECT_EQ(shell("SELECT count(*) FROM diff").output, "2\n");
  EXPECT_EQ(shell("PRAGMA integrity_check").output, "ok\n");
  EXPECT_EQ(
      shell("SELECT sum(chunk_count) = (SELECT sum(chunk_count) FROM chunk_block) FROM snapshot")
          .output,
      "1\n");
}

}  // namespace
}  // namespace residue
