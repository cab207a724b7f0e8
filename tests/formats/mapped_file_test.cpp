#include "formats/base/mapped_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "gtest/gtest.h"
#include "tests/support/bytes.h"
#include "tests/support/dump_file.h"

namespace residue {
namespace {

using testing::pattern;
using testing::TempDir;

TEST(MappedFile, ShowsTheFilesBytes) {
  const TempDir directory;
  const auto bytes = pattern(10000, 1);
  const std::string path = directory.write("file", bytes);
  const auto file = MappedFile::open(path);
  ASSERT_TRUE(file) << to_string(file.error());
  EXPECT_EQ(file->path(), path);
  EXPECT_TRUE(std::equal(bytes.begin(), bytes.end(), file->bytes().begin(), file->bytes().end()));
}

TEST(MappedFile, SpansSurviveMovesAndTheFilesName) {
  const TempDir directory;
  const auto bytes = pattern(5000, 2);
  const std::string path = directory.write("file", bytes);
  auto opened = MappedFile::open(path);
  ASSERT_TRUE(opened);
  const auto span = opened->bytes();
  MappedFile first = std::move(opened).value();
  MappedFile second;
  second = std::move(first);
  std::filesystem::remove(path);
  EXPECT_EQ(second.bytes().data(), span.data());
  EXPECT_TRUE(std::equal(bytes.begin(), bytes.end(), span.begin(), span.end()));
}

TEST(MappedFile, ReleasedPagesComeBack) {
  const TempDir directory;
  const auto bytes = pattern(5 * 4096 + 17, 3);
  const auto file = MappedFile::open(directory.write("file", bytes));
  ASSERT_TRUE(file);
  release_pages(file->bytes());
  release_pages(file->bytes().subspan(100, 50));
  release_pages({});
  EXPECT_TRUE(std::equal(bytes.begin(), bytes.end(), file->bytes().begin(), file->bytes().end()));
}

TEST(MappedFile, AnEmptyFileIsAnEmptyMapping) {
  const TempDir directory;
  const auto file = MappedFile::open(directory.write("empty", {}));
  ASSERT_TRUE(file) << to_string(file.error());
  EXPECT_TRUE(file->bytes().empty());
}

TEST(MappedFile, SaysThatAFileIsMissing) {
  const TempDir directory;
  const auto file = MappedFile::open(directory.path("missing"));
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().code, ErrorCode::kIo);
  EXPECT_NE(file.error().message.find("No such file"), std::string::npos) << file.error().message;
}

TEST(MappedFile, SaysThatADirectoryIsNoFile) {
  const TempDir directory;
  const auto file = MappedFile::open(directory.path(""));
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().code, ErrorCode::kIo);
  EXPECT_NE(file.error().message.find("directory"), std::string::npos) << file.error().message;
}

// A FIFO nobody writes to: opening it must not wait.
TEST(MappedFile, RefusesAFifoWithoutWaiting) {
  const TempDir directory;
  const std::string path = directory.path("fifo");
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  ::alarm(10);
  const auto file = MappedFile::open(path);
  ::alarm(0);
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().code, ErrorCode::kIo);
  EXPECT_FALSE(file.error().message.empty());
}

TEST(MappedFile, RefusesADevice) {
  const auto file = MappedFile::open("/dev/null");
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().code, ErrorCode::kIo);
}

TEST(MappedFile, SaysThatAFileMayNotBeRead) {
  if (::geteuid() == 0) GTEST_SKIP() << "root may read everything";
  const TempDir directory;
  const std::string path = directory.write("secret", pattern(10, 1));
  ASSERT_EQ(::chmod(path.c_str(), 0), 0);
  const auto file = MappedFile::open(path);
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().code, ErrorCode::kIo);
  EXPECT_NE(file.error().message.find("Permission denied"), std::string::npos);
}

}  // namespace
}  // namespace residue
