// Programs and libraries made while a test runs, by the tools whose formats are being read: they
// are the witnesses. A test whose tool is missing is skipped by the tool's name.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "formats/base/mapped_file.h"
#include "formats/elf/elf_file.h"
#include "formats/image.h"
#include "gtest/gtest.h"
#include "tests/support/dump_file.h"

namespace residue::testing {

inline bool has_tool(const std::string& name) {
  return std::system(("command -v " + name + " >/dev/null 2>&1").c_str()) == 0;
}

#define REQUIRE_TOOL(name)                                            \
  do {                                                                \
    if (!residue::testing::has_tool(name)) {                          \
      GTEST_SKIP() << "the tool '" << (name) << "' is not installed"; \
    }                                                                 \
  } while (false)

class BuiltFiles : public ::testing::Test {
 protected:
  // Runs a shell command in the test's directory; its output is returned. The test fails if the
  // command does.
  std::string run(const std::string& command) const {
    const std::string out = directory_.path("command.out");
    const int status = std::system(
        ("cd '" + directory_.path("") + "' && { " + command + "; } >'" + out + "' 2>&1").c_str());
    std::ifstream file(out);
    std::string text(std::istreambuf_iterator<char>(file), {});
    EXPECT_EQ(status, 0) << command << "\n" << text;
    return text;
  }
  std::string path(const std::string& name) const { return directory_.path(name); }
  void write_text(const std::string& name, const std::string& text) const {
    std::ofstream(path(name)) << text;
  }
  std::vector<std::byte> bytes_of(const std::string& name) const {
    std::ifstream file(path(name), std::ios::binary);
    const std::string text(std::istreambuf_iterator<char>(file), {});
    std::vector<std::byte> bytes(text.size());
    std::transform(text.begin(), text.end(), bytes.begin(),
                   [](char c) { return static_cast<std::byte>(c); });
    return bytes;
  }
  // As readelf prints it.
  std::string build_id_of(const std::string& name) const {
    const std::string text = run("readelf -n '" + name + "' | sed -n 's/.*Build ID: //p'");
    return text.substr(0, text.find('\n'));
  }

  const TempDir directory_;
};

// An Image of a process that has one file loaded at `bias`, all of it backed by that file.
inline Image image_with_module(const std::string& file, const std::string& recorded_path,
                               uint64_t bias, bool use_file, bool with_build_id = true) {
  Image image;
  image.files.push_back(std::move(MappedFile::open(file)).value());
  const auto bytes = image.files.back().bytes();
  const auto header = elf::read_header(bytes).value();
  image.order = header.order;
  image.pointer_width = header.word();
  Module module;
  module.path = recorded_path;
  module.bias = bias;
  if (with_build_id) module.build_id = elf::file_build_id(bytes);
  if (use_file) {
    module.file = bytes;
    module.file_path = file;
  }
  uint64_t low = ~uint64_t{0};
  uint64_t high = 0;
  const auto headers = elf::read_program_headers(bytes, header).value();
  for (const auto& h : headers.items) {
    const AddressRange range{Address(h.vaddr + bias), ByteCount(h.memory_size)};
    if (h.type == 2) module.dynamic = range;
    if (h.type != 1) continue;
    const Permissions permissions{(h.flags & 4) != 0, (h.flags & 2) != 0, (h.flags & 1) != 0};
    module.segments.push_back({range, permissions, h.offset, h.file_size});
    Region region;
    region.range = {range.base, ByteCount(h.file_size)};
    region.permissions = permissions;
    region.backing = Backing::kDump;
    region.bytes = bytes.subspan(h.offset, h.file_size);
    region.module = ModuleId(0);
    image.regions.push_back(region);
    low = std::min(low, range.base.value());
    high = std::max(high, range.end().value());
  }
  module.range = {Address(low), ByteCount(high - low)};
  image.modules.push_back(std::move(module));
  return image;
}

}  // namespace residue::testing
