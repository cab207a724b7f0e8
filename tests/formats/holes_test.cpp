// Holes of sparse files: found when a file is mapped, left out of scans, zeros all the same.
#include "formats/base/holes.h"

#include <fcntl.h>
#include <unistd.h>

#include <utility>

#include "formats/base/mapped_file.h"
#include "gtest/gtest.h"
#include "tests/support/bytes.h"
#include "tests/support/dump_file.h"

namespace residue {
namespace {

using Parts = std::vector<std::pair<size_t, size_t>>;
using testing::pattern;
using testing::TempDir;

constexpr size_t kBlock = size_t{64} << 10;

// A file of `size` bytes with 4 KiB of data at each of `places`.
std::string sparse_file(const TempDir& directory, off_t size, const std::vector<off_t>& places) {
  const std::string path = directory.write("sparse", {});
  const int fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  const auto data = pattern(4096, 3);
  for (const off_t place : places) {
    EXPECT_EQ(::pwrite(fd, data.data(), data.size(), place), 4096);
  }
  EXPECT_EQ(::ftruncate(fd, size), 0);
  ::fsync(fd);
  ::close(fd);
  return path;
}

Parts parts_of(const Holes& holes, std::span<const std::byte> bytes) {
  Parts parts;
  holes.for_each_data(bytes, [&](size_t from, size_t until) { parts.emplace_back(from, until); });
  return parts;
}

class Memory : public ::testing::Test {
 protected:
  // Holes at these positions of `memory`.
  Holes holes(const Parts& ranges) const {
    std::vector<std::span<const std::byte>> spans;
    for (const auto& [from, until] : ranges) spans.push_back(bytes().subspan(from, until - from));
    Holes result;
    result.add(spans);
    return result;
  }
  std::span<const std::byte> bytes() const { return memory_; }

