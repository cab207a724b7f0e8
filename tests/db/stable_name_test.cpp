// Names without addresses, thread ids and versions; and the comparison by these names.
#include "db/stable_name.h"

#include <gtest/gtest.h>

#include "db/store.h"
#include "tests/db/support.h"

namespace residue {
namespace {

using testing::open_or_die;
using testing::rows_of;
using testing::value_of;
using Table = std::vector<std::vector<std::string>>;

struct Case {
  const char* dimension;
  const char* key;
  const char* stable;
};

TEST(StableName, LeavesOutWhatAnotherRunOrBuildHasOtherwise) {
  const Case cases[] = {
      {"heap", "main_arena", "main_arena"},
      {"heap", "arena 0x7f1200000030", "arena"},
      {"owner", "anonymous memory at 0x7f0000001000", "anonymous memory"},
      {"owner", "stack of thread 4711", "stack of thread"},
      {"owner", "registers of thread 1", "registers of thread"},
      {"owner", "buffer in thread 4711x", "buffer in thread 4711x"},
      {"owner", "libfoo.so.1.2.3+0x40", "libfoo.so"},
      {"owner", "server+0x4040", "server"},
      {"owner", "ns::table0x12", "ns::table0x12"},
      {"owner", "/srv/data.bin", "/srv/data.bin"},
      {"type", "std::map<int, app::T*>", "std::map<int, app::T*>"},
      {"type", "class with vtable libfoo-2.1.so+0xbeef", "class with vtable libfoo.so"},
      {"type", "alloc::Vec<T>::h0123456789abcdef", "alloc::Vec<T>"},
      {"type", "alloc::h0123456789abcde", "alloc::h0123456789abcde"},
      {"type", "alloc::h0123456789abcdefg", "alloc::h0123456789abcdefg"},
      {"shape", "{A::h0123456789abcdef, 24 bytes}", "{A, 24 bytes}"},
      {"module", "libfoo.so", "libfoo.so"},
      {"module", "libfoo.so.1.2.3", "libfoo.so"},
      {"module", "libfoo-1.2.3.so", "libfoo.so"},
      {"module", "libstdc++.so.6.0.30", "libstdc++.so"},
      {"module", "ld-2.31.so", "ld.so"},
      {"module", "libfoo.so.conf", "libfoo.so.conf"},
      {"module", "libfoo.so.", "libfoo.so."},
      {"module", "libx-y.so", "libx-y.so"},
      {"module", "python3.11", "python3.11"},
      {"mapping", "/usr/lib/libfoo.so.1 (deleted)", "libfoo.so"},
      {"mapping", "anonymous, not writable", "anonymous, not writable"},
      {"region", "/dev/shm/cache", "cache"},
      {"size", "0x40", "0x40"},
      {"site", "ns::make (make.cpp:120)", "ns::make (make.cpp)"},
      {"site", "ns::make (make.cpp:120x)", "ns::make (make.cpp:120x)"},
      {"type", "a::b:120", "a::b:120"},
      {"owner", "", ""},
      {"owner", "0x", "0x"},
      {"owner", "+0x12", "+"},
      {"colour", "0x12", "0x12"},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(stable_name(c.dimension, c.key), c.stable) << c.dimension << ": " << c.key;
    EXPECT_EQ(stable_name(c.dimension, c.stable), c.stable) << "twice is as once";
  }
}

TEST(StableName, KeepsOffsetsIntoTheSameBuild) {
  const SameBuild same = [](std::string_view module) { return module == "libfoo.so.1"; };
  EXPECT_EQ(stable_name("owner", "libfoo.so.1+0x40", same), "libfoo.so+0x40");
  EXPECT_EQ(stable_name("owner", "libbar.so.1+0x40", same), "libbar.so");
}

TEST(StableName, IsAFunctionOfSql) {
  Database database = open_or_die(":memory:", Database::Mode::kWrite);
  EXPECT_EQ(rows_of(database,
                    "SELECT stable_key('heap', 'arena 0x7f0000000030'), stable_key(NULL, 'x'), "
                    "stable_key('size', 24)"),
            (Table{{"arena", "NULL", "24"}}));
}

Snapshot with(const char* source, const char* build, std::vector<UsageRow> usage) {
  Snapshot snapshot;
  snapshot.info.source = source;
  snapshot.modules.push_back({"app", "/app", "aa", Address(1), ByteCount(1), "none"});
  snapshot.modules.push_back({"libx.so.1", "/libx.so.1", build, Address(1), ByteCount(1), "none"});
  snapshot.usage = std::move(usage);
  return snapshot;
}

TEST(DiffByName, AddsUpWhatOnlyAddressesTellApart) {
  Database database = open_or_die(":memory:", Database::Mode::kWrite);
  ASSERT_TRUE(store(database, with("1", "bb",
                                   {{"heap", "arena 0x7f10", 1, 10, 1, 5},
                                    {"heap", "arena 0x7f20", 2, 20, 0, 0},
                                    {"owner", "app+0x10", 1, 1, 0, 0},
                                    {"owner", "libx.so.1+0x10", 1, 1, 0, 0},
                                    {"type", "Gone", 4, 44, 4, 44}})));
  ASSERT_TRUE(store(database, with("2", "cc",
                                   {{"heap", "arena 0x6f30", 7, 100, 1, 10},
                                    {"owner", "app+0x10", 2, 3, 0, 0},
                                    {"owner", "libx.so.1+0x20", 2, 3, 0, 0}})));
  EXPECT_EQ(rows_of(database,
                    "SELECT * FROM diff_by_name WHERE from_snapshot = 1 AND to_snapshot = 2 "
                    "ORDER BY dimension, key"),
            (Table{{"1", "2", "heap", "arena", "3", "30", "7", "100", "4", "70", "5"},
                   {"1", "2", "owner", "app+0x10", "1", "1", "2", "3", "1", "2", "0"},
                   {"1", "2", "owner", "libx.so", "1", "1", "2", "3", "1", "2", "0"},
                   {"1", "2", "type", "Gone", "4", "44", "0", "0", "-4", "-44", "-44"}}));
  EXPECT_EQ(value_of(database,
                     "SELECT count(*) FROM diff_by_name WHERE from_snapshot = 1 AND to_snapshot = "
                     "2 AND dimension = 'owner'"),
            "2");
}

}  // namespace
}  // namespace residue
