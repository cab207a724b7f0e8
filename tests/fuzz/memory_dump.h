// One regular file in memory that takes the bytes of one input after another: fuzz targets open
// dumps by path, as the program does, without touching a disk.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

namespace residue::fuzz {

class MemoryDump {
 public:
  MemoryDump()
      : descriptor_(::memfd_create("residue-fuzz", MFD_CLOEXEC)),
        path_("/proc/self/fd/" + std::to_string(descriptor_)) {
    if (descriptor_ < 0) std::abort();
  }
  ~MemoryDump() { ::close(descriptor_); }
  MemoryDump(const MemoryDump&) = delete;
  MemoryDump& operator=(const MemoryDump&) = delete;

  void set(const uint8_t* data, size_t size) {
    if (::ftruncate(descriptor_, 0) != 0) std::abort();
    for (size_t done = 0; done < size;) {
      const ssize_t n = ::pwrite(descriptor_, data + done, size - done, static_cast<off_t>(done));
      if (n <= 0) std::abort();
      done += static_cast<size_t>(n);
    }
  }
  const std::string& path() const { return path_; }

 private:
  int descriptor_;
  std::string path_;
};

}  // namespace residue::fuzz
