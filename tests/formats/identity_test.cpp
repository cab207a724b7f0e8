// Which dump and which process: equal for copies, different for everything else.
#include "formats/identity.h"

#include <fcntl.h>
#include <unistd.h>

#include <set>

#include "formats/base/xxh64.h"
#include "gtest/gtest.h"
#include "tests/support/bytes.h"
#include "tests/support/dump_file.h"
#include "tests/support/sample_core.h"

namespace residue {
namespace {

using testing::as_bytes;
using testing::image_of;
using testing::kReadable;
using testing::kWritable;
using testing::pattern;
using testing::SampleCore;
using testing::TempDir;

constexpr uint64_t kAuxRandom = 25;  // <linux/auxvec.h>

uint64_t sum(std::span<const std::byte> bytes, uint64_t seed = 0) {
  Xxh64 hash(seed);
  hash.add(bytes);
  return hash.sum();
}

// The bytes that xxHash's own sanity checks are made on.
std::vector<std::byte> sanity_bytes(size_t size) {
  std::vector<std::byte> bytes;
  for (uint64_t generator = 2654435761; bytes.size() < size; generator *= 11400714785074694797U) {
    bytes.push_back(static_cast<std::byte>(generator >> 56));
  }
  return bytes;
}

TEST(Xxh64, IsTheOneOfTheSpecification) {
  EXPECT_EQ(sum({}), 0xef46db3751d8e999);
  EXPECT_EQ(sum(as_bytes("a")), 0xd24ec4f1a98c6e5b);
  EXPECT_EQ(sum(as_bytes("abc")), 0x44bc2cf5ad770999);
  constexpr uint64_t kSeed = 2654435761;
  EXPECT_EQ(sum(sanity_bytes(1)), 0xe934a84adb052768);
  EXPECT_EQ(sum(sanity_bytes(4)), 0x9136a0dca57457ee);
  EXPECT_EQ(sum(sanity_bytes(14)), 0x8282dcc4994e35c8);
  EXPECT_EQ(sum(sanity_bytes(14), kSeed), 0xc3bd6bf63deb6df0);
  EXPECT_EQ(sum(sanity_bytes(222)), 0xb641ae8cb691c174);
  EXPECT_EQ(sum(sanity_bytes(222), kSeed), 0x20cb8ab7ae10c14a);
}

TEST(Xxh64, PiecesAddUpToTheWhole) {
  const auto bytes = sanity_bytes(222);
  for (size_t piece = 1; piece <= bytes.size(); ++piece) {
    Xxh64 hash;
    for (size_t at = 0; at < bytes.size(); at += piece) {
      hash.add(std::span(bytes).subspan(at, std::min(piece, bytes.size() - at)));
    }
    EXPECT_EQ(hash.sum(), sum(bytes)) << piece;
  }
}

std::string identify(const std::string& path) {
  auto file = MappedFile::open(path);
  return file ? identify_dump(*file) : "cannot be opened";
}

// A file of `size` bytes, a pattern wherever `places` say; a hole elsewhere, or zeros.
std::string make_file(const TempDir& directory, const std::string& name, off_t size,
                      const std::vector<off_t>& places, bool sparse) {
  const std::string path = directory.write(name, {});
  const int fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  EXPECT_EQ(::ftruncate(fd, size), 0);
  if (!sparse) {
    const std::vector<std::byte> zeros(size_t{1} << 20);
    for (off_t at = 0; at < size; at += static_cast<off_t>(zeros.size())) {
      const auto n = std::min(zeros.size(), static_cast<size_t>(size - at));
      EXPECT_EQ(::pwrite(fd, zeros.data(), n, at), static_cast<ssize_t>(n));
    }
  }
  const auto data = pattern(10000, 7);
  for (const off_t place : places) {
    EXPECT_EQ(::pwrite(fd, data.data(), data.size(), place), 10000);
  }
  ::fsync(fd);
  ::close(fd);
  return path;
}

TEST(DumpIdentity, EveryByteOfASmallDumpCounts) {
  const TempDir directory;
  auto bytes = pattern(300001, 1);
  const std::string whole = identify(directory.write("a", bytes));
  EXPECT_EQ(whole.size(), 16U);
  EXPECT_EQ(identify(directory.write("copy", bytes)), whole);
  std::set<std::string> seen = {whole};
  for (const size_t at : {size_t{0}, size_t{4095}, size_t{4096}, size_t{150000}, size_t{300000}}) {
    bytes[at] ^= std::byte{1};
    EXPECT_TRUE(seen.insert(identify(directory.write("b", bytes))).second) << at;
  }
  bytes.pop_back();
  EXPECT_TRUE(seen.insert(identify(directory.write("b", bytes))).second) << "size";
}

TEST(DumpIdentity, HolesAreZeros) {
  const TempDir directory;
  constexpr off_t kMiB = off_t{1} << 20;
  // One that is looked at as a whole, and one of which every fifth page is.
  for (const off_t size : {20 * kMiB + 5, 66 * kMiB + 77}) {
    const std::vector<off_t> places = {0, 3 * kMiB + 12345, 11 * kMiB, size - 100000};
    const std::string sparse = identify(make_file(directory, "sparse", size, places, true));
    EXPECT_EQ(sparse, identify(make_file(directory, "full", size, places, false))) << size;
    EXPECT_NE(sparse, identify(make_file(directory, "sparse", size, {0}, true))) << size;
  }
}

TEST(DumpIdentity, OfALargeDumpBothEndsAndPagesInBetweenCount) {
  const TempDir directory;
  constexpr off_t kMiB = off_t{1} << 20;
  constexpr off_t kSize = 2048 * kMiB + 123;
  std::set<std::string> seen = {identify(make_file(directory, "f", kSize, {}, true))};
  for (const off_t place : {off_t{0}, off_t{50000}, kSize - 60000, kSize - 10000}) {
    EXPECT_TRUE(seen.insert(identify(make_file(directory, "f", kSize, {place}, true))).second)
        << place;
  }
  // A stretch as long as the distance between two pages cannot lie between them.
  std::vector<off_t> stretch;
  for (off_t at = 0; at < off_t{540} << 10; at += 10000) stretch.push_back(1000 * kMiB + at);
  EXPECT_TRUE(seen.insert(identify(make_file(directory, "f", kSize, stretch, true))).second);
}

TEST(DumpIdentity, AnEmptyFileHasNone) {
  const TempDir directory;
  EXPECT_EQ(identify(directory.write("empty", {})), "");
}

// A core whose auxiliary vector points to `random`, in a mapping of its own.
std::string process_of(uint32_t pid, const std::vector<std::byte>& random, size_t dumped = 16) {
  constexpr uint64_t kPlace = 0x70000000;
  testing::CoreBuilder core;
  testing::CoreRegisters registers;
  core.add_thread(pid, registers).add_prpsinfo(pid, "service", "service");
  core.add_auxv(kAuxRandom, kPlace + 4096 - dumped);
  std::vector<std::byte> page(4096 - dumped);
  page.insert(page.end(), random.begin(), random.begin() + static_cast<ptrdiff_t>(dumped));
  core.add_load(kPlace, kReadable | kWritable, page);
  return image_of(core.build()).process;
}

TEST(ProcessIdentity, IsThatOfItsRandomBytesAndItsId) {
  const auto random = pattern(16, 5);
  const std::string first = process_of(4711, random);
  EXPECT_EQ(first.size(), 16U);
  EXPECT_EQ(process_of(4711, random), first);
  EXPECT_NE(process_of(4712, random), first) << "a fork";
  EXPECT_NE(process_of(4711, pattern(16, 6)), first) << "another program in its place";
}

TEST(ProcessIdentity, IsNotGuessed) {
  EXPECT_EQ(process_of(4711, std::vector<std::byte>(16)), "") << "zeros";
  EXPECT_EQ(process_of(4711, std::vector<std::byte>(16, std::byte{0xcc})), "") << "all alike";
  EXPECT_EQ(process_of(4711, pattern(16, 5), 15), "") << "not in the dump as a whole";
  EXPECT_EQ(process_of(0, pattern(16, 5)), "") << "whose process id is unknown";
  EXPECT_EQ(image_of(SampleCore().core.build()).process, "") << "without an entry";
}

}  // namespace
}  // namespace residue
