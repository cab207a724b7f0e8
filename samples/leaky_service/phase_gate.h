// PhaseGate lets a fixed number of workers run one phase at a time and park in between.
//
// The controller calls open_phase() and wait_until_done(); every worker loops on
// wait_for_phase() and report_done(). While parked, a worker sits in a condition variable with
// nothing of the phase's work on its live stack.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>

namespace service {

class PhaseGate {
 public:
  explicit PhaseGate(std::uint64_t workers) : workers_(workers) {}

  void open_phase() {
    const std::scoped_lock lock(mutex_);
    tickets_ = workers_;
    running_ = workers_;
    opened_.notify_all();
  }

  // Returns false when the gate has been closed for good.
  bool wait_for_phase() {
    std::unique_lock lock(mutex_);
    opened_.wait(lock, [this] { return closed_ || tickets_ > 0; });
    if (closed_) return false;
    --tickets_;
    return true;
  }

  void report_done() {
    const std::scoped_lock lock(mutex_);
    if (--running_ == 0) done_.notify_one();
  }

  void wait_until_done() {
    std::unique_lock lock(mutex_);
    done_.wait(lock, [this] { return running_ == 0; });
  }

  void close() {
    const std::scoped_lock lock(mutex_);
    closed_ = true;
    opened_.notify_all();
  }

 private:
  const std::uint64_t workers_;
  std::mutex mutex_;
  std::condition_variable opened_;
  std::condition_variable done_;
  std::uint64_t tickets_ = 0;  // phases not yet taken up; one worker may take two, which is fine
  std::uint64_t running_ = 0;
  bool closed_ = false;
};

}  // namespace service
