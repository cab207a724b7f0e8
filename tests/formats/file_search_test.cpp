#include "formats/file_search.h"

#include <algorithm>
#include <cstdlib>

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
TEST(FileSearch, FindsModulesByBuildId) {
  FileSearch search;
  search.symbols = {"/one"};
  search.debuginfod_cache = "/cache";
  const auto paths = search.module_candidates("", "abcdef0123", false);
  EXPECT_TRUE(has(paths, "/one/.build-id/ab/cdef0123"));
  EXPECT_TRUE(has(paths, "/cache/abcdef0123/executable"));
  EXPECT_TRUE(search.module_candidates("", "", false).empty());
  EXPECT_TRUE(search.module_candidates("", "a", false).empty());
}

// debuginfod_find_debuginfo(3), "FILES" and "ENVIRONMENT VARIABLES".
TEST(DebuginfodCache, IsWhereItsClientPutsIt) {
  ::setenv("HOME", "/nonexistent/home", 1);
  ::unsetenv("DEBUGINFOD_CACHE_PATH");
  ::unsetenv("XDG_CACHE_HOME");
  EXPECT_EQ(debuginfod_cache_directory(), "/nonexistent/home/.cache/debuginfod_client");
  ::setenv("XDG_CACHE_HOME", "/xdg", 1);
  EXPECT_EQ(debuginfod_cache_directory(), "/xdg/debuginfod_client");
  ::setenv("DEBUGINFOD_CACHE_PATH", "/given", 1);
  EXPECT_EQ(debuginfod_cache_directory(), "/given");
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