 private:
  std::vector<std::byte> memory_ = std::vector<std::byte>(10 * kBlock);
};

TEST_F(Memory, WithoutHolesIsOnePart) {
  EXPECT_EQ(parts_of({}, bytes()), (Parts{{0, 10 * kBlock}}));
  EXPECT_EQ(parts_of({}, {}), Parts());
  EXPECT_EQ(parts_of(holes({{0, kBlock}}), bytes().subspan(2 * kBlock)), (Parts{{0, 8 * kBlock}}));
}

TEST_F(Memory, PartsAreWhatIsBetweenHoles) {
  const Holes h = holes({{0, kBlock}, {3 * kBlock, 5 * kBlock}, {9 * kBlock, 10 * kBlock}});
  EXPECT_EQ(parts_of(h, bytes()), (Parts{{kBlock, 3 * kBlock}, {5 * kBlock, 9 * kBlock}}));
  EXPECT_EQ(parts_of(h, bytes().subspan(kBlock, 2 * kBlock)), (Parts{{0, 2 * kBlock}}));
  EXPECT_EQ(parts_of(h, bytes().subspan(3 * kBlock, kBlock)), Parts());
  EXPECT_EQ(parts_of(h, bytes().subspan(3 * kBlock, 3 * kBlock)),
            (Parts{{2 * kBlock, 3 * kBlock}}));
}

// Memory need not be aligned in the file as it was in the process.
TEST_F(Memory, PartsAreWidenedToTheGrainOfWhatIsLookedAt) {
  const Holes h = holes({{kBlock, 3 * kBlock}});
  const auto odd = bytes().subspan(kBlock - 100);
  EXPECT_EQ(parts_of(h, odd), (Parts{{0, 128}, {(100 + 2 * kBlock) / 64 * 64, 9 * kBlock + 100}}));
}

TEST_F(Memory, SkippingGoesToTheEndOfTheHole) {
  const Holes h = holes({{kBlock, 3 * kBlock}, {8 * kBlock, 10 * kBlock}});
  EXPECT_EQ(h.skip(bytes(), 0), 0U);
  EXPECT_EQ(h.skip(bytes(), kBlock), 3 * kBlock);
  EXPECT_EQ(h.skip(bytes(), 2 * kBlock + 64), 3 * kBlock);
  EXPECT_EQ(h.skip(bytes(), 3 * kBlock), 3 * kBlock);
  EXPECT_EQ(h.skip(bytes(), 9 * kBlock), 10 * kBlock);
  EXPECT_EQ(h.skip(bytes(), 11 * kBlock), 10 * kBlock);
}

TEST_F(Memory, HolesOfSeveralFilesStandTogether) {
  Holes h = holes({{5 * kBlock, 6 * kBlock}});
  const std::vector<std::span<const std::byte>> more = {bytes().subspan(kBlock, kBlock)};
  h.add(more);
  EXPECT_EQ(parts_of(h, bytes()),
            (Parts{{0, kBlock}, {2 * kBlock, 5 * kBlock}, {6 * kBlock, 10 * kBlock}}));
}

// Every byte that is not zero is in some part, wherever the holes and the bytes begin.
TEST_F(Memory, NoDataIsEverLeftOut) {
  for (size_t start = 0; start < 300; start += 7) {
    const Holes h = holes({{kBlock + start, 2 * kBlock + 3 * start}, {4 * kBlock, 7 * kBlock}});
    const auto looked_at = bytes().subspan(start / 2, 9 * kBlock);
    std::vector<bool> seen(looked_at.size());
    for (const auto& [from, until] : parts_of(h, looked_at)) {
      EXPECT_EQ(from % Holes::kGrain, 0U);
      EXPECT_LT(from, until);
      for (size_t i = from; i < until; ++i) seen[i] = true;
    }
    for (size_t i = 0; i < seen.size(); ++i) {
      const size_t at = i + start / 2;
      const bool hole = (at >= kBlock + start && at < 2 * kBlock + 3 * start) ||
                        (at >= 4 * kBlock && at < 7 * kBlock);
      ASSERT_TRUE(seen[i] || hole) << at;
    }
  }
}

TEST(SparseFile, ItsHolesAreFoundAndReadAsZeros) {
  const TempDir directory;
  const auto file =
      MappedFile::open(sparse_file(directory, off_t{1} << 30, {off_t{1} << 20, off_t{512} << 20}));
  ASSERT_TRUE(file) << to_string(file.error());
  if (file->holes().empty()) GTEST_SKIP() << "the file system does not tell holes";
  Holes holes;
  holes.add(file->holes());
  const Parts parts = parts_of(holes, file->bytes());
  ASSERT_EQ(parts.size(), 2U);
  // File systems may count whole blocks of theirs as data.
  EXPECT_LE(parts[0].first, size_t{1} << 20);
  EXPECT_GE(parts[0].second, (size_t{1} << 20) + 4096);
  EXPECT_LE(parts[0].second - parts[0].first, size_t{1} << 20);
  EXPECT_LE(parts[1].first, size_t{512} << 20);
  EXPECT_GE(parts[1].second, (size_t{512} << 20) + 4096);
  EXPECT_EQ(file->bytes()[parts[0].second], std::byte{0});
}

TEST(SparseFile, NothingButAHole) {
  const TempDir directory;
  const auto file = MappedFile::open(sparse_file(directory, off_t{100} << 30, {}));
  ASSERT_TRUE(file) << to_string(file.error());
  EXPECT_EQ(file->bytes().size(), size_t{100} << 30);
  if (file->holes().empty()) GTEST_SKIP() << "the file system does not tell holes";
  Holes holes;
  holes.add(file->holes());
  EXPECT_EQ(parts_of(holes, file->bytes()), Parts());
}

TEST(SparseFile, AWholeFileHasNone) {
  const TempDir directory;
  const auto file = MappedFile::open(directory.write("whole", pattern(300000, 1)));
  ASSERT_TRUE(file);
  EXPECT_TRUE(file->holes().empty());
}

}  // namespace
}  // namespace residue
