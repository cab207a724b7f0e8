// parallel_for: the same work on many independent items, on a few threads.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace residue {

// How many workers `jobs` asks for; 0 means one for each processor.
inline unsigned worker_count(unsigned jobs) {
  return jobs != 0 ? jobs : std::max(1U, std::thread::hardware_concurrency());
}

// Calls `work(i)` once for every i < n, on up to `jobs` threads (0: one for each processor), in no
// particular order; returns when all have ended. The calling thread works too. An exception ends
// the hand-out of items and is thrown again here.
template <typename Work>
void parallel_for(size_t n, unsigned jobs, Work&& work) {
  std::atomic<size_t> next{0};
  std::mutex mutex;
  std::exception_ptr failure;
  const auto run = [&] {
    try {
      for (size_t i = next++; i < n; i = next++) work(i);
    } catch (...) {
      next = n;
      const std::lock_guard lock(mutex);
      failure = std::current_exception();
    }
  };
  std::vector<std::thread> helpers;
  const size_t workers = std::min<size_t>(worker_count(jobs), n);
  for (size_t w = 1; w < workers; ++w) helpers.emplace_back(run);
  run();
  for (std::thread& helper : helpers) helper.join();
  if (failure) std::rethrow_exception(failure);
}

}  // namespace residue
