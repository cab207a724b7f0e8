// Large cores: many segments, much address space, many modules. Opening looks at headers, notes and
// the first bytes of mappings, and at nothing else.
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <fstream>

#include "gtest/gtest.h"
#include "tests/support/bytes.h"
#include "tests/support/core_builder.h"
#include "tests/support/dump_file.h"
#include "tests/support/image_laws.h"
#include "tests/support/module_builder.h"

namespace residue {
namespace {

using testing::CoreBuilder;
using testing::kReadable;
using testing::kWritable;
using testing::ModuleBuilder;
using testing::open_bytes;

constexpr uint32_t kRw = kReadable | kWritable;
constexpr uint64_t kPage = 0x1000;

// A real file with more segments than e_phnum can say.
TEST(ElfScale, MoreThan65535SegmentsAreRead) {
  constexpr uint64_t kSegments = 70000;
  CoreBuilder core;
  core.add_thread(1, {}).compact().extended_numbering();
  for (uint64_t i = 0; i < kSegments; ++i) {
    core.add_load(0x10000000 + i * 2 * kPage, kRw, testing::pattern(8, i), kPage);
  }
  const testing::TempDir directory;
  const std::string path = directory.write("core", core.build());
  Diagnostics diagnostics;
  const auto image = open_dump(path, {}, diagnostics);
  ASSERT_TRUE(image) << to_string(image.error());
  EXPECT_TRUE(image->complete);
  EXPECT_FALSE(diagnostics.has_damage()) << testing::to_text(diagnostics);
  EXPECT_EQ(image->regions.size(), 2 * kSegments);  // each has a dumped and an absent part
  const uint64_t last = kSegments - 1;
  const auto bytes = image->view(Address(0x10000000 + last * 2 * kPage), 8);
  const auto expected = testing::pattern(8, last);
  EXPECT_TRUE(std::equal(bytes.begin(), bytes.end(), expected.begin(), expected.end()));
}

// How many bytes of the file this process has in memory.
uint64_t resident(std::span<const std::byte> bytes) {
  std::vector<unsigned char> pages((bytes.size() + kPage - 1) / kPage);
  if (::mincore(const_cast<std::byte*>(bytes.data()), bytes.size(), pages.data()) != 0) {
    throw std::runtime_error("mincore");
  }
  uint64_t count = 0;
  for (const unsigned char p : pages) count += p & 1;
  return count * kPage;
}

// 100 GiB of address space in four mappings, of which the file holds a page each: a sparse file, as
// the kernel writes it.
TEST(ElfScale, SparseFilesAreNotReadThroughTheirHoles) {
  constexpr uint64_t kMapping = uint64_t{25} << 30;
  CoreBuilder core;
  core.add_thread(1, {}).add_prpsinfo(1, "p", "p").add_auxv(testing::kAuxPageSize, kPage);
  for (uint64_t i = 0; i < 4; ++i) {
    core.add_load(0x100000000000 + i * 2 * kMapping, kRw, testing::pattern(kPage, i), kPage);
  }
  auto bytes = core.build();
  const uint64_t memory = core.layout().memory;
  for (uint64_t i = 0; i < 4; ++i) {
    const size_t header = 64 + 56 * (i + 1);
    testing::poke<uint64_t>(&bytes, header + 8, memory + i * kMapping);  // p_offset
    testing::poke<uint64_t>(&bytes, header + 32, kMapping);              // p_filesz
    testing::poke<uint64_t>(&bytes, header + 40, kMapping);              // p_memsz
  }
  const testing::TempDir directory;
  const std::string path = directory.path("core");
  {
    std::ofstream out(path, std::ios::binary);
    const auto write = [&](uint64_t at, std::span<const std::byte> part) {
      out.seekp(static_cast<std::streamoff>(at));
      out.write(static_cast<const char*>(static_cast<const void*>(part.data())),
                static_cast<std::streamsize>(part.size()));
    };
    write(0, std::span(bytes).first(memory));
    for (uint64_t i = 0; i < 4; ++i) write(memory + i * kMapping, testing::pattern(kPage, i));
  }
  if (::truncate(path.c_str(), static_cast<off_t>(memory + 4 * kMapping)) != 0) {
    GTEST_SKIP() << "the file system of the temporary folder takes no file of 100 GiB";
  }
  Diagnostics diagnostics;
  const auto image = open_dump(path, {}, diagnostics);
  ASSERT_TRUE(image) << to_string(image.error());
  EXPECT_TRUE(image->complete);
  EXPECT_FALSE(diagnostics.has_damage()) << testing::to_text(diagnostics);
  ASSERT_EQ(image->regions.size(), 4U);
  uint64_t mapped = 0;
  for (const Region& r : image->regions) mapped += r.bytes.size();
  EXPECT_EQ(mapped, 4 * kMapping);
  EXPECT_EQ(image->value<uint8_t>(image->regions[3].range.base),
            std::to_integer<uint8_t>(testing::pattern(1, 3)[0]));
  // The page that was written, and what the kernel reads ahead; the rest has never been touched.
  for (const Region& r : image->regions) EXPECT_LE(resident(r.bytes), uint64_t{2} << 20);
}

template <typename F>
double seconds(F&& f) {
  const auto begin = std::chrono::steady_clock::now();
  f();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

// Modules whose headers are in the dump, at `count` places.
std::vector<std::byte> core_of_modules(uint64_t count) {
  const ModuleBuilder module(1);
  auto page = module.build();
  page.resize(kPage);
  CoreBuilder core;
  core.add_thread(1, {}).compact().extended_numbering();
  for (uint64_t i = 0; i < count; ++i) {
    const uint64_t base = 0x10000000 + i * 0x10000;
    const std::string path = "/nonexistent/lib" + std::to_string(i) + ".so";
    core.add_file_mapping(base, base + kPage, 0, path);
    core.add_load(base, kReadable, page, kPage);
    core.add_file_mapping(base + ModuleBuilder::kData, base + ModuleBuilder::kBss, 0x4000, path);
    core.add_load(base + ModuleBuilder::kData, kRw, testing::pattern(8, i), 2 * kPage);
  }
  return core.build();
}

// Four times the modules take little more than four times as long: quadratic work would take
// sixteen times.
TEST(ElfScale, ManyModulesTakeTimeInProportion) {
  const auto few = core_of_modules(2500), many = core_of_modules(10000);
  const auto open = [](const std::vector<std::byte>& bytes, size_t modules) {
    const auto opened = open_bytes(bytes);
    ASSERT_TRUE(opened.image);
    EXPECT_EQ(opened.image->modules.size(), modules);
    for (const size_t i : {size_t{0}, modules - 1}) {
      const Module& module = opened.image->modules[i];
      EXPECT_EQ(opened.image->module_of(module.range.base + ByteCount(ModuleBuilder::kData + 8)),
                &module);
    }
  };
  double small = 1e9, large = 1e9;
  for (int n = 0; n < 5; ++n) {
    small = std::min(small, seconds([&] { open(few, 2500); }));
    large = std::min(large, seconds([&] { open(many, 10000); }));
  }
  EXPECT_LT(large, 10 * small + 0.02);
}

// Notes of zeros up to a last byte that is none: each is a note without name and bytes.
TEST(ElfScale, NotesOfZerosTakeTimeInProportion) {
  CoreBuilder core;
  core.add_thread(1, {}).add_note(0, "", {});
  core.add_load(0x10000, kRw, testing::pattern(16, 1), kPage);
  auto bytes = core.build();
  const uint64_t notes = bytes.size();
  bytes.resize(bytes.size() + (size_t{8} << 20));
  bytes.back() = std::byte{1};
  testing::poke<uint64_t>(&bytes, 64 + 8, notes);               // PT_NOTE: p_offset
  testing::poke<uint64_t>(&bytes, 64 + 32, uint64_t{8} << 20);  // p_filesz
  EXPECT_LT(seconds([&] { EXPECT_TRUE(open_bytes(bytes).image); }), 5.0);
}

}  // namespace
}  // namespace residue
