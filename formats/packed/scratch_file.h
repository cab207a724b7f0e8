// ScratchFile: a temporary file without a name, for the bytes of an unpacked dump.
//
// It lies in $TMPDIR, or where that is not set in /var/tmp (as systemd's tools choose it: /tmp is
// often memory), or /tmp if there is no /var/tmp. No other process sees it, and the space is free
// again when the mapping is gone, however this process ends. Blocks of zeros become holes.
//
// A file system is never filled: 5 % of it, at most 1 GiB, stays free.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "formats/base/file_descriptor.h"
#include "formats/base/mapped_file.h"
#include "formats/base/result.h"

namespace residue::packed {

class ScratchFile {
 public:
  // The unit of holes: what scans of memory find worth skipping (MappedFile::kMinHole).
  static constexpr size_t kBlock = MappedFile::kMinHole;

  // Fails with kNoSpace if no file can be made there.
  static Result<ScratchFile> create();

  // How many bytes may be written yet.
  uint64_t room() const;
  // "/var/tmp has 12 bytes free, of which 3 stay in reserve; set TMPDIR to a folder with more".
  std::string advice() const;

  // Appends. REQUIRES: the size of all but the last piece is a multiple of kBlock. Fails with
  // kNoSpace before the room is used up.
  Result<void> append(std::span<const std::byte> bytes);
  uint64_t size() const { return size_; }

  // The file, mapped; it is said to be `path`. Nothing can be appended afterwards.
  Result<MappedFile> map(const std::string& path);

 private:
  Result<void> write(std::span<const std::byte> data, uint64_t at);
  Error no_space(const std::string& what) const;

  std::string folder_;
  FileDescriptor fd_;
  uint64_t size_ = 0;
};

// How many bytes of `bytes` would be written by append(): those of blocks that are not all zeros.
uint64_t bytes_of_data(std::span<const std::byte> bytes);

}  // namespace residue::packed
