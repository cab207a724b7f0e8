#include "cli/progress.h"

#include <sstream>
#include <utility>

#include "gtest/gtest.h"

namespace residue {
namespace {

using std::chrono::milliseconds;

// What one line shows after the last time it was cleared.
std::string last_line(const std::ostringstream& err) {
  const std::string clear = "\r\x1b[K";
  const std::string text = err.str();
  const auto at = text.rfind(clear);
  return at == std::string::npos ? text : text.substr(at + clear.size());
}

TEST(Progress, StagesAndBarsLookAlike) {
  std::ostringstream err;
  Progress progress(err, true, "some/folder/core.zst", milliseconds(0));
  progress.stage("walking heaps");
  EXPECT_EQ(last_line(err), "core.zst: walking heaps …");
  progress.bar("unpacking", 50, 100);
  EXPECT_EQ(last_line(err), "core.zst: unpacking [==========>         ]  50 %");
}

TEST(Progress, ABarGoesFromEmptyToFull) {
  for (const auto& [done, shown] :
       {std::pair<uint64_t, std::string>{0, "core: unpacking [>                   ]   0 %"},
        {99, "core: unpacking [===================>]  99 %"},
        {100, "core: unpacking [====================] 100 %"},
        {700, "core: unpacking [====================] 100 %"}}) {
    std::ostringstream err;
    Progress progress(err, true, "core", milliseconds(0));
    progress.bar("unpacking", done, 100);
    EXPECT_EQ(last_line(err), shown);
  }
}

TEST(Progress, IsNotDrawnMoreOftenThanAnEyeSees) {
  std::ostringstream err;
  Progress progress(err, true, "core", milliseconds(0));
  for (uint64_t i = 0; i < 1000; ++i) progress.bar("unpacking", i, 1000);
  EXPECT_LT(err.str().size(), 500U);
}

TEST(Progress, WaitsBeforeItShows) {
  std::ostringstream err;
  Progress progress(err, true, "core", std::chrono::hours(1));
  progress.stage("walking heaps");
  progress.bar("unpacking", 1, 2);
  EXPECT_EQ(err.str(), "");
}

TEST(Progress, SaysNothingUnlessWanted) {
  std::ostringstream err;
  {
    Progress progress(err, false, "core", milliseconds(0));
    progress.stage("walking heaps");
    progress.bar("unpacking", 1, 2);
  }
  EXPECT_EQ(err.str(), "");
}

TEST(Progress, LeavesAnEmptyLine) {
  std::ostringstream err;
  {
    Progress progress(err, true, "core", milliseconds(0));
    progress.stage("walking heaps");
  }
  EXPECT_EQ(last_line(err), "");
}

TEST(Progress, NamesAreShortAndSafe) {
  std::ostringstream err;
  Progress progress(err, true, std::string(100, 'x') + "\x1b[31m", milliseconds(0));
  progress.stage("walking heaps");
  EXPECT_LT(last_line(err).size(), 60U);
  EXPECT_EQ(last_line(err).find('\x1b'), std::string::npos);
}

}  // namespace
}  // namespace residue
