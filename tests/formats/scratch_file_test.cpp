// Where unpacked dumps go: the folder, the space, and what is said when there is none.
#include "formats/packed/scratch_file.h"

#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <optional>

#include "gtest/gtest.h"
#include "tests/support/bytes.h"
#include "tests/support/dump_file.h"
#include "tests/support/packers.h"
#include "tests/support/sample_core.h"

namespace residue {
namespace {

using packed::ScratchFile;
using testing::open_bytes;
using testing::packer;
using testing::SampleCore;
using testing::TempDir;
using Bytes = std::vector<std::byte>;

constexpr size_t kMiB = size_t{1} << 20;

// TMPDIR as long as this lives.
class TemporaryFolder {
 public:
  explicit TemporaryFolder(const std::string& path) {
    if (const char* old = std::getenv("TMPDIR")) old_ = old;
    ::setenv("TMPDIR", path.c_str(), 1);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() {
    if (old_) {
      ::setenv("TMPDIR", old_->c_str(), 1);
    } else {
      ::unsetenv("TMPDIR");
    }
  }

 private:
  std::optional<std::string> old_;
};

// A file system of 2 MiB in memory; needs root and the right to mount.
class SmallDisk : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::mount("residue-test", folder().c_str(), "tmpfs", 0, "size=2m") != 0) {
      GTEST_SKIP() << "tmpfs cannot be mounted here: " << std::generic_category().message(errno);
    }
    mounted_ = true;
    tmpdir_.emplace(folder());
  }
  void TearDown() override {
    tmpdir_.reset();
    if (mounted_) ::umount2(folder().c_str(), MNT_DETACH);
  }
  std::string folder() const { return directory_.path(""); }
  static uint64_t free_bytes(const std::string& path) {
    return std::filesystem::space(path).available;
  }

 private:
  TempDir directory_;
  bool mounted_ = false;
  std::optional<TemporaryFolder> tmpdir_;
};

// A core with `noise` bytes that need space and `zeros` that do not.
Bytes core(size_t noise, size_t zeros) {
  SampleCore sample;
  sample.core.add_load(0x7e0000000000, testing::kReadable, testing::noise(noise, 5));
  sample.core.add_load(0x7d0000000000, testing::kReadable, Bytes(zeros));
  return sample.core.build();
}

void expect_no_space(const testing::OpenedDump& opened, const std::vector<std::string>& words) {
  ASSERT_FALSE(opened.image);
  EXPECT_EQ(opened.image.error().code, ErrorCode::kNoSpace);
  for (const std::string& word : words) {
    EXPECT_NE(opened.image.error().message.find(word), std::string::npos)
        << opened.image.error().message;
  }
}

TEST_F(SmallDisk, WhatFitsIsUnpackedAndLeavesNothing) {
  const uint64_t before = free_bytes(folder());
  {
    const auto opened = open_bytes(packer("Zstd").pack(core(kMiB, 0)));
    ASSERT_TRUE(opened.image) << to_string(opened.image.error());
    EXPECT_LT(free_bytes(folder()), before - kMiB / 2);
    EXPECT_TRUE(std::filesystem::is_empty(folder()));
  }
  EXPECT_EQ(free_bytes(folder()), before);
}

// The size is known beforehand: nothing is written.
TEST_F(SmallDisk, WhatIsAnnouncedAndDoesNotFitIsRefusedFirst) {
  const Bytes plain = core(3 * kMiB, 0);
  for (const char* name : {"ZstdSized", "Lz4Sized", "Xz", "Gzip"}) {
    SCOPED_TRACE(name);
    const auto opened = open_bytes(packer(name).pack(plain));
    expect_no_space(opened,
                    {"unpacks to " + std::to_string(plain.size()) +
                         " bytes and does not fit: " + folder() + " has 2097152 bytes free",
                     "of which 104857 stay in reserve", "set TMPDIR to a folder with more space"});
  }
}

TEST_F(SmallDisk, WhatGrowsBeyondTheSpaceIsStopped) {
  const uint64_t before = free_bytes(folder());
  for (const char* name : {"Zstd", "Lz4", "Lz4Legacy", "Bzip2"}) {
    SCOPED_TRACE(name);
    const auto opened = open_bytes(packer(name).pack(core(3 * kMiB, 0)));
    expect_no_space(opened, {"does not fit when unpacked, 1048576 bytes of it were there: ",
                             folder() + " has ", "set TMPDIR to a folder with more space"});
    EXPECT_EQ(free_bytes(folder()), before);
  }
}

