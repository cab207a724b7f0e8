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

// "pid 5222" among the notes; a Linux process of one thread has that thread's id.
uint32_t expected_pid(const Expected& row) {
  if (const auto at = row.notes.find("pid "); at != std::string::npos) {
    const auto digits = row.notes.find_first_of("0123456789", at);
    if (digits != std::string::npos)
      return static_cast<uint32_t>(std::stoul(row.notes.substr(digits)));
  }
  return row.threads == "1" && row.os == "linux" ? static_cast<uint32_t>(std::stoul(row.crashed))
                                                 : 0;
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

// "lwp 2" of NetBSD, "37688", "none".
std::string thread_id(const std::string& text) {
  return text.rfind("lwp ", 0) == 0 ? text.substr(4) : text;
}

// "SIGSEGV (cursig only)": other readers take no more than the signal's number.
void expect_reason(const std::string& reason, const std::string& expected) {
  const size_t note = expected.find(" (");
  if (note == std::string::npos) {
    EXPECT_EQ(reason, expected);
  } else {
    EXPECT_EQ(reason.substr(0, reason.find(" /")), expected.substr(0, note));
  }
}

void expect_threads(const Image& image, const Expected& row) {
  EXPECT_EQ(std::to_string(image.threads.size()), row.threads);
  const std::string blamed = thread_id(row.crashed);
  size_t crashed = 0;
  for (const Thread& thread : image.threads) {
    crashed += thread.crashed ? 1 : 0;
    if (!thread.crashed) continue;
    EXPECT_EQ(std::to_string(thread.tid), blamed);
    expect_reason(thread.reason, row.reason);
    if (row.reason.find('/') != std::string::npos) {
      EXPECT_EQ(thread.fault_address ? hex(thread.fault_address->value()) : "", row.address);
    }
  }
  const bool nobody = blamed == "none" || blamed == "0";
  EXPECT_EQ(crashed, nobody ? 0U : 1U);
  if (nobody) {
    for (const Thread& thread : image.threads) expect_reason(thread.reason, row.reason);
  }
}

// The table counts files, not the vdso.
int64_t modules_with_files(const Image& image) {
  return std::count_if(image.modules.begin(), image.modules.end(),
                       [](const Module& m) { return m.path.rfind('/', 0) == 0; });
}

// "pc 0x40013c", "frames bar 0x400124": where the first thread was.
std::string expected_pc(const Expected& row) {
  for (const char* key : {"pc 0x", "frames bar 0x"}) {
    const size_t at = row.notes.find(key);
    if (at == std::string::npos) continue;
    const size_t begin = row.notes.find("0x", at);
    return row.notes.substr(begin, row.notes.find_first_of(" ;", begin) - begin);
  }
  return {};
}

TEST_F(Corpus, CoresSayWhatOtherReadersSay) {
  std::map<std::string, size_t> seen;
  for (const Expected& row : expectations(corpus_)) {
    if (row.kind != "ELF core") continue;
    SCOPED_TRACE(row.file);
    const std::string system = row.os + " " + row.arch;
    ++seen[system];
    const auto opened = open(corpus_ / row.file);
    ASSERT_TRUE(opened.image) << to_string(opened.image.error());
    const Image& image = *opened.image;
    EXPECT_EQ(image.os + " " + to_string(image.architecture), system);
    EXPECT_EQ(image.pointer_width, row.notes.find("ELF32") == std::string::npos ? 8U : 4U);
    EXPECT_EQ(image.order == ByteOrder::kBig, row.notes.find("ELF64 BE") != std::string::npos);
    if (const uint32_t pid = expected_pid(row); pid != 0) {
      EXPECT_EQ(image.pid, pid);
    }
    expect_threads(image, row);
    if (!row.modules.empty()) {
      EXPECT_EQ(std::to_string(modules_with_files(image)), row.modules);
    }
    if (const std::string pc = expected_pc(row); !pc.empty()) {
      EXPECT_EQ(hex(image.threads.at(0).pc), pc);
    }
    const bool cut = row.notes.find("past EOF") != std::string::npos;
    EXPECT_EQ(image.complete, !cut) << testing::to_text(opened.diagnostics);
    EXPECT_EQ(opened.diagnostics.has_damage(), cut) << testing::to_text(opened.diagnostics);
    EXPECT_EQ(testing::broken_laws(image), std::vector<std::string>());
  }
  const std::map<std::string, size_t> all = {
      {"linux x86_64", 6},   {"linux x86", 1},   {"linux aarch64", 3}, {"linux s390x", 1},
      {"freebsd x86_64", 1}, {"freebsd x86", 1}, {"netbsd x86_64", 4}};
  for (const auto& [system, count] : all) EXPECT_GE(seen[system], count) << system;
}

uint64_t value_of(const Thread& thread, std::string_view name) {
  for (const Register& r : thread.registers) {
    if (r.name == name) return r.value;
  }
  ADD_FAILURE() << "no register " << name;
  return 0;
}

struct KnownRegister {
  const char* file;
  size_t thread;
  const char* name;
  uint64_t value;
  int16_t dwarf;
};

// Linux: what eu-readelf -n (elfutils 0.188) prints. NetBSD, and FreeBSD's core of the same program
// for 32 bits: what lldb/test/Shell/Register/Core/x86-64-netbsd-multithread.test wants. FreeBSD's
// other core is of the program of x86-64-linux.core, which loads these constants and crashes.
TEST_F(Corpus, RegistersAreThoseOfTheNotes) {
  constexpr KnownRegister kKnown[] = {
      {"linux-aarch64", 0, "pc", 0x400124, 32},
      {"linux-aarch64", 0, "x1", 47, 1},
      {"linux-aarch64", 0, "x29", 281474479817024, 29},
      {"linux-aarch64", 0, "x30", 4194648, 30},
      {"linux-aarch64", 0, "sp", 0xffffe2620120, 31},
      {"linux-s390x", 0, "pswa", 0x80000130, 65},
      {"linux-s390x", 0, "pswm", 0x0705000180000000, 64},
      {"linux-s390x", 0, "r3", 2147483920, 3},
      {"linux-s390x", 0, "r15", 4398046507712, 15},
      {"linux-s390x", 0, "acr1", 0xfdff8700, 49},
      {"linux-s390x", 0, "orig_r2", 2148561264, -1},
      {"x86-32-linux", 0, "ebx", 606282273, 3},
      {"x86-32-linux", 0, "ecx", 623125282, 1},
      {"x86-32-linux", 0, "edi", 707340327, 7},
      {"x86-32-linux", 0, "eax", 589439264, 0},
      {"x86-32-linux", 0, "eip", 0x080492ab, 8},
      {"x86-32-linux", 0, "eflags", 0x10283, 9},
      {"x86-32-linux", 0, "gs", 0x63, 45},
      {"x86-32-linux", 0, "esp", 0x27262524, 4},
      {"x86-64-netbsd-multithread", 0, "rip", 0x400f82, 16},
      {"x86-64-netbsd-multithread", 0, "rcx", 0x04040404, 2},
      {"x86-64-netbsd-multithread", 0, "rdi", 0x01010101, 5},
      {"x86-64-netbsd-multithread", 1, "rip", 0x400f88, 16},
      {"x86-64-netbsd-multithread", 1, "rdx", 0x23232323, 1},
      {"x86-64-netbsd-multithread", 2, "rsi", 0x12121212, 4},
      {"x86-64-netbsd-multithread", 3, "rip", 0x791280ca1faa, 16},
      {"x86-32-freebsd-multithread", 0, "edi", 0x01010101, 7},
      {"x86-32-freebsd-multithread", 0, "ecx", 0x04040404, 1},
      {"x86-32-freebsd-multithread", 2, "esi", 0x12121212, 6},
      {"x86-32-freebsd-multithread", 3, "edx", 0x23232323, 2},
      {"x86-64-freebsd", 0, "rax", 0x2726252423222120, 0},
      {"x86-64-freebsd", 0, "rbx", 0x2827262524232221, 3},
      {"x86-64-freebsd", 0, "rsi", 0x2d2c2b2a29282726, 4},
      {"x86-64-freebsd", 0, "rsp", 0x2b2a292827262524, 7},
      {"x86-64-freebsd", 0, "r8", 0x2f2e2d2c2b2a2928, 8},
      {"x86-64-freebsd", 0, "r15", 0x363534333231302f, 15},
  };
  for (const KnownRegister& known : kKnown) {
    SCOPED_TRACE(std::string(known.file) + " " + known.name);
    const auto opened = open(corpus_ / "lldb" / (std::string(known.file) + ".core"));
    ASSERT_TRUE(opened.image);
    const Thread& thread = opened.image->threads.at(known.thread);
    EXPECT_EQ(value_of(thread, known.name), known.value);
    for (const Register& r : thread.registers) {
      if (r.name == std::string_view(known.name)) {
        EXPECT_EQ(r.dwarf, known.dwarf);
      }
    }
  }
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

}  // namespace
}  // namespace residue
