// MappedFile: a file mapped for reading, never copied into memory.
//
// Spans into it live as long as it does; it can be moved (the mapping stays where it is). A file
// that somebody shortens while it is mapped ends this process with SIGBUS, as it does every reader
// that maps: dumps are not written to while they are analysed.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "formats/base/file_descriptor.h"
#include "formats/base/result.h"

namespace residue {

class MappedFile {
 public:
  // Fails with kIo for what cannot be opened or is not a regular file (the message says which), and
  // yields an empty mapping for an empty file.
  static Result<MappedFile> open(const std::string& path);
  // Maps an open regular file, which `path` is said to be.
  static Result<MappedFile> map(const FileDescriptor& fd, const std::string& path);

  MappedFile() = default;
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  // The holes of at least kMinHole bytes, in order: parts of bytes() that were never written and
  // read as zeros. Not all of them if the file has a very great many; none where the file system
  // does not tell.
  static constexpr size_t kMinHole = size_t{64} << 10;
  const std::vector<std::span<const std::byte>>& holes() const { return holes_; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
  std::vector<std::span<const std::byte>> holes_;
};

// Tells the kernel that these bytes of a mapped file are not needed for now: they leave this
// process's resident set and are read again from the page cache when touched. Whole pages inside
// the span only.
void release_pages(std::span<const std::byte> bytes);

}  // namespace residue
