// symbolize_addresses: residue's symbolizer alone, on one file and any number of addresses.
//
//   symbolize_addresses FILE < ADDRESSES
//
// Reads link-time addresses in hex, one a line, and prints for each what llvm-symbolizer prints:
// two lines for every frame, innermost first (the function, then file:line:column), and an empty
// line. So the two can be compared line by line. An address without debug information is "??".

#include <charconv>
#include <cstdint>
#include <iostream>
#include <string>
#include <utility>
#include <vector>

#include "formats/base/mapped_file.h"
#include "formats/elf/elf_file.h"
#include "formats/file_search.h"
#include "formats/image.h"
#include "symbolize/debug_files.h"
#include "symbolize/dwarf/debug_info.h"

namespace residue::bench {
namespace {

// A process of which nothing is known but that it ran this file, loaded at 0.
Result<Image> image_of(const std::string& path) {
  Result<MappedFile> file = MappedFile::open(path);
  if (!file) return file.error();
  Module module;
  module.path = path;
  module.file_path = path;
  module.file = file->bytes();
  module.build_id = elf::file_build_id(file->bytes());
  module.range = {Address(0), ByteCount(file->bytes().size())};
  module.is_executable = true;
  Image image;
  image.architecture = Architecture::kX86_64;
  image.executable = path;
  image.modules.push_back(std::move(module));
  image.files.push_back(*std::move(file));
  return image;
}

std::vector<std::uint64_t> read_addresses(std::istream& in) {
  std::vector<std::uint64_t> addresses;
  for (std::string line; std::getline(in, line);) {
    const char* begin = line.data() + (line.starts_with("0x") ? 2 : 0);
    std::uint64_t address = 0;
    if (std::from_chars(begin, line.data() + line.size(), address, 16).ec == std::errc()) {
      addresses.push_back(address);
    }
  }
  return addresses;
}

void print(const SourceFrames& frames) {
  if (frames.empty()) std::cout << "??\n??:0:0\n";
  for (const SourceFrame& frame : frames) {
    std::cout << (frame.function.empty() ? "??" : frame.function) << '\n'
              << (frame.file.empty() ? "??" : frame.file) << ':' << frame.line << ':'
              << frame.column << '\n';
  }
  std::cout << '\n';
}

int run(const std::string& path) {
  const Result<Image> image = image_of(path);
  if (!image) {
    std::cerr << "symbolize_addresses: " << path << ": " << image.error().message << '\n';
    return 3;
  }
  const DebugFiles files(*image, FileSearch{});
  DebugInfo info(files, ModuleId(0));
  for (const SourceFrames& frames : info.look_up(read_addresses(std::cin))) print(frames);
  return 0;
}

}  // namespace
}  // namespace residue::bench

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: symbolize_addresses FILE < ADDRESSES\n";
    return 2;
  }
  std::ios::sync_with_stdio(false);
  return residue::bench::run(argv[1]);
}
