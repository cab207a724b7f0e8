#include "formats/packed/scratch_file.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <system_error>
#include <vector>

namespace residue::packed {
namespace {

// Space that others on this machine need to go on working.
constexpr uint64_t kReservePart = 20, kMaxReserve = uint64_t{1} << 30;

std::string system_message() { return std::generic_category().message(errno); }

struct Space {
  uint64_t free = 0;
  uint64_t reserve = 0;
};

Space space_of(int fd) {
  struct statvfs status {};
  if (fstatvfs(fd, &status) != 0) return {};
  const uint64_t all = uint64_t{status.f_blocks} * status.f_frsize;
  return {uint64_t{status.f_bavail} * status.f_frsize, std::min(all / kReservePart, kMaxReserve)};
}

// The size that a file of this process may have (ulimit -f). Writing on would end the process with
// a signal.
uint64_t largest_file() {
  struct rlimit limit {};
  if (getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return ~uint64_t{0};
  return limit.rlim_cur;
}

FileDescriptor open_nameless(const std::string& folder) {
  constexpr mode_t kOwnerOnly = 0600;
  FileDescriptor fd(::open(folder.c_str(), O_TMPFILE | O_RDWR | O_EXCL | O_CLOEXEC, kOwnerOnly));
  // EISDIR: a kernel before 3.11; EOPNOTSUPP: a file system that has no such files.
  if (fd.is_open() || (errno != EOPNOTSUPP && errno != EISDIR)) return fd;
  std::string name = folder + "/residue-XXXXXX";
  fd = FileDescriptor(mkostemp(name.data(), O_CLOEXEC));
  if (fd.is_open()) unlink(name.c_str());
  return fd;
}

bool all_zeros(std::span<const std::byte> bytes) {
  return bytes[0] == std::byte{0} &&
         std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0;
}

// Calls f(begin, end) for the stretches of blocks that are not zeros; stops where it fails.
template <typename F>
Result<void> for_each_stretch(std::span<const std::byte> bytes, F&& f) {
  size_t begin = 0;
  size_t end = 0;
  for (size_t at = 0; at < bytes.size(); at += ScratchFile::kBlock) {
    const size_t n = std::min(ScratchFile::kBlock, bytes.size() - at);
    if (!all_zeros(bytes.subspan(at, n))) {
      if (begin == end) begin = at;
      end = at + n;
      continue;
    }
    if (begin < end) RESIDUE_TRY(f(begin, end));
    begin = end = at + n;
  }
  if (begin < end) RESIDUE_TRY(f(begin, end));
  return {};
}

}  // namespace

uint64_t bytes_of_data(std::span<const std::byte> bytes) {
  uint64_t total = 0;
  (void)for_each_stretch(bytes, [&](size_t begin, size_t end) {
    total += end - begin;
    return Result<void>();
  });
  return total;
}

Result<ScratchFile> ScratchFile::create() {
  std::vector<std::string> folders = {"/var/tmp", "/tmp"};
  const char* chosen = std::getenv("TMPDIR");
  const bool is_chosen = chosen != nullptr && *chosen != '\0';
  if (is_chosen) folders = {chosen};
  std::string problem;
  for (const std::string& folder : folders) {
    ScratchFile file;
    file.folder_ = folder;
    file.fd_ = open_nameless(folder);
    if (file.fd_.is_open()) return file;
    problem += (problem.empty() ? "" : ", nor in ") + folder + " (" + system_message() + ")";
  }
  return Error{ErrorCode::kNoSpace,
               "no temporary file can be made in " + problem +
                   (is_chosen ? ", which TMPDIR names" : ": set TMPDIR to a folder with space"),
               {}};
}

uint64_t ScratchFile::room() const {
  const Space space = space_of(fd_.get());
  return space.free - std::min(space.free, space.reserve);
}

std::string ScratchFile::advice() const {
  const Space space = space_of(fd_.get());
  return folder_ + " has " + std::to_string(space.free) + " bytes free, of which " +
         std::to_string(space.reserve) + " stay in reserve; set TMPDIR to a folder with more space";
}

Error ScratchFile::no_space(const std::string& what) const {
  return Error{ErrorCode::kNoSpace,
               what + ", " + std::to_string(size_) + " bytes of it were there: " + advice(),
               {}};
}

Result<void> ScratchFile::append(std::span<const std::byte> bytes) {
  const uint64_t limit = largest_file();
  if (bytes.size() > limit - std::min(limit, size_)) {
    return Error{ErrorCode::kNoSpace,
                 "unpacks to more than the " + std::to_string(limit) +
                     " bytes that a file of this process may have (ulimit -f)",
                 {}};
  }
  RESIDUE_TRY(for_each_stretch(bytes, [&](size_t begin, size_t end) {
    return write(bytes.subspan(begin, end - begin), size_ + begin);
  }));
  size_ += bytes.size();
  return {};
}

Result<void> ScratchFile::write(std::span<const std::byte> data, uint64_t at) {
  if (data.size() > room()) return no_space("does not fit when unpacked");
  while (!data.empty()) {
    const ssize_t n = pwrite(fd_.get(), data.data(), data.size(), static_cast<off_t>(at));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return no_space("could not be unpacked further (" + system_message() + ")");
    data = data.subspan(static_cast<size_t>(n));
    at += static_cast<uint64_t>(n);
  }
  return {};
}

Result<MappedFile> ScratchFile::map(const std::string& path) {
  if (ftruncate(fd_.get(), static_cast<off_t>(size_)) != 0) {
    return no_space("could not be unpacked further (" + system_message() + ")");
  }
  auto file = MappedFile::map(fd_, path);
  if (!file) return std::move(file).error().in("the unpacked file");
  return file;
}

}  // namespace residue::packed
