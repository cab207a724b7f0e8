// Real dumps, made by other projects' people: expected.tsv says what a correct reader reports.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "gtest/gtest.h"
#include "tests/support/dump_file.h"
#include "tests/support/image_laws.h"

namespace residue {
namespace {

namespace fs = std::filesystem;

struct Expected {
  std::string file, kind, arch, os, threads, crashed, reason, address, modules, notes;
};

std::vector<std::string> split(const std::string& line, char separator) {
  std::vector<std::string> fields;
  std::istringstream in(line);
  for (std::string field; std::getline(in, field, separator);) fields.push_back(field);
  fields.resize(11);
  return fields;
}

std::vector<Expected> expectations(const fs::path& corpus) {
  std::vector<Expected> all;
  std::ifstream in(corpus / "expected.tsv");
  std::string line;
  std::getline(in, line);  // the names of the columns
  while (std::getline(in, line)) {
    const auto f = split(line, '\t');
    all.push_back({f[0], f[2], f[3], f[4], f[5], f[6], f[7], f[8], f[9], f[10]});
  }
  return all;
}

// "pid 5222" among the notes; a process of one thread has that thread's id.
uint32_t expected_pid(const Expected& row) {
  if (const auto at = row.notes.find("pid "); at != std::string::npos) {
    const auto digits = row.notes.find_first_of("0123456789", at);
    if (digits != std::string::npos)
      return static_cast<uint32_t>(std::stoul(row.notes.substr(digits)));
  }
  return row.threads == "1" ? static_cast<uint32_t>(std::stoul(row.crashed)) : 0;
}

class Corpus : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!fs::exists(corpus_ / "expected.tsv")) {
      GTEST_SKIP() << "the dumps of other projects are not there: " << corpus_;
    }
  }

  // No file of this machine takes part.
  static testing::OpenedDump open(const fs::path& path) {
    FileSearch search;
    search.sysroot = "/nonexistent/residue";
    testing::OpenedDump opened;
    opened.image = open_dump(path.string(), search, opened.diagnostics);
    return opened;
  }

  const fs::path corpus_ = RESIDUE_CORPUS_DIR;
};

void expect_threads(const Image& image, const Expected& row) {
  EXPECT_EQ(std::to_string(image.threads.size()), row.threads);
  size_t crashed = 0;
  for (const Thread& thread : image.threads) {
    crashed += thread.crashed ? 1 : 0;
    if (!thread.crashed) continue;
    EXPECT_EQ(std::to_string(thread.tid), row.crashed);
    EXPECT_EQ(thread.reason, row.reason);
    EXPECT_EQ(thread.fault_address ? hex(thread.fault_address->value()) : "", row.address);
  }
  EXPECT_EQ(crashed, row.crashed == "none" ? 0U : 1U);
  if (row.crashed == "none" && !image.threads.empty()) {
    EXPECT_EQ(image.threads[0].reason, row.reason);
  }
}

// The table counts files, not the vdso.
int64_t modules_with_files(const Image& image) {
  return std::count_if(image.modules.begin(), image.modules.end(),
                       [](const Module& m) { return m.path.rfind('/', 0) == 0; });
}

TEST_F(Corpus, LinuxCoresSayWhatOtherReadersSay) {
  size_t seen = 0;
  for (const Expected& row : expectations(corpus_)) {
    if (row.kind != "ELF core" || row.arch != "x86_64" || row.os != "linux") continue;
    SCOPED_TRACE(row.file);
    ++seen;
    const auto opened = open(corpus_ / row.file);
    ASSERT_TRUE(opened.image) << to_string(opened.image.error());
    const Image& image = *opened.image;
    EXPECT_EQ(image.pid, expected_pid(row));
    expect_threads(image, row);
    if (!row.modules.empty()) {
      EXPECT_EQ(std::to_string(modules_with_files(image)), row.modules);
    }
    const bool cut = row.notes.find("past EOF") != std::string::npos;
    EXPECT_EQ(image.complete, !cut) << testing::to_text(opened.diagnostics);
    EXPECT_EQ(opened.diagnostics.has_damage(), cut) << testing::to_text(opened.diagnostics);
    EXPECT_EQ(testing::broken_laws(image), std::vector<std::string>());
  }
  EXPECT_GE(seen, 6U);
}

// "fs_base 0x… / 0x…": thread pointers in the order of the file.
TEST_F(Corpus, ThreadPointersAreThoseOfTheNotes) {
  const auto opened = open(corpus_ / "lldb/thread_crash-linux-x86_64.core");
  ASSERT_TRUE(opened.image);
  ASSERT_EQ(opened.image->threads.size(), 3U);
  EXPECT_EQ(opened.image->threads[0].thread_pointer, 0x7fc295017700U);
  EXPECT_EQ(opened.image->threads[1].thread_pointer, 0x7fc294fff740U);
  EXPECT_EQ(opened.image->threads[2].thread_pointer, 0x7fc29501f700U);
}

// Dumps of other systems and machines: refused by name, or read; never worse.
TEST_F(Corpus, EveryFileIsReadOrRefused) {
  size_t seen = 0;
  for (const auto& entry : fs::recursive_directory_iterator(corpus_)) {
    if (!entry.is_regular_file()) continue;
    SCOPED_TRACE(entry.path().filename());
    ++seen;
    const auto opened = open(entry.path());
    if (opened.image) {
      EXPECT_EQ(testing::broken_laws(*opened.image), std::vector<std::string>());
    } else {
      EXPECT_FALSE(opened.image.error().message.empty());
      EXPECT_NE(opened.image.error().code, ErrorCode::kInternal);
    }
  }
  EXPECT_GE(seen, 60U);
}

TEST_F(Corpus, CoresOfOtherSystemsAreNotTakenForLinux) {
  for (const Expected& row : expectations(corpus_)) {
    if (row.kind != "ELF core" || (row.arch == "x86_64" && row.os == "linux")) continue;
    SCOPED_TRACE(row.file);
    const auto opened = open(corpus_ / row.file);
    if (opened.image) {
      EXPECT_EQ(opened.image->os, row.os);
      EXPECT_EQ(to_string(opened.image->architecture), row.arch);
    } else {
      EXPECT_EQ(opened.image.error().code, ErrorCode::kUnsupported)
          << to_string(opened.image.error());
    }
  }
}

}  // namespace
}  // namespace residue
