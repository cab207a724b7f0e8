#include "formats/base/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstdint>
#include <system_error>
#include <utility>

namespace residue {
namespace {

Error io_error(const std::string& what) {
  return Error{ErrorCode::kIo, what + ": " + std::generic_category().message(errno), {}};
}

// How many holes are looked for: two system calls each.
constexpr unsigned kMaxHoles = 1 << 17;

std::vector<std::span<const std::byte>> find_holes(int fd, std::span<const std::byte> bytes) {
  std::vector<std::span<const std::byte>> holes;
  const auto size = static_cast<off_t>(bytes.size());
  off_t at = 0;
  for (unsigned n = 0; n < kMaxHoles && at < size; ++n) {
    const off_t hole = lseek(fd, at, SEEK_HOLE);
    if (hole < at || hole >= size) break;
    off_t data = lseek(fd, hole, SEEK_DATA);
    if (data < 0 && errno == ENXIO) data = size;  // no data behind this hole
    if (data < hole) break;
    at = std::min(data, size);
    const auto length = static_cast<size_t>(at - hole);
    if (length >= MappedFile::kMinHole) {
      holes.push_back(bytes.subspan(static_cast<size_t>(hole), length));
    }
  }
  return holes;
}

}  // namespace

Result<MappedFile> MappedFile::open(const std::string& path) {
  // O_NONBLOCK: opening a FIFO by mistake must not wait for a writer.
  const FileDescriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd.is_open()) return io_error("cannot be opened");
  return map(fd, path);
}

Result<MappedFile> MappedFile::map(const FileDescriptor& fd, const std::string& path) {
  struct stat status {};
  if (fstat(fd.get(), &status) != 0) return io_error("cannot be examined");
  if (S_ISDIR(status.st_mode)) return Error{ErrorCode::kIo, "is a directory", {}};
  if (!S_ISREG(status.st_mode)) return Error{ErrorCode::kIo, "is not a regular file", {}};
  MappedFile file;
  file.path_ = path;
  if (status.st_size == 0) return file;
  const auto size = static_cast<size_t>(status.st_size);
  void* data = mmap(nullptr, size, PROT_READ, MAP_PRIVATE | MAP_NORESERVE, fd.get(), 0);
  if (data == MAP_FAILED) return io_error("cannot be mapped");
  file.data_ = static_cast<const std::byte*>(data);
  file.size_ = size;
  file.holes_ = find_holes(fd.get(), file.bytes());
  return file;
}

MappedFile::MappedFile(MappedFile&& other) noexcept { *this = std::move(other); }

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(holes_, other.holes_);
  return *this;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) munmap(const_cast<std::byte*>(data_), size_);
}

void release_pages(std::span<const std::byte> bytes) {
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const auto begin = std::bit_cast<uintptr_t>(bytes.data());
  const uintptr_t first = (begin + page - 1) & ~(page - 1);
  const uintptr_t last = (begin + bytes.size()) & ~(page - 1);
  if (first >= last) return;
  // Clean pages of a private read-only file mapping: dropping them loses nothing.
  madvise(const_cast<std::byte*>(bytes.data()) + (first - begin), last - first, MADV_DONTNEED);
}

}  // namespace residue
