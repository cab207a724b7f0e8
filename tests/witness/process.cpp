#include "process.h"

#include <elf.h>
#include <fcntl.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <stdexcept>

namespace witness {

namespace {

constexpr std::uint64_t kPage = 4096;

std::string proc_path(pid_t pid, const char* entry) {
  return "/proc/" + std::to_string(pid) + "/" + entry;
}

std::vector<std::uint64_t> register_set(pid_t tid, unsigned long type) {
  std::vector<std::uint64_t> words(2048);  // XSAVE with AVX-512 and AMX is about 11 KiB
  iovec buffer{words.data(), words.size() * sizeof(std::uint64_t)};
  if (ptrace(PTRACE_GETREGSET, tid, type, &buffer) != 0) return {};
  words.resize(buffer.iov_len / sizeof(std::uint64_t));
  return words;
}

Thread read_thread(pid_t tid) {
  Thread thread;
  thread.tid = tid;
  thread.words = register_set(tid, NT_PRSTATUS);
  if (thread.words.size() * sizeof(std::uint64_t) < sizeof(user_regs_struct)) {
    throw std::runtime_error("no registers of thread " + std::to_string(tid));
  }
  user_regs_struct registers;
  std::memcpy(&registers, thread.words.data(), sizeof registers);
  thread.stack_pointer = registers.rsp;
  const auto extended = register_set(tid, NT_X86_XSTATE);
  thread.words.insert(thread.words.end(), extended.begin(), extended.end());
  return thread;
}

// Returns false for a thread that is gone, or is a zombie leader, which has no registers.
bool hold(pid_t tid) {
  if (ptrace(PTRACE_SEIZE, tid, nullptr, nullptr) != 0) {
    std::fprintf(stderr, "reach_judge: thread %d not held: %s\n", tid, std::strerror(errno));
    return false;
  }
  if (ptrace(PTRACE_INTERRUPT, tid, nullptr, nullptr) != 0) return false;
  int status = 0;
  return waitpid(tid, &status, __WALL) == tid && WIFSTOPPED(status);
}

}  // namespace

Process::Process(pid_t pid) : pid_(pid) {
  memory_ = open(proc_path(pid, "mem").c_str(), O_RDONLY | O_CLOEXEC);
  if (memory_ < 0) throw std::runtime_error("cannot open " + proc_path(pid, "mem"));
  hold_all_threads();
  if (threads_.empty()) throw std::runtime_error("no thread could be held");
  read_mappings();
}

Process::~Process() {
  for (const Thread& thread : threads_) ptrace(PTRACE_DETACH, thread.tid, nullptr, nullptr);
  close(memory_);
}

// Threads may be created while others are being held: repeat until a pass finds none.
void Process::hold_all_threads() {
  std::vector<pid_t> seen;
  for (bool found = true; found;) {
    found = false;
    for (const auto& entry : std::filesystem::directory_iterator(proc_path(pid_, "task"))) {
      const pid_t tid = std::stoi(entry.path().filename().string());
      if (std::find(seen.begin(), seen.end(), tid) != seen.end()) continue;
      seen.push_back(tid);
      found = true;
      if (hold(tid)) threads_.push_back(read_thread(tid));
    }
  }
}

void Process::read_mappings() {
  std::ifstream file(proc_path(pid_, "maps"));
  for (std::string line; std::getline(file, line);) {
    unsigned long long begin = 0;
    unsigned long long end = 0;
    unsigned long long offset = 0;
    char perms[8] = {};
    int name_at = 0;
    if (std::sscanf(line.c_str(), "%llx-%llx %7s %llx %*s %*s %n", &begin, &end, perms, &offset,
                    &name_at) < 4) {
      throw std::runtime_error("cannot parse a line of /proc/PID/maps: " + line);
    }
    const std::string name = static_cast<std::size_t>(name_at) < line.size()
                                 ? line.substr(static_cast<std::size_t>(name_at))
                                 : std::string();
    mappings_.push_back(
        {begin, end, offset, perms[0] == 'r', perms[1] == 'w', perms[3] == 's', name});
  }
}

const Mapping* Process::mapping_of(std::uint64_t address) const {
  const auto after =
      std::upper_bound(mappings_.begin(), mappings_.end(), address,
                       [](std::uint64_t value, const Mapping& m) { return value < m.begin; });
  if (after == mappings_.begin()) return nullptr;
  const Mapping& candidate = *std::prev(after);
  return candidate.contains(address) ? &candidate : nullptr;
}

std::vector<std::uint64_t> Process::read_words(std::uint64_t begin, std::uint64_t end) const {
  begin = (begin + 7) & ~std::uint64_t{7};
  end &= ~std::uint64_t{7};
  if (end <= begin) return {};
  std::vector<std::uint64_t> words((end - begin) / 8);
  std::size_t done = 0;
  while (done < words.size() * 8) {
    const ssize_t n = pread(memory_, reinterpret_cast<char*>(words.data()) + done,
                            words.size() * 8 - done, static_cast<off_t>(begin + done));
    // An unreadable page (of a file that has been cut, say) stays zero; the next one may be fine.
    done = n > 0 ? done + static_cast<std::size_t>(n)
                 : static_cast<std::size_t>(((begin + done) / kPage + 1) * kPage - begin);
  }
  return words;
}

}  // namespace witness
