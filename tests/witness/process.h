// A process held still with ptrace: its threads' registers, its mappings, its memory.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

namespace witness {

struct Mapping {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  std::uint64_t file_offset = 0;
  bool readable = false;
  bool writable = false;
  bool shared = false;
  std::string name;  // a path, "[heap]", "[stack]", or empty

  [[nodiscard]] bool contains(std::uint64_t address) const {
    return begin <= address && address < end;
  }
  [[nodiscard]] bool is_file() const { return !name.empty() && name[0] == '/'; }
};

struct Thread {
  pid_t tid = 0;
  std::uint64_t stack_pointer = 0;
  // Every 8-byte word of the general registers and of the XSAVE area.
  std::vector<std::uint64_t> words;
};

// Attaches to every thread and interrupts it; the destructor detaches. A process that was stopped
// by a signal before stays stopped, because PTRACE_SEIZE leaves the group stop alone.
class Process {
 public:
  // Throws std::runtime_error when the process cannot be held.
  explicit Process(pid_t pid);
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  [[nodiscard]] pid_t pid() const { return pid_; }
  [[nodiscard]] const std::vector<Thread>& threads() const { return threads_; }
  [[nodiscard]] const std::vector<Mapping>& mappings() const { return mappings_; }

  // The mapping holding `address`, or null.
  [[nodiscard]] const Mapping* mapping_of(std::uint64_t address) const;

  // Words of [begin, end) rounded inwards to multiples of 8; pages that cannot be read are zero.
  // Callers read at most a few MiB at a time.
  [[nodiscard]] std::vector<std::uint64_t> read_words(std::uint64_t begin, std::uint64_t end) const;

 private:
  void hold_all_threads();
  void read_mappings();

  pid_t pid_;
  int memory_ = -1;
  std::vector<Thread> threads_;
  std::vector<Mapping> mappings_;
};

}  // namespace witness
