// What SQL makes an analysis do. That nothing is missing is checked against whole analyses by
// tests/e2e/demand_test.py; here it is that nothing superfluous is done.
#include "cli/demand.h"

#include <gtest/gtest.h>

namespace residue {
namespace {

Wanted wanted_or_all(std::string_view sql) {
  auto wanted = wanted_by(sql);
  EXPECT_TRUE(wanted) << sql << ": " << (wanted ? "" : to_string(wanted.error()));
  return wanted ? *wanted : Wanted();
}

constexpr Wanted only(bool Wanted::*part) {
  Wanted wanted = Wanted::nothing();
  wanted.*part = true;
  return wanted;
}

TEST(Demand, WhatOpeningADumpTells) {
  for (const char* sql :
       {"SELECT 1", "SELECT pid, executable FROM snapshot", "SELECT * FROM thread",
        "SELECT name, base FROM module", "SELECT start, size, perms, name FROM region",
        "SELECT name FROM sqlite_schema", "PRAGMA table_info(chunk)"}) {
    EXPECT_EQ(wanted_or_all(sql), Wanted::nothing()) << sql;
  }
}

TEST(Demand, HeapsAlone) {
  for (const char* sql :
       {"SELECT count(*), sum(size) FROM chunk WHERE state = 'used'", "SELECT count(*) FROM chunk",
        "SELECT max(requested) FROM chunk WHERE address > 4096", "SELECT name, verified FROM heap",
        "SELECT kind FROM region", "SELECT chunk_count FROM snapshot",
        "SELECT h.name, count(*) FROM chunk c JOIN heap h ON h.id = c.heap GROUP BY 1"}) {
    EXPECT_EQ(wanted_or_all(sql), only(&Wanted::heaps)) << sql;
  }
}

TEST(Demand, EachStageByItself) {
  EXPECT_EQ(wanted_or_all("SELECT * FROM frame"), only(&Wanted::frames));
  EXPECT_EQ(wanted_or_all("SELECT symbols FROM module"), only(&Wanted::symbols));
  EXPECT_EQ(wanted_or_all("SELECT count(type) FROM chunk"), only(&Wanted::references));
  EXPECT_EQ(wanted_or_all("SELECT name FROM owner"), only(&Wanted::reach));
  EXPECT_EQ(wanted_or_all("SELECT count(*) FROM cluster"), only(&Wanted::leaks));
  EXPECT_EQ(wanted_or_all("SELECT key FROM usage_by_type"), only(&Wanted::usage));
  EXPECT_EQ(wanted_or_all("SELECT max(retained_bytes) FROM suspect"), only(&Wanted::retained));
  EXPECT_EQ(wanted_or_all("SELECT free_pages FROM heap"), only(&Wanted::account));
  EXPECT_EQ(wanted_or_all("SELECT rss FROM memory"), only(&Wanted::memory));
  EXPECT_EQ(wanted_or_all("SELECT text FROM duplicate"), only(&Wanted::duplicates));
}

TEST(Demand, SumsOfSeveralTables) {
  Wanted both = only(&Wanted::frames);
  both.add(only(&Wanted::heaps));
  EXPECT_NE(both, only(&Wanted::frames));
  EXPECT_EQ(wanted_or_all("SELECT count(*) FROM frame; SELECT count(*) FROM heap"), both);
}

TEST(Demand, WhatIsNotKnownIsEverything) {
  EXPECT_EQ(wanted_for({{"diagnostic", "message"}}), Wanted());
  EXPECT_EQ(wanted_for({{"chunk", "a column of later"}}), Wanted());
  EXPECT_EQ(wanted_for({{"heap", "name"}, {"a table of later", ""}}), Wanted());
}

TEST(Demand, StagesNeedTheOnesBefore) {
  const Wanted retained = only(&Wanted::retained).completed();
  EXPECT_TRUE(retained.leaks && retained.reach && retained.references && retained.heaps);
  EXPECT_FALSE(retained.frames || retained.usage || retained.duplicates);
  EXPECT_EQ(only(&Wanted::frames).completed(), only(&Wanted::frames));
  EXPECT_EQ(Wanted().completed(), Wanted());
}

}  // namespace
}  // namespace residue
