// cost: runs a command and writes what the kernel accounts it, for child.py.
//
//   cost FILE COMMAND [ARGUMENT...]
//
// FILE gets one line: user and system seconds together, wall seconds, peak resident KiB. Ends with
// the command's exit code, 128 + N for signal N. A child's peak cannot read below what its parent
// had when it forked, for the kernel carries the figure over exec: this program's few hundred KiB
// instead of the 15 MB of a Python.

#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cstdio>

namespace {

double seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
}

double now() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

}  // namespace

int main(int argc, char** argv) {
  constexpr int kUsage = 2, kCannotRun = 127, kSignalled = 128;
  if (argc < 3) return kUsage;
  const double started = now();
  const pid_t pid = fork();
  if (pid == 0) {
    execvp(argv[2], argv + 2);
    _exit(kCannotRun);
  }
  int status = 0;
  rusage usage{};
  if (pid < 0 || wait4(pid, &status, 0, &usage) != pid) return kCannotRun;
  const double wall = now() - started;
  std::FILE* file = std::fopen(argv[1], "w");
  if (file == nullptr) return kUsage;
  std::fprintf(file, "%.6f %.6f %ld\n", seconds(usage.ru_utime) + seconds(usage.ru_stime), wall,
               usage.ru_maxrss);
  std::fclose(file);
  return WIFEXITED(status) ? WEXITSTATUS(status) : kSignalled + WTERMSIG(status);
}
