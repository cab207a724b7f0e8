#include "tests/support/dump_file.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <stdexcept>
#include <system_error>

namespace residue::testing {
namespace {

[[noreturn]] void fail(const std::string& what) {
  throw std::system_error(errno, std::generic_category(), what);
}

}  // namespace

MemoryFile::MemoryFile(std::span<const std::byte> bytes) {
  descriptor_ = ::memfd_create("residue-test", MFD_CLOEXEC);
  if (descriptor_ < 0) fail("memfd_create");
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor_, bytes.data(), bytes.size());
    if (written <= 0) fail("write");
    bytes = bytes.subspan(static_cast<size_t>(written));
  }
  path_ = "/proc/self/fd/" + std::to_string(descriptor_);
}

MemoryFile::~MemoryFile() { ::close(descriptor_); }

TempDir::TempDir() {
  std::string name = (std::filesystem::temp_directory_path() / "residue-test-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) fail("mkdtemp");
  directory_ = name;
}

TempDir::~TempDir() {
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
}

std::string TempDir::write(const std::string& name, std::span<const std::byte> bytes) const {
  const std::filesystem::path target = directory_ / name;
  std::filesystem::create_directories(target.parent_path());
  std::ofstream out(target, std::ios::binary);
  out.write(static_cast<const char*>(static_cast<const void*>(bytes.data())),
            static_cast<std::streamsize>(bytes.size()));
  if (!out.flush()) fail("write");
  return target.string();
}

OpenedDump open_bytes(std::span<const std::byte> bytes, const FileSearch& search) {
  const MemoryFile file(bytes);
  OpenedDump opened;
  opened.image = open_dump(file.path(), search, opened.diagnostics);
  return opened;
}

Image image_of(std::span<const std::byte> bytes, const FileSearch& search) {
  OpenedDump opened = open_bytes(bytes, search);
  if (!opened.image) throw std::runtime_error(to_string(opened.image.error()));
  return std::move(opened.image).value();
}

std::string to_text(const Diagnostics& diagnostics) {
  std::string text;
  for (const Diagnostic& d : diagnostics.items()) {
    text += std::string(to_string(d.severity)) + " " + d.stage + " (" + d.place +
            "): " + d.message + "\n";
  }
  return text;
}

}  // namespace residue::testing
