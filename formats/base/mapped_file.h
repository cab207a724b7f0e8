// MappedFile: a file mapped for reading, never copied into memory.
//
// Spans into it live as long as it does; it can be moved (the mapping stays where it is). A file
// that somebody shortens while it is mapped ends this process with SIGBUS, as it does every reader
// that maps: dumps are not written to while they are analysed.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "formats/base/result.h"

namespace residue {

class MappedFile {
 public:
  // Fails with kIo for what cannot be opened or is not a regular file (the message says which), and
  // yields an empty mapping for an empty file.
  static Result<MappedFile> open(const std::string& path);

  MappedFile() = default;
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

// Tells the kernel that these bytes of a mapped file are not needed for now: they leave this
// process's resident set and are read again from the page cache when touched. Whole pages inside
// the span only.
void release_pages(std::span<const std::byte> bytes);

}  // namespace residue
