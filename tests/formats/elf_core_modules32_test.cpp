// Modules of cores of other widths and orders, and of cores that do not list the mapped files.
#include <algorithm>

#include "gtest/gtest.h"
#include "tests/support/abi_core.h"
#include "tests/support/core_builder.h"
#include "tests/support/dump_file.h"
#include "tests/support/image_laws.h"
#include "tests/support/module_builder.h"

namespace residue {
namespace {

using testing::Abi;
using testing::AbiBytes;
using testing::AbiCore;
using testing::AbiSegment;
using testing::open_bytes;

constexpr Abi kArm = {40, false, false, 0}, kPpc = {20, false, true, 0};
constexpr Abi kAmd64 = {62, true, false, 0}, kS390x = {22, true, true, 0};
constexpr Abi kMips = {8, false, true, 0x1000};
constexpr uint64_t kPage = 0x1000, kData = 0x2000;  // the data's address in a module
constexpr uint64_t kProgram = 0x400000, kLibrary = 0x40000000, kOther = 0x50000000;
constexpr uint32_t kReadExecute = 5, kReadWrite = 6;
constexpr uint16_t kExec = 2, kDyn = 3;

// The segments of a module whose file is two pages: headers with text, and data.
std::vector<AbiSegment> segments_of(uint64_t link_address) {
  const uint64_t v = link_address;
  return {{6, 4, 52, v + 52, 0x100, 0x100},  // PT_PHDR; corrected by text_page()
          {1, kReadExecute, 0, v, kPage, kPage},
          {1, kReadWrite, kPage, v + kData, kPage, kPage + 0x800},
          {2, kReadWrite, kPage + 0x100, v + kData + 0x100, 0x100, 0x100},  // PT_DYNAMIC
          {4, 4, 0x800, v + 0x800, 24, 24},                                 // PT_NOTE
          {7, 4, kPage, v + kData, 0x10, 0x40},                             // PT_TLS
          {0x6474e550, 4, 0x900, v + 0x900, 0x2c, 0x2c},                    // PT_GNU_EH_FRAME
          {0x70000001, 4, 0xa00, v + 0xa00, 0x18, 0x18}};                   // PT_ARM_EXIDX
}

uint64_t header_size(const Abi& abi) { return abi.is_64 ? 64 : 52; }

std::vector<std::byte> text_page(const Abi& abi, uint16_t type, uint64_t link_address,
                                 bool has_dynamic = true) {
  auto segments = segments_of(link_address);
  segments[0].offset = header_size(abi);
  segments[0].vaddr = link_address + header_size(abi);
  if (!has_dynamic) segments[3].type = 0;  // PT_NULL
  AbiBytes out(abi);
  out.bytes(abi_elf(abi, type, segments)).pad_to(0x800);
  out.bytes(abi_note(abi, "GNU", 3, {std::byte{0xab}, std::byte{0xcd}, std::byte{0xef}}));
  return out.pad_to(kPage).data();
}

// DT_STRTAB and DT_DEBUG at 0x100 of the data.
std::vector<std::byte> data_page(const Abi& abi, uint64_t r_debug) {
  AbiBytes out(abi);
  out.pad_to(0x100).word(5).word(0x1234).word(21).word(r_debug).word(0).word(0);
  return out.pad_to(kPage).data();
}

std::vector<std::byte> file_note(const Abi& abi) {
  AbiBytes out(abi);
  out.word(4).word(kPage);
  for (const uint64_t base : {kProgram, kLibrary}) {
    out.word(base).word(base + kPage).word(0);
    out.word(base + kData).word(base + kData + kPage).word(1);
  }
  for (const std::string path : {"/bin/app", "/bin/app", "/lib/liba.so", "/lib/liba.so"}) {
    out.text(path, path.size() + 1);
  }
  return out.data();
}

std::vector<std::byte> auxv(const Abi& abi) {
  AbiBytes out(abi);
  out.word(3).word(kProgram + header_size(abi)).word(5).word(8).word(6).word(kPage);
  return out.word(9).word(kProgram + 0x500).word(0).word(0).data();
}

void load_module(AbiCore* core, const Abi& abi, uint64_t base, uint16_t type, uint64_t r_debug) {
  core->load(base, kReadExecute, text_page(abi, type, type == kExec ? base : 0));
  core->load(base + kData, kReadWrite, data_page(abi, r_debug), 2 * kPage);
}

class ElfModulesOfAllAbis : public ::testing::TestWithParam<Abi> {};

TEST_P(ElfModulesOfAllAbis, AreReadWhole) {
  const Abi& abi = GetParam();
  AbiCore core(abi);
  core.note("CORE", 6, auxv(abi)).note("CORE", 0x46494c45, file_note(abi));
  load_module(&core, abi, kProgram, kExec, 0);
  load_module(&core, abi, kLibrary, kDyn, 0);
  const auto opened = open_bytes(core.build());
  ASSERT_TRUE(opened.image) << to_string(opened.image.error());
  const Image& image = *opened.image;
  EXPECT_EQ(testing::broken_laws(image), std::vector<std::string>());
  ASSERT_EQ(image.modules.size(), 2U);
  for (size_t i = 0; i < 2; ++i) {
    const Module& m = image.modules[i];
    const uint64_t base = i == 0 ? kProgram : kLibrary;
    EXPECT_EQ(m.path, i == 0 ? "/bin/app" : "/lib/liba.so");
    EXPECT_EQ(m.is_executable, i == 0);
    EXPECT_EQ(m.bias, i == 0 ? 0 : kLibrary);  // a program that is not position-independent
    EXPECT_EQ(m.range, (AddressRange{Address(base), ByteCount(kData + 2 * kPage)}));
    EXPECT_EQ(m.build_id, "abcdef");
    ASSERT_EQ(m.segments.size(), 2U);
    EXPECT_EQ(m.segments[1].range, (AddressRange{Address(base + kData), ByteCount(kPage + 0x800)}));
    EXPECT_EQ(m.dynamic, (AddressRange{Address(base + kData + 0x100), ByteCount(0x100)}));
    EXPECT_EQ(m.tls_image, (AddressRange{Address(base + kData), ByteCount(0x40)}));
    EXPECT_EQ(m.unwind_index, (AddressRange{Address(base + 0x900), ByteCount(0x2c)}));
    EXPECT_EQ(m.exception_index.has_value(), abi.machine == 40);
    EXPECT_EQ(image.module_of(Address(base + kData + kPage + 0x10)), &m);
  }
  EXPECT_EQ(image.executable, "/bin/app");
}

INSTANTIATE_TEST_SUITE_P(Abis, ElfModulesOfAllAbis, ::testing::Values(kArm, kPpc, kAmd64, kS390x),
                         [](const auto& parameter) {
                           return "machine" + std::to_string(parameter.param.machine);
                         });

// Without NT_FILE: a program, a library with its headers, and one whose text was not dumped.
//   kProgram's r_debug -> three link maps, in a page of ld.so's heap.
class ElfLinkMap : public ::testing::TestWithParam<Abi> {
 protected:
  static constexpr uint64_t kMaps = 0x60000000;

