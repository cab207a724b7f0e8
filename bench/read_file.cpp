// read_file FILE: reads a file with pread in blocks of 256 KiB; prints `seconds=S bytes=N`.
//
// This is the floor a reader of dumps is measured against: what the kernel needs to hand over the
// bytes once. The blocks go to one buffer that stays in the cache; nothing is kept or looked at.

#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <vector>

namespace {

constexpr std::size_t kBlock = std::size_t{256} * 1024;

// Returns the number of bytes read, or -1.
off_t read_all(int file) {
  std::vector<char> block(kBlock);
  off_t offset = 0;
  for (;;) {
    const ssize_t got = pread(file, block.data(), block.size(), offset);
    if (got < 0) return -1;
    if (got == 0) return offset;
    offset += got;
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: read_file FILE\n", stderr);
    return 2;
  }
  const int file = open(argv[1], O_RDONLY | O_CLOEXEC);
  if (file < 0) {
    std::perror(argv[1]);
    return 1;
  }
  const auto start = std::chrono::steady_clock::now();
  const off_t bytes = read_all(file);
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
  close(file);
  if (bytes < 0) {
    std::perror(argv[1]);
    return 1;
  }
  std::printf("seconds=%.6f bytes=%lld\n", taken.count(), static_cast<long long>(bytes));
  return 0;
}
