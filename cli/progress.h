// What is being done, on one line of a terminal, once the work takes over a second: the stage, and
// a bar where it is known how far it is.
//
//   core.zst: unpacking [=========>          ]  47 %
//   core.zst: reading references …
#pragma once

#include <chrono>
#include <cstdint>
#include <ostream>
#include <string>

namespace residue {

class Progress {
 public:
  // `shown`: whether to write at all. `err` outlives this; the line is gone when this is.
  Progress(std::ostream& err, bool shown, const std::string& path,
           std::chrono::milliseconds patience = std::chrono::seconds(1));
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  ~Progress();

  // Whether standard error is a terminal.
  static bool is_terminal();

  void stage(const char* name);
  // May be called as often as one likes.
  void bar(const char* name, uint64_t done, uint64_t total);

 private:
  using Clock = std::chrono::steady_clock;

  void show(const std::string& text, Clock::time_point now);

  std::ostream& err_;
  bool wanted_;
  std::string name_;
  std::chrono::milliseconds patience_;
  Clock::time_point start_;
  Clock::time_point last_bar_;
  bool shown_ = false;
};

}  // namespace residue
