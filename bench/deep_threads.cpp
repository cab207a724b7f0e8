// deep_threads: a process with many threads, each parked at another depth, that aborts to leave a
// core: what `residue stacks` and a debugger are measured on.
//
//   deep_threads [THREADS [MEAN_DEPTH]]    default 200 threads, 18 stages each on average
//
// A stage is what a request goes through in a service: a filter behind a std::function, which calls
// a template, which calls the next stage. Optimized, a stage is a few physical frames with some
// inlined ones, and a thread's end is glibc's and libstdc++'s code, as in any C++ program. Few
// distinct addresses, many frames: the load of a debugger that symbolizes frame by frame, and of
// one that does each address once.
//
// Depths are fixed by the thread's number; stacks stay as shallow in memory as they are, so the
// core is sparse. Prints `threads=` and `stages=` (their sum over all threads) before the end.

#include <poll.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace service {

struct Request {
  unsigned worker = 0;
  unsigned stages_left = 0;
  std::uint64_t checksum = 0;
  std::string text;
};

using Next = std::function<std::uint64_t(Request&)>;

// Where threads end: every third one in each of these.
class Parking {
 public:
  std::uint64_t park(Request& request) {
    parked_.fetch_add(1);
    switch (request.worker % 3) {
      case 0:
        wait_for_signal();
        break;
      case 1:
        while (true) std::this_thread::sleep_for(std::chrono::hours(1));
      default:
        wait_for_input();
        break;
    }
    return request.checksum;
  }

  void wait_until_parked(unsigned threads) const {
    while (parked_.load() < threads) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    // They have said that they are about to block; this is the time in which they do.
    std::this_thread::sleep_for(std::chrono::milliseconds(500));
  }

 private:
  [[gnu::noinline]] void wait_for_signal() {
    std::unique_lock lock(mutex_);
    never_.wait(lock, [this] { return done_; });
  }
  [[gnu::noinline]] void wait_for_input() {
    std::array<int, 2> ends{};
    if (pipe(ends.data()) != 0) std::abort();
    std::array<pollfd, 1> events{{{ends[0], POLLIN, 0}}};
    while (poll(events.data(), events.size(), -1) <= 0) {
    }
  }

  std::atomic<unsigned> parked_{0};
  std::mutex mutex_;
  std::condition_variable never_;
  bool done_ = false;
};

Parking g_parking;

std::uint64_t run_stage(Request& request);

// Keeps a call from becoming a jump: what it returned is used afterwards.
inline std::uint64_t mixed(std::uint64_t value) {
  return (value ^ (value >> 7U)) * 0x9e3779b97f4a7c15U;
}

template <typename Filter>
struct Middleware {
  Filter filter;

  [[gnu::noinline]] std::uint64_t handle(Request& request) {
    request.text.push_back(static_cast<char>('a' + request.stages_left % 26));
    const std::uint64_t below = filter.template apply<4>(request);
    request.checksum = mixed(below);
    return request.checksum;
  }
};

struct Logging {
  template <unsigned Level>
  [[gnu::noinline]] std::uint64_t apply(Request& request) {
    if constexpr (Level > 3) {
      return mixed(apply<Level - 1>(request));
    } else {
      const Next next = [this](Request& inner) { return mixed(run_stage(inner) + lines); };
      const std::uint64_t below = next(request);
      ++lines;
      return below;
    }
  }
  std::uint64_t lines = 0;
};

struct Quota {
  template <unsigned Level>
  [[gnu::noinline]] std::uint64_t apply(Request& request) {
    const auto limited = [this, &request] { return mixed(run_stage(request) - spent); };
    const std::uint64_t below = limited();
    spent += Level;
    return below;
  }
  std::uint64_t spent = 0;
};

// One stage further, by a filter that depends on how far the request is.
[[gnu::noinline]] std::uint64_t run_stage(Request& request) {
  if (request.stages_left == 0) return mixed(g_parking.park(request));
  --request.stages_left;
  if (request.stages_left % 2 == 0) {
    auto middleware = std::make_unique<Middleware<Logging>>();
    return mixed(middleware->handle(request));
  }
  Middleware<Quota> middleware{};
  return mixed(middleware.handle(request));
}

class Worker {
 public:
  Worker(unsigned number, unsigned stages) : request_{number, stages, number, {}} {}
  void operator()() {
    const Next first = [](Request& request) { return mixed(run_stage(request)); };
    request_.checksum = first(request_);
  }

 private:
  Request request_;
};

// Between half of the mean and one and a half of it, in a fixed order that is not the threads'.
unsigned stages_of(unsigned worker, unsigned mean) {
  const unsigned spread = mean > 1 ? mean : 1;
  return mean / 2 + (worker * 7919U) % spread;
}

}  // namespace service

int main(int argc, char** argv) {
  const unsigned long threads = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 200;
  const unsigned long mean = argc > 2 ? std::strtoul(argv[2], nullptr, 10) : 18;
  if (threads < 1 || threads > 20'000 || mean < 1 || mean > 100'000) {
    std::fputs("usage: deep_threads [THREADS [MEAN_DEPTH]]\n", stderr);
    return 2;
  }
  std::uint64_t stages = 0;
  std::vector<std::thread> workers;
  for (unsigned i = 0; i < threads; ++i) {
    const unsigned own = service::stages_of(i, static_cast<unsigned>(mean));
    workers.emplace_back(service::Worker(i, own));
    stages += own;
  }
  service::g_parking.wait_until_parked(static_cast<unsigned>(threads));
  std::printf("threads=%lu\nstages=%llu\n", threads + 1, static_cast<unsigned long long>(stages));
  std::fflush(stdout);
  std::abort();
}
