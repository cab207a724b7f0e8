// Importers that are killed, that are several, and readers beside them: what is stored is whole.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <chrono>
#include <csignal>
#include <map>
#include <random>
#include <thread>

#include "db/forget.h"
#include "db/statement.h"
#include "db/store.h"
#include "tests/db/support.h"
#include "tests/db/synthetic_snapshot.h"

namespace residue {
namespace {

using testing::open_or_die;
using testing::rows_of;
using testing::TempDir;
using testing::value_of;
using Mode = Database::Mode;

testing::SyntheticHeap dump(int number) {
  auto heap = testing::make_varied_heap(20000);
  heap.snapshot.info.source = "core." + std::to_string(number);
  for (int i = 0; i < 300; ++i) {
    heap.snapshot.usage.push_back({"type", "Type" + std::to_string(i), 1, 2, 3, 4});
  }
  return heap;
}

// All that a snapshot consists of but its name and time; all dumps above have the same.
std::string contents(Database& database, const std::string& id) {
  std::string text;
  for (const auto& table : rows_of(database,
                                   "SELECT m.name, group_concat('quote(\"' || c.name || '\")', "
                                   "' || ''|'' || ') FROM sqlite_schema m, "
                                   "pragma_table_info(m.name) c WHERE c.name <> 'snapshot' AND "
                                   "m.type IN ('table', 'view') AND m.name NOT IN ('snapshot', "
                                   "'usage_key', 'diff') GROUP BY 1")) {
    std::string sql = "SELECT ";
    sql.append(table[1]).append(" FROM ").append(table[0]).append(" WHERE snapshot = ").append(id);
    for (const auto& row : rows_of(database, sql + " ORDER BY 1")) {
      text.append(table[0]).append(" ").append(row[0]).append("\n");
    }
  }
  return text;
}

// Runs `work` in a process of its own.
template <typename Work>
pid_t start(Work&& work) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(work());
  return child;
}

int exit_code_of(pid_t child) {
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

int import(const std::string& path, const Snapshot& snapshot) {
  DatabaseOptions patient;
  patient.busy_timeout_ms = 60000;
  auto database = Database::open(path, Mode::kWrite, patient);
  if (!database) return 1;
  const auto stored = store(*database, snapshot);
  if (!stored) return 2;
  return stored->already_there ? 10 : 0;
}

class Crash : public ::testing::Test {
 protected:
  Crash() {
    const auto first = dump(0);
    const auto begin = std::chrono::steady_clock::now();
    EXPECT_EQ(import(path, first.snapshot), 0);
    import_time = std::chrono::steady_clock::now() - begin;
    Database database = open_or_die(path, Mode::kRead);
    whole = contents(database, "1");
    EXPECT_GT(whole.size(), 100000U);
  }
  // Every snapshot is as it must be, and so is the file; returns how many there are.
  int check() {
    Database database = open_or_die(path, Mode::kRead);
    EXPECT_EQ(value_of(database, "PRAGMA integrity_check"), "ok");
    const auto ids = rows_of(database, "SELECT id FROM snapshot ORDER BY id");
    for (const auto& id : ids) EXPECT_TRUE(contents(database, id[0]) == whole) << id[0];
    for (const auto& table :
         rows_of(database,
                 "SELECT m.name FROM sqlite_schema m, pragma_table_info(m.name) "
                 "c WHERE c.name = 'snapshot' AND m.type = 'table' AND "
                 "m.name <> 'snapshot'")) {
      EXPECT_EQ(value_of(database, "SELECT count(*) FROM " + table[0] +
                                       " WHERE snapshot NOT IN (SELECT id FROM snapshot)"),
                "0")
          << table[0];
    }
    return static_cast<int>(ids.size());
  }
  const TempDir dir;
  const std::string path = dir.file("a.db");
  std::string whole;
  std::chrono::steady_clock::duration import_time{};
  std::mt19937 random{7};

  // Lets the process work for up to three times as long as an import takes, and kills it.
  void kill_at_random(pid_t child) {
    std::this_thread::sleep_for(import_time * (random() % 1000) / 333);
    ::kill(child, SIGKILL);
    ASSERT_EQ(exit_code_of(child), -SIGKILL) << "it failed by itself";
  }
};

TEST_F(Crash, ImportsKilledAtAnyMomentLoseNothing) {
  auto heap = dump(0);
  int before = 1, more = 0;
  for (int round = 0; round < 15; ++round) {
    const pid_t child = start([&] {
      for (int i = 0;; ++i) {
        heap.snapshot.info.source = "core." + std::to_string(1000 * (round + 1) + i);
        if (import(path, heap.snapshot) != 0) return 1;
      }
      return 0;
    });
    kill_at_random(child);
    const int after = check();
    EXPECT_GE(after, before);
    more += after > before ? 1 : 0;
    before = after;
    if (after > 6) {  // so that checking stays quick
      Database database = open_or_die(path, Mode::kWrite);
      ForgetRules rules;
      rules.keep_last = 1;
      ASSERT_TRUE(forget(database, rules));
      before = 1;
    }
  }
  EXPECT_GT(more, 1) << "no import got as far as to be killed in its end";
  EXPECT_EQ(import(path, dump(-1).snapshot), 0);
}

TEST_F(Crash, ReplacingAndForgettingKilledAtAnyMoment) {
  for (int i = 1; i < 4; ++i) ASSERT_EQ(import(path, dump(i).snapshot), 0);
  auto heap = dump(0);
  for (int round = 0; round < 12; ++round) {
    const pid_t child = start([&] {
      for (int i = 0;; ++i) {
        auto database = Database::open(path, Mode::kWrite);
        StoreOptions options;
        options.replace = true;
        heap.snapshot.info.source = "core." + std::to_string(i % 4);
        if (!database || !store(*database, heap.snapshot, options)) return 1;
        ForgetRules rules;
        rules.keep_last = 3;
        if (!forget(*database, rules)) return 2;
      }
      return 0;
    });
    kill_at_random(child);
    const int there = check();
    EXPECT_TRUE(there == 3 || there == 4) << there;
  }
}

TEST_F(Crash, SeveralImportersOfOneDumpMakeOneSnapshot) {
  const auto same = dump(5);
  std::vector<pid_t> children;
  for (int i = 0; i < 6; ++i) {
    children.push_back(start([&] { return import(path, same.snapshot); }));
  }
  std::map<int, int> codes;
  for (const pid_t child : children) ++codes[exit_code_of(child)];
  EXPECT_EQ(codes, (std::map<int, int>{{0, 1}, {10, 5}}));
  EXPECT_EQ(check(), 2);
}

TEST_F(Crash, SeveralImportersOfSeveralDumps) {
  std::vector<pid_t> children;
  for (int i = 1; i <= 4; ++i) {
    children.push_back(start([&] {
      for (int k = 0; k < 2; ++k) {
        if (import(path, dump(10 * i + k).snapshot) != 0) return 1;
      }
      return 0;
    }));
  }
  for (const pid_t child : children) EXPECT_EQ(exit_code_of(child), 0);
  EXPECT_EQ(check(), 9);
}

TEST_F(Crash, AReaderBesideAnImporterSeesWholeSnapshots) {
  const pid_t child = start([&] {
    for (int i = 1; i <= 8; ++i) {
      if (import(path, dump(i).snapshot) != 0) return 1;
    }
    return 0;
  });
  int status = 0;
  int looks = 0;
  size_t seen = 1;
  while (::waitpid(child, &status, WNOHANG) == 0) {
    Database database = open_or_die(path, Mode::kRead);
    const auto rows = rows_of(database,
                              "SELECT s.id, s.chunk_count, (SELECT count(*) FROM chunk c WHERE "
                              "c.snapshot = s.id), (SELECT count(*) FROM usage u WHERE "
                              "u.snapshot = s.id) FROM snapshot s");
    for (const auto& row : rows) {
      EXPECT_EQ(row[1], row[2]);
      EXPECT_EQ(row[3], "300");
    }
    EXPECT_GE(rows.size(), seen);
    seen = rows.size();
    ++looks;
  }
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  EXPECT_GT(looks, 2);
  EXPECT_EQ(check(), 9);
}

}  // namespace
}  // namespace residue
