#include "formats/file_search.h"

#include <algorithm>

#include "gtest/gtest.h"

namespace residue {
namespace {

bool has(const std::vector<std::string>& paths, const std::string& path) {
  return std::find(paths.begin(), paths.end(), path) != paths.end();
}

TEST(FileSearch, TriesTheRecordedPath) {
  EXPECT_TRUE(
      has(FileSearch().module_candidates("/usr/lib/libx.so", "abcdef", false), "/usr/lib/libx.so"));
}

TEST(FileSearch, PutsTheSysrootBeforeTheRecordedPath) {
  FileSearch search;
  search.sysroot = "/sys";
  const auto paths = search.module_candidates("/usr/lib/libx.so", "abcdef", false);
  EXPECT_TRUE(has(paths, "/sys/usr/lib/libx.so"));
  EXPECT_FALSE(has(paths, "/usr/lib/libx.so"));
}

TEST(FileSearch, TakesTheGivenExecutableForTheMainProgramOnly) {
  FileSearch search;
  search.executable = "/build/program";
  EXPECT_EQ(search.module_candidates("/usr/bin/program", "", true),
            std::vector<std::string>{"/build/program"});
  EXPECT_FALSE(has(search.module_candidates("/usr/lib/libx.so", "", false), "/build/program"));
}

TEST(FileSearch, LooksIntoTheSymbolDirectoriesFirst) {
  FileSearch search;
  search.symbols = {"/one", "/two"};
  const auto paths = search.module_candidates("/usr/lib/libx.so", "abcdef", false);
  ASSERT_GE(paths.size(), 3U);
  EXPECT_EQ(paths.front().rfind("/one/", 0), 0U) << paths.front();
  EXPECT_TRUE(has(paths, "/one/libx.so"));
  EXPECT_TRUE(has(paths, "/two/libx.so"));
}

// gdb's layout: the first byte of the build-id is a folder.
TEST(FileSearch, FindsDebugFilesByBuildId) {
  FileSearch search;
  search.symbols = {"/one"};
  const auto paths = search.debug_candidates("abcdef0123");
  EXPECT_TRUE(has(paths, "/one/.build-id/ab/cdef0123.debug"));
  EXPECT_TRUE(has(FileSearch().debug_candidates("abcdef0123"),
                  "/usr/lib/debug/.build-id/ab/cdef0123.debug"));
  EXPECT_TRUE(FileSearch().debug_candidates("").empty());
  (void)FileSearch().debug_candidates("a");
}

// The build-id comes from the dump: it is hex digits and nothing that climbs out of a folder. The
// path comes from the dump too, but is only ever opened for reading and compared by build-id.
TEST(FileSearch, SurvivesOddPaths) {
  FileSearch search;
  search.sysroot = "/sys/";
  search.symbols = {"", "/one/"};
  for (const std::string path : {"", "/", "relative", "//double", "[vdso]"}) {
    (void)search.module_candidates(path, "", false);
    (void)search.module_candidates(path, "ab", true);
  }
}

}  // namespace
}  // namespace residue
