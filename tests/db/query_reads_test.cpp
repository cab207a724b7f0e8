// What a statement reads: nothing that it could show may be missing.
#include "db/query_reads.h"

#include <gtest/gtest.h>

#include <vector>

namespace residue {
namespace {

using Reads = std::set<ColumnRead>;

Reads reads_of(std::string_view sql) {
  auto reads = columns_read(sql);
  EXPECT_TRUE(reads) << sql << ": " << (reads ? "" : to_string(reads.error()));
  return reads ? *reads : Reads();
}

ErrorCode refusal_of(std::string_view sql) {
  const auto reads = columns_read(sql);
  EXPECT_FALSE(reads) << sql;
  return reads ? ErrorCode::kInternal : reads.error().code;
}

TEST(QueryReads, ColumnsWhereverTheyStand) {
  EXPECT_EQ(reads_of("SELECT size FROM chunk WHERE state = 'used' ORDER BY address"),
            (Reads{{"chunk", "size"}, {"chunk", "state"}, {"chunk", "address"}}));
  EXPECT_EQ(reads_of("SELECT (SELECT max(pc) FROM frame) FROM heap GROUP BY name HAVING "
                     "sum(used_bytes) > 1"),
            (Reads{{"frame", "pc"}, {"heap", "name"}, {"heap", "used_bytes"}}));
  EXPECT_EQ(reads_of("WITH t AS (SELECT name AS n FROM type) SELECT n FROM t"),
            (Reads{{"type", "name"}}));
}

TEST(QueryReads, NamesInAnyCaseAndQuoting) {
  const Reads expected = {{"chunk", "retained"}};
  for (const char* sql : {"SELECT RETAINED FROM Chunk", "SELECT [retained] FROM \"chunk\"",
                          "SELECT c.`retained` FROM main.chunk AS c"}) {
    EXPECT_EQ(reads_of(sql), expected) << sql;
  }
}

TEST(QueryReads, StarIsEveryColumn) {
  const Reads reads = reads_of("SELECT * FROM chunk");
  for (const char* column :
       {"snapshot", "address", "size", "requested", "heap", "state", "reach", "type", "site",
        "site_group", "owner", "cluster", "retained", "dominator"}) {
    EXPECT_TRUE(reads.contains({"chunk", column})) << column;
  }
}

TEST(QueryReads, CountedRows) {
  EXPECT_EQ(reads_of("SELECT count(*) FROM owner"), (Reads{{"owner", ""}}));
  EXPECT_EQ(reads_of("SELECT 1 FROM chunk"), (Reads{{"chunk", ""}}));
  EXPECT_EQ(reads_of("SELECT EXISTS (SELECT 1 FROM cluster)"), (Reads{{"cluster", ""}}));
  EXPECT_EQ(reads_of("SELECT rowid FROM chunk").count({"chunk", "ROWID"}), 1U);
}

TEST(QueryReads, ViewsAreSeenThrough) {
  const Reads reads = reads_of("SELECT sum(bytes_delta) FROM diff");
  EXPECT_TRUE(reads.contains({"snapshot", "id"}));
  EXPECT_FALSE(reads.empty());
  for (const ColumnRead& read : reads) EXPECT_NE(read.table, "diff");
}

// SQLite 3.40 does not tell of them.
TEST(QueryReads, ComparedByUsingAndNatural) {
  const Reads reads = reads_of("SELECT count(*) FROM chunk JOIN cluster USING (snapshot)");
  EXPECT_TRUE(reads.contains({"chunk", "reach"}));
  EXPECT_TRUE(reads.contains({"cluster", "evidence"}));
  EXPECT_TRUE(reads_of("SELECT 1 FROM Retainers nAtUrAl JOIN \"owner\"")
                  .contains({"retainers", "retained_bytes"}));
  EXPECT_TRUE(reads_of("SELECT 1 FROM usage_by_type JOIN module USING(snapshot)")
                  .contains({"module", "symbols"}));
}

TEST(QueryReads, SeveralStatements) {
  EXPECT_EQ(reads_of("SELECT name FROM type; -- and\n SELECT kind FROM owner;"),
            (Reads{{"type", "name"}, {"owner", "kind"}}));
}

TEST(QueryReads, Pragmas) {
  EXPECT_EQ(reads_of("PRAGMA page_count"), (Reads{{"pragma_page_count", ""}}));
  EXPECT_TRUE(
      reads_of("SELECT * FROM pragma_page_count").contains({"pragma_page_count", "page_count"}));
}

TEST(QueryReads, WhatIsWrongIsKnownWithoutData) {
  for (const char* sql : {"SELEC 1", "SELECT nothing FROM chunk", "SELECT 1 FROM nowhere", "",
                          "-- only a comment", "DELETE FROM usage", "ATTACH 'x' AS y",
                          "SELECT 1; SELECT oops FROM heap", "PRAGMA user_version = 3"}) {
    EXPECT_EQ(refusal_of(sql), ErrorCode::kUsage) << sql;
  }
}

}  // namespace
}  // namespace residue
