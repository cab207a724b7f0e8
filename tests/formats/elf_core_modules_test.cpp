// Modules of a core, and what files on disk may add to them.
#include <algorithm>

#include "gtest/gtest.h"
#include "tests/support/bytes.h"
#include "tests/support/dump_file.h"
#include "tests/support/image_laws.h"
#include "tests/support/sample_core.h"

namespace residue {
namespace {

using testing::broken_laws;
using testing::CoreBuilder;
using testing::image_of;
using testing::kReadable;
using testing::kWritable;
using testing::ModuleBuilder;
using testing::pattern;
using testing::SampleCore;
using testing::TempDir;

constexpr uint64_t kBase = 0x7ffff7c00000;
constexpr uint64_t kPage = 0x1000;
const std::vector<std::string> kNoBrokenLaws;

const Module* module_named(const Image& image, const std::string& path) {
  for (const Module& m : image.modules) {
    if (m.path == path) return &m;
  }
  return nullptr;
}

// A core with nothing but one module whose file may be found at `path`.
Image image_with(const ModuleBuilder& module, const std::string& path,
                 ModuleBuilder::Placement placement = {}, const FileSearch& search = {}) {
  CoreBuilder core;
  core.add_thread(1, {}).add_prpsinfo(1, "p", "p").add_auxv(testing::kAuxPageSize, kPage);
  module.place(&core, kBase, path, placement);
  return image_of(core.build(), search);
}

bool same(std::span<const std::byte> a, const std::vector<std::byte>& b, uint64_t offset) {
  return a.size() <= b.size() - offset &&
         std::equal(a.begin(), a.end(), b.begin() + static_cast<ptrdiff_t>(offset));
}

TEST(ElfCoreModules, AreFoundFromTheirPagesInTheDump) {
  const SampleCore reference;
  SampleCore sample;
  const Image image = image_of(sample.core.build());
  const Module* program = module_named(image, SampleCore::kProgramPath);
  const Module* library = module_named(image, SampleCore::kLibraryPath);
  ASSERT_NE(program, nullptr);
  ASSERT_NE(library, nullptr);
  EXPECT_EQ(program->build_id, reference.program.build_id_text());
  EXPECT_EQ(library->build_id, reference.library.build_id_text());
  EXPECT_TRUE(program->is_executable);
  EXPECT_FALSE(library->is_executable);
  EXPECT_EQ(module_named(image, SampleCore::kDataPath), nullptr);
}

TEST(ElfCoreModules, KnowTheirPlaceAndSegments) {
  const Image image = image_of(SampleCore().core.build());
  const Module* library = module_named(image, SampleCore::kLibraryPath);
  ASSERT_NE(library, nullptr);
  EXPECT_EQ(library->bias, SampleCore::kLibrary);
  EXPECT_EQ(library->range.base, Address(SampleCore::kLibrary));
  EXPECT_EQ(library->range.size, ByteCount(ModuleBuilder::kEnd));
  ASSERT_EQ(library->segments.size(), 4U);
  const Segment& data = library->segments[3];
  EXPECT_EQ(data.range.base, Address(SampleCore::kLibrary + ModuleBuilder::kRelro));
  EXPECT_EQ(data.range.size, ByteCount(0x3000));
  EXPECT_EQ(data.file_offset, 0x3000U);
  EXPECT_EQ(data.file_size, 0x2000U);
  EXPECT_EQ(data.permissions, (Permissions{true, true, false}));
  ASSERT_TRUE(library->dynamic.has_value());
  EXPECT_EQ(library->dynamic->base, Address(SampleCore::kLibrary + ModuleBuilder::kRelro));
  EXPECT_FALSE(library->tls_image.has_value());
}

TEST(ElfCoreModules, KnowTheirThreadLocalImage) {
  ModuleBuilder module(4);
  module.tls();
  const Image image = image_with(module, "/nonexistent/libtls.so");
  ASSERT_EQ(image.modules.size(), 1U);
  ASSERT_TRUE(image.modules[0].tls_image.has_value());
  EXPECT_EQ(image.modules[0].tls_image->base, Address(kBase + ModuleBuilder::kTls));
  EXPECT_EQ(image.modules[0].tls_image->size, ByteCount(ModuleBuilder::kTlsMemorySize));
}

TEST(ElfCoreModules, OwnTheirRegions) {
  const Image image = image_of(SampleCore().core.build());
  for (const uint64_t vaddr : {uint64_t{0}, ModuleBuilder::kText, ModuleBuilder::kRodata,
                               ModuleBuilder::kRelro, ModuleBuilder::kData, ModuleBuilder::kBss}) {
    const Address a(SampleCore::kLibrary + vaddr);
    const Module* module = image.module_of(a);
    ASSERT_NE(module, nullptr) << vaddr;
    EXPECT_EQ(module->path, SampleCore::kLibraryPath);
    const Region* region = image.find_region(a);
    ASSERT_LT(region->module.value(), image.modules.size()) << vaddr;
    EXPECT_EQ(image.modules[region->module.value()].path, SampleCore::kLibraryPath);
  }
  EXPECT_EQ(image.module_of(Address(SampleCore::kHeap)), nullptr);
  EXPECT_EQ(image.module_of(Address(SampleCore::kAnonymous)), nullptr);
}

// gcore dumps no file-backed page that was never written when it is told so, and old kernels leave
// out the headers: the mapped files still say that there is a module.
TEST(ElfCoreModules, WithoutTheirHeadersHaveNoBuildId) {
  const Image image =
      image_with(ModuleBuilder(4), "/nonexistent/libx.so", {.headers_in_dump = false});
  EXPECT_EQ(broken_laws(image), kNoBrokenLaws);
  for (const Module& m : image.modules) EXPECT_EQ(m.build_id, "");
}

TEST(ElfCoreModules, MayHaveNoBuildId) {
  ModuleBuilder module(4);
  module.build_id({});
  const Image image = image_with(module, "/nonexistent/libx.so");
  ASSERT_EQ(image.modules.size(), 1U);
  EXPECT_EQ(image.modules[0].build_id, "");
  EXPECT_EQ(image.modules[0].range.size, ByteCount(ModuleBuilder::kEnd));
}

class ElfCoreModuleFiles : public ::testing::Test {
 protected:
  const TempDir directory_;
  const ModuleBuilder module_{4};
  const std::vector<std::byte> file_ = module_.build();
};

TEST_F(ElfCoreModuleFiles, WithTheSameBuildIdFillReadOnlyPages) {
  const std::string path = directory_.write("libx.so", file_);
  const Image image = image_with(module_, path);
  ASSERT_EQ(image.modules.size(), 1U);
  EXPECT_EQ(image.modules[0].file_path, path);
  EXPECT_EQ(image.modules[0].file.size(), file_.size());
  for (const uint64_t vaddr : {ModuleBuilder::kText, ModuleBuilder::kRodata}) {
    const Region* region = image.find_region(Address(kBase + vaddr));
    ASSERT_NE(region, nullptr);
    EXPECT_EQ(region->backing, Backing::kFile) << vaddr;
    EXPECT_TRUE(same(image.view(Address(kBase + vaddr), kPage), file_, vaddr)) << vaddr;
    EXPECT_EQ(image.view(Address(kBase + vaddr), kPage).size(), kPage);
  }
  EXPECT_EQ(broken_laws(image), kNoBrokenLaws);
}

TEST_F(ElfCoreModuleFiles, DoNotReplaceWhatTheDumpHas) {
  auto changed = file_;
  changed[ModuleBuilder::kText + 5] ^= std::byte{0xff};
  const std::string path = directory_.write("libx.so", changed);
  const Image image = image_with(module_, path, {.readonly_in_dump = true});
  EXPECT_EQ(image.find_region(Address(kBase + ModuleBuilder::kText))->backing, Backing::kDump);
  EXPECT_TRUE(
      same(image.view(Address(kBase + ModuleBuilder::kText), kPage), file_, ModuleBuilder::kText));
}

TEST_F(ElfCoreModuleFiles, NeverFillWhatWasWritable) {
  const std::string path = directory_.write("libx.so", file_);
  const Image image = image_with(module_, path, {.data_in_dump = false});
  for (const uint64_t vaddr : {ModuleBuilder::kRelro, ModuleBuilder::kData, ModuleBuilder::kBss}) {
    const Region* region = image.find_region(Address(kBase + vaddr));
    ASSERT_NE(region, nullptr) << vaddr;
    EXPECT_EQ(region->backing, Backing::kAbsent) << vaddr;
    EXPECT_TRUE(image.view(Address(kBase + vaddr), 8).empty()) << vaddr;
  }
}

TEST_F(ElfCoreModuleFiles, WithAnotherBuildIdAreNotUsed) {
  auto other = ModuleBuilder(4).build_id(pattern(20, 999)).build();
  const std::string path = directory_.write("libx.so", other);
  const Image image = image_with(module_, path);
  ASSERT_EQ(image.modules.size(), 1U);
  EXPECT_TRUE(image.modules[0].file.empty());
  EXPECT_EQ(image.modules[0].file_path, "");
  EXPECT_EQ(image.modules[0].build_id, module_.build_id_text());
  EXPECT_EQ(image.find_region(Address(kBase + ModuleBuilder::kText))->backing, Backing::kAbsent);
}

// Without a build-id in the dump nothing says that the file is the one that ran.
TEST_F(ElfCoreModuleFiles, AreNotUsedIfTheDumpHasNoBuildId) {
  ModuleBuilder anonymous(4);
  anonymous.build_id({});
  const std::string path = directory_.write("libx.so", anonymous.build());
  const Image image = image_with(anonymous, path);
  ASSERT_EQ(image.modules.size(), 1U);
  EXPECT_TRUE(image.modules[0].file.empty());
  EXPECT_EQ(image.find_region(Address(kBase + ModuleBuilder::kText))->backing, Backing::kAbsent);
  const Image headless =
      image_with(module_, directory_.write("liby.so", file_), {.headers_in_dump = false});
  for (const Region& region : headless.regions) EXPECT_NE(region.backing, Backing::kFile);
}

TEST_F(ElfCoreModuleFiles, AreFoundUnderTheSysroot) {
  directory_.write("root/usr/lib/libx.so", file_);
  FileSearch search;
  search.sysroot = directory_.path("root");
  const Image image = image_with(module_, "/usr/lib/libx.so", {}, search);
  ASSERT_EQ(image.modules.size(), 1U);
  EXPECT_EQ(image.modules[0].path, "/usr/lib/libx.so");
  EXPECT_EQ(image.modules[0].file.size(), file_.size());
}

TEST_F(ElfCoreModuleFiles, AreFoundInASymbolDirectory) {
  directory_.write("symbols/libx.so", file_);
  FileSearch search;
  search.symbols = {directory_.path("symbols")};
  const Image image = image_with(module_, "/nonexistent/lib/libx.so", {}, search);
  ASSERT_EQ(image.modules.size(), 1U);
  EXPECT_EQ(image.modules[0].file.size(), file_.size());
}

// A separate debug file under the module's own name has its build-id and segments without bytes, as
// `objcopy --only-keep-debug` leaves them: nothing of it may fill memory.
TEST_F(ElfCoreModuleFiles, ThatAreDebugFilesDoNotFillMemory) {
  auto debug = file_;
  const uint64_t headers = load<uint64_t>(std::span<const std::byte>(debug).subspan(32));
  const uint16_t count = load<uint16_t>(std::span<const std::byte>(debug).subspan(56));
  for (uint64_t i = 0; i < count; ++i) {
    const auto header = std::span(debug).subspan(headers + i * 56, 56);
    if (load<uint32_t>(header) != 1) continue;          // PT_LOAD
    std::fill_n(header.begin() + 32, 8, std::byte{0});  // p_filesz
  }
  directory_.write("symbols/libx.so", debug);
  FileSearch search;
  search.symbols = {directory_.path("symbols")};
  const Image image = image_with(module_, "/nonexistent/lib/libx.so", {}, search);
  ASSERT_EQ(image.modules.size(), 1U);
  EXPECT_TRUE(image.modules[0].file.empty());
  EXPECT_TRUE(image.view(Address(kBase + ModuleBuilder::kText), kPage).empty());
}

// The file was replaced by a shorter one with a forged note: its bytes end where they end.
TEST_F(ElfCoreModuleFiles, CutShortFillOnlyWhatTheyHave) {
  for (const size_t size : {0x400U, 0x1000U, 0x1001U, 0x1800U, 0x2000U, 0x2fffU}) {
    auto cut = file_;
    cut.resize(size);
    const std::string path = directory_.write("libx.so", cut);
    const Image image = image_with(module_, path);
    EXPECT_EQ(broken_laws(image), kNoBrokenLaws) << size;
    for (const uint64_t vaddr : {ModuleBuilder::kText, ModuleBuilder::kRodata}) {
      EXPECT_TRUE(same(image.view(Address(kBase + vaddr), kPage), file_, vaddr)) << size;
    }
  }
}

TEST_F(ElfCoreModuleFiles, ThatAreNoFilesAreNoTrouble) {
  for (const std::string& path :
       {directory_.path(""), directory_.write("text", testing::as_bytes("not an ELF file")),
        directory_.write("empty", {}), std::string("/dev/null")}) {
    const Image image = image_with(module_, path);
    ASSERT_EQ(image.modules.size(), 1U) << path;
    EXPECT_TRUE(image.modules[0].file.empty()) << path;
  }
}

}  // namespace
}  // namespace residue