// 64 MiB of zeros need no space, whether the size is known or not.
TEST_F(SmallDisk, ZerosBecomeHoles) {
  for (const char* name : {"ZstdSized", "Zstd", "Lz4", "Xz", "Gzip", "Bzip2"}) {
    SCOPED_TRACE(name);
    const Bytes plain = core(kMiB, 64 * kMiB);
    const auto opened = open_bytes(packer(name).pack(plain));
    ASSERT_TRUE(opened.image) << to_string(opened.image.error());
    EXPECT_EQ(opened.image->unpacked_bytes, plain.size());
    EXPECT_FALSE(opened.image->holes.empty());
    EXPECT_FALSE(opened.diagnostics.has_damage());
  }
}

// A file system that has no nameless files (squashfs, overlays of old kernels) takes mkstemp's way;
// what tmpfs cannot show is covered by its result: no name is left behind either way.
TEST(ScratchFile, LeavesNoNameBehind) {
  const TempDir directory;
  const TemporaryFolder tmpdir(directory.path(""));
  auto file = ScratchFile::create();
  ASSERT_TRUE(file) << to_string(file.error());
  ASSERT_TRUE(file->append(testing::pattern(1000, 1)));
  EXPECT_TRUE(std::filesystem::is_empty(directory.path("")));
}

TEST(ScratchFile, ReadsBackWhatWasAppended) {
  auto file = ScratchFile::create();
  ASSERT_TRUE(file) << to_string(file.error());
  Bytes all;
  for (const size_t zeros : {size_t{0}, kMiB, 3 * ScratchFile::kBlock, size_t{100}}) {
    Bytes piece = testing::noise(2 * ScratchFile::kBlock, zeros);
    piece.resize(piece.size() + zeros);
    ASSERT_TRUE(file->append(piece));
    all.insert(all.end(), piece.begin(), piece.end());
  }
  EXPECT_EQ(file->size(), all.size());
  const auto mapped = file->map("some/path");
  ASSERT_TRUE(mapped) << to_string(mapped.error());
  EXPECT_EQ(mapped->path(), "some/path");
  EXPECT_TRUE(std::equal(all.begin(), all.end(), mapped->bytes().begin(), mapped->bytes().end()));
}

TEST(ScratchFile, CountsDataAsItWritesIt) {
  Bytes bytes(10 * ScratchFile::kBlock + 5);
  EXPECT_EQ(packed::bytes_of_data(bytes), 0U);
  bytes[3 * ScratchFile::kBlock + 7] = std::byte{1};
  EXPECT_EQ(packed::bytes_of_data(bytes), ScratchFile::kBlock);
  bytes.back() = std::byte{1};
  EXPECT_EQ(packed::bytes_of_data(bytes), ScratchFile::kBlock + 5);
  EXPECT_EQ(packed::bytes_of_data({}), 0U);
}

TEST(ScratchFile, AMissingFolderIsNamed) {
  const TemporaryFolder tmpdir("/nonexistent/residue");
  expect_no_space(open_bytes(packer("Zstd").pack(core(1000, 0))),
                  {"no temporary file can be made in /nonexistent/residue (No such file or "
                   "directory), which TMPDIR names"});
}

TEST(ScratchFile, AFolderThatMayNotBeWrittenIsNamed) {
  if (::geteuid() == 0) GTEST_SKIP() << "root may write everywhere";
  const TempDir directory;
  ASSERT_EQ(::chmod(directory.path("").c_str(), 0500), 0);
  const TemporaryFolder tmpdir(directory.path(""));
  expect_no_space(open_bytes(packer("Zstd").pack(core(1000, 0))),
                  {"no temporary file can be made in " + directory.path(""), "Permission denied"});
}

TEST(ScratchFile, AFileIsNoFolder) {
  const TempDir directory;
  const TemporaryFolder tmpdir(directory.write("file", {}));
  expect_no_space(open_bytes(packer("Zstd").pack(core(1000, 0))), {"Not a directory"});
}

// Writing beyond RLIMIT_FSIZE would end the process with SIGXFSZ.
TEST(ScratchFile, TheLimitOfFileSizesIsRespected) {
  const Bytes packed = packer("Zstd").pack(core(3 * kMiB, 0));
  const testing::MemoryFile file(packed);
  struct rlimit old {};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &old), 0);
  struct rlimit small = old;
  small.rlim_cur = kMiB;
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  testing::OpenedDump opened;
  opened.image = open_dump(file.path(), {}, opened.diagnostics);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &old), 0);
  expect_no_space(opened, {"unpacks to more than the 1048576 bytes", "ulimit -f"});
}

}  // namespace
}  // namespace residue
