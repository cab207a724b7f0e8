// Bytes as files for the readers under test: in memory where a path is enough, in a directory that
// goes away where names matter.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "formats/format.h"

namespace residue::testing {

// A regular file that lives in memory, open as long as this object.
class MemoryFile {
 public:
  explicit MemoryFile(std::span<const std::byte> bytes);
  ~MemoryFile();
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;

  const std::string& path() const { return path_; }

 private:
  int descriptor_ = -1;
  std::string path_;
};

class TempDir {
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  std::string path(const std::string& name) const { return (directory_ / name).string(); }
  // Returns the path.
  std::string write(const std::string& name, std::span<const std::byte> bytes) const;

 private:
  std::filesystem::path directory_;
};

struct OpenedDump {
  Result<Image> image = Error{};
  Diagnostics diagnostics;
};

// Opens `bytes` as a dump. Files of the machine the test runs on play no part unless `search` or
// the dump's own paths name them.
OpenedDump open_bytes(std::span<const std::byte> bytes, const FileSearch& search = {});

// The same, of which the test requires that it succeeds. Throws std::runtime_error otherwise.
Image image_of(std::span<const std::byte> bytes, const FileSearch& search = {});

// "damage elf-core (0x40): …": one line each, for messages of failing tests.
std::string to_text(const Diagnostics& diagnostics);

}  // namespace residue::testing