  std::vector<std::byte> link_maps(uint64_t after_last) const {
    const uint64_t w = GetParam().word(), first = kMaps + 0x100, step = 0x80;
    AbiBytes out(GetParam());
    out.u32(1).pad_to(w).word(first).pad_to(0x100);  // r_debug: version, map
    const uint64_t bias[] = {0, kLibrary, kOther};
    const uint64_t dynamic[] = {kProgram, kLibrary, kOther};
    for (uint64_t i = 0; i < 3; ++i) {
      out.pad_to(0x100 + i * step).word(bias[i]).word(kMaps + 0x800 + i * 0x40);
      out.word(dynamic[i] + kData + 0x100).word(i < 2 ? first + (i + 1) * step : after_last);
    }
    out.pad_to(0x840).text("/lib/liba.so", 0x40).text("/lib/libb.so", 0x40);
    return out.pad_to(kPage).data();
  }

  AbiCore core(uint64_t after_last = 0) const {
    const Abi& abi = GetParam();
    AbiCore core(abi);
    core.note("CORE", 6, auxv(abi));
    load_module(&core, abi, kProgram, kExec, kMaps);
    load_module(&core, abi, kLibrary, kDyn, 0);
    core.load(kOther, kReadExecute, {}, kData);
    core.load(kOther + kData, kReadWrite, data_page(abi, 0));
    core.load(kMaps, kReadWrite, link_maps(after_last));
    return core;
  }
};

TEST_P(ElfLinkMap, NamesModulesThatNoNoteNames) {
  const auto opened = open_bytes(core().build());
  ASSERT_TRUE(opened.image) << to_string(opened.image.error());
  const Image& image = *opened.image;
  EXPECT_EQ(testing::broken_laws(image), std::vector<std::string>());
  ASSERT_EQ(image.modules.size(), 3U) << testing::to_text(opened.diagnostics);
  EXPECT_TRUE(image.modules[0].is_executable);
  EXPECT_EQ(image.modules[0].build_id, "abcdef");
  EXPECT_EQ(image.modules[1].path, "/lib/liba.so");
  EXPECT_EQ(image.modules[1].bias, kLibrary);
  EXPECT_EQ(image.modules[1].build_id, "abcdef");
  EXPECT_EQ(image.modules[2].path, "/lib/libb.so");
  EXPECT_EQ(image.modules[2].build_id, "");
  EXPECT_EQ(image.modules[2].range, (AddressRange{Address(kOther), ByteCount(kData + kPage)}));
  EXPECT_EQ(image.find_region(Address(kOther + kData))->kind, RegionKind::kModuleData);
  EXPECT_NE(testing::to_text(opened.diagnostics).find("its ELF header is not in the core"),
            std::string::npos);
}

TEST_P(ElfLinkMap, ThatGoesInACircleEnds) {
  const auto opened = open_bytes(core(kMaps + 0x100).build());
  ASSERT_TRUE(opened.image);
  EXPECT_EQ(opened.image->modules.size(), 3U);
}

INSTANTIATE_TEST_SUITE_P(Abis, ElfLinkMap, ::testing::Values(kArm, kPpc, kAmd64, kS390x, kMips),
                         [](const auto& parameter) {
                           return "machine" + std::to_string(parameter.param.machine);
                         });

// A linker without separate code maps a file's first page twice if its data begins there: the
// second header lies one page behind the first, and describes nothing.
TEST(ElfModulesByMagic, ASecondCopyOfTheHeaderIsNoModule) {
  AbiCore core(kArm);
  core.note("CORE", 6, auxv(kArm));
  core.load(kLibrary, kReadExecute, {}, kPage);
  core.load(kLibrary + kPage, 4, text_page(kArm, kDyn, 0));
  core.load(kLibrary + kPage + kData, kReadWrite, AbiBytes(kArm).pad_to(kPage).data());
  EXPECT_TRUE(testing::image_of(core.build()).modules.empty());
  AbiCore fixed(kArm);
  fixed.load(kLibrary, 4, text_page(kArm, kExec, kProgram));
  fixed.load(kLibrary + kData, kReadWrite, data_page(kArm, 0));
  EXPECT_TRUE(testing::image_of(fixed.build()).modules.empty());
}

TEST(ElfModulesByMagic, AStaticProgramIsAModule) {
  AbiCore core(kPpc);
  core.note("CORE", 6, auxv(kPpc));
  core.load(kProgram, kReadExecute, text_page(kPpc, kExec, kProgram, false));
  core.load(kProgram + kData, kReadWrite, AbiBytes(kPpc).pad_to(kPage).data());
  const Image image = testing::image_of(core.build());
  ASSERT_EQ(image.modules.size(), 1U);
  EXPECT_TRUE(image.modules[0].is_executable);
  EXPECT_EQ(image.modules[0].bias, 0U);
}

// Pages of an ELF file of another width, mapped as data, are no module of the process.
TEST(ElfModulesByMagic, FilesOfOtherWidthsAreNoModules) {
  AbiCore core(kAmd64);
  core.note("CORE", 6, auxv(kAmd64));
  core.load(kLibrary, kReadExecute, text_page(kArm, kDyn, 0));
  EXPECT_TRUE(testing::image_of(core.build()).modules.empty());
}

class ElfDeletedModule : public ::testing::Test {
 protected:
  Image image_with(const testing::ModuleBuilder& module, const std::string& path) {
    testing::CoreBuilder core;
    core.add_thread(1, {}).add_auxv(testing::kAuxPageSize, kPage);
    module.place(&core, 0x7ffff7c00000, path);
    auto opened = open_bytes(core.build());
    text_ = testing::to_text(opened.diagnostics);
    return std::move(opened.image).value();
  }
  const testing::TempDir directory_;
  std::string text_;
};

// The kernel marks the path of a file that was removed; a new file of the same build may be there.
TEST_F(ElfDeletedModule, IsLookedForWithoutTheMark) {
  const testing::ModuleBuilder module(4);
  const std::string path = directory_.write("libx.so", module.build());
  const Image image = image_with(module, path + " (deleted)");
  ASSERT_EQ(image.modules.size(), 1U);
  EXPECT_EQ(image.modules[0].path, path + " (deleted)");
  EXPECT_EQ(image.modules[0].file_path, path);
}

// … or one of another build, which is said and never used.
TEST_F(ElfDeletedModule, ReplacedByAnotherBuildIsReported) {
  const testing::ModuleBuilder module(4);
  const std::string path = directory_.write("libx.so", testing::ModuleBuilder(5).build());
  const Image image = image_with(module, path + " (deleted)");
  ASSERT_EQ(image.modules.size(), 1U);
  EXPECT_TRUE(image.modules[0].file.empty());
  EXPECT_NE(text_.find("another build-id"), std::string::npos) << text_;
}

// Without its header in the dump it is still known for a library.
TEST_F(ElfDeletedModule, IsALibraryByItsName) {
  testing::CoreBuilder core;
  core.add_thread(1, {});
  core.add_file_mapping(0x10000, 0x12000, 0, "/lib/libx.so.1 (deleted)");
  const auto opened = open_bytes(core.add_load(0x10000, 5, {}, 0x2000).build());
  ASSERT_TRUE(opened.image);
  EXPECT_EQ(opened.image->modules.size(), 1U);
}

}  // namespace
}  // namespace residue
