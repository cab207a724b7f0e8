// Two hundred threads with deep stacks of many kinds, parked; the main thread aborts.
#include <poll.h>
#include <semaphore.h>
#include <unistd.h>

#include <array>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "park.h"

namespace shop {

#define NOINLINE [[gnu::noinline]]
#define INLINE [[gnu::always_inline]] inline

int sink;

namespace parking {

std::mutex mutex;
std::condition_variable never;
sem_t semaphore;
int pipe_ends[2];

NOINLINE void on_condition() {
  std::unique_lock lock(mutex);
  never.wait(lock, [] { return sink == -1; });
}

NOINLINE void on_semaphore() {
  sem_wait(&semaphore);
  ++sink;
}

NOINLINE void in_poll() {
  pollfd entry{pipe_ends[0], POLLIN, 0};
  sink += poll(&entry, 1, -1);
}

NOINLINE void in_read() {
  char byte;
  sink += int(read(pipe_ends[0], &byte, 1));
}

NOINLINE void in_sleep() {
  std::this_thread::sleep_for(std::chrono::hours(1));
  ++sink;
}

constexpr std::array<void (*)(), 5> kPlaces{on_condition, on_semaphore, in_poll, in_read, in_sleep};

}  // namespace parking

struct Visitor {
  int place;
  virtual ~Visitor() = default;
  virtual void visit(int depth) = 0;
};

INLINE void innermost(int place) {
  parking::kPlaces[size_t(place)]();
  ++sink;
}

INLINE void arrive(int place) {
  innermost(place);
  sink *= 3;
}

template <typename T, int Step>
struct Stair {
  T weight{};

  NOINLINE void climb(int depth, Visitor& visitor) {
    if (depth <= 0) {
      arrive(visitor.place);
    } else {
      hop(depth, visitor);
    }
    weight += T(depth);
  }

  INLINE void hop(int depth, Visitor& visitor) {
    Stair<T, (Step + 1) % 3> next;
    next.climb(depth - 1, visitor);
    sink += int(next.weight);
  }
};

template <typename... Words>
NOINLINE void say(int depth, Visitor& visitor, const Words&... words) {
  sink += int((words.size() + ... + 0));
  visitor.visit(depth);
  ++sink;
}

// The last call of each is a jump: gdb infers these frames from the call sites.
NOINLINE void tail_target(int depth, Visitor& visitor) {
  sink += depth;
  visitor.visit(depth - 1);
  ++sink;
}

NOINLINE void tail_middle(int depth, Visitor& visitor) {
  sink += 2;
  tail_target(depth, visitor);
}

NOINLINE void tail_first(int depth, Visitor& visitor) {
  sink += 3;
  tail_middle(depth - 1, visitor);
}

class Climber final : public Visitor {
 public:
  void visit(int depth) override {
    Stair<long, 0> stair;
    stair.climb(depth, *this);
    sink += int(stair.weight);
  }
};

namespace {

class Caller : public Visitor {
 public:
  NOINLINE void visit(int depth) override {
    std::function<void(int)> step = [this, depth](int left) {
      if (left > 0) {
        visit(left - 1);
      } else {
        arrive(place);
      }
      sink += depth;
    };
    step(depth);
    ++sink;
  }
};

class Talker : public Visitor {
 public:
  void visit(int depth) override {
    if (depth <= 0) return arrive(place);
    say(depth - 1, *this, std::string("alpha"), std::string("beta"));
    ++sink;
  }
};

class Jumper : public Visitor {
 public:
  void visit(int depth) override {
    if (depth <= 0) {
      arrive(place);
      ++sink;
      return;
    }
    tail_first(depth, *this);
    ++sink;
  }
};

}  // namespace

struct Sorter : Visitor {
  void visit(int depth) override {
    std::vector<int> numbers{3, 1, 2};
    auto order = [&](auto left, auto right) {
      if (depth > 0) {
        visit(depth - 1);
      } else {
        arrive(place);
      }
      return left < right;
    };
    qsort_with(numbers, order);
  }

  template <typename Order>
  static void qsort_with(std::vector<int>& numbers, Order& order) {
    thread_local Order* current;
    current = &order;
    std::qsort(numbers.data(), numbers.size(), sizeof(int), [](const void* a, const void* b) {
      return int((*current)(*static_cast<const int*>(a), *static_cast<const int*>(b)));
    });
    ++sink;
  }
};

template <typename T>
std::unique_ptr<Visitor> make(int place) {
  auto visitor = std::make_unique<T>();
  visitor->place = place;
  return visitor;
}

NOINLINE void run(int number) {
  const int place = number / 5 % 5;
  std::unique_ptr<Visitor> visitor;
  switch (number % 5) {
    case 0:
      visitor = make<Climber>(place);
      break;
    case 1:
      visitor = make<Caller>(place);
      break;
    case 2:
      visitor = make<Talker>(place);
      break;
    case 3:
      visitor = make<Jumper>(place);
      break;
    default:
      visitor = make<Sorter>(place);
      break;
  }
  visitor->visit(8 + number % 50);
  ++sink;
}

}  // namespace shop

int main(int argc, char** argv) {
  const int count = argc > 1 ? atoi(argv[1]) : 200;
  sem_init(&shop::parking::semaphore, 0, 0);
  if (pipe(shop::parking::pipe_ends)) return 1;
  std::vector<std::thread> threads;
  for (int number = 0; number < count; ++number) {
    threads.emplace_back([number] { shop::run(number); });
  }
  wait_until_asleep(count);
  if (argc > 2) pause();
  abort();
}
