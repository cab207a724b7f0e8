// One of each of C++: templates, virtual calls, lambdas, inlined and tail calls, anonymous and
// nested namespaces, constructors, operators, threads; then abort(). Built in many ways.
#include <semaphore.h>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "park.h"

#define NOINLINE __attribute__((noinline))
#define INLINE __attribute__((always_inline)) inline

int sink;
sem_t never;

namespace outer {
inline namespace v2 {

NOINLINE void wait_for_ever() {
  sem_wait(&never);
  ++sink;
}

template <typename T, int N = 3>
struct Box {
  T value;

  NOINLINE explicit Box(T start) : value(start) { fill(N); }
  NOINLINE ~Box() { empty(); }

  INLINE void fill(int count) {
    value += T(count);
    if (count > 2) peak();
  }
  NOINLINE void empty() { sink -= int(value); }
  NOINLINE void peak();
  NOINLINE Box& operator+=(const Box& other) {
    value += other.value;
    other.touch(*this);
    ++sink;
    return *this;
  }
  NOINLINE operator bool() const {
    wait_for_ever();
    return value != T{};
  }
  INLINE void touch(Box& other) const {
    if (other) ++sink;
    sink += 2;
  }
};

template <typename T, int N>
void Box<T, N>::peak() {
  sink += int(value);
}

}  // namespace v2

namespace {

struct Shape {
  virtual ~Shape() = default;
  virtual int area(int depth) const = 0;
};

struct Square : Shape {
  NOINLINE int area(int depth) const override {
    Box<long> left(1), right(depth);
    left += right;
    return int(left.value) + sink;
  }
};

NOINLINE void jumped_to(const Shape& shape, int depth) {
  sink += shape.area(depth);
  ++sink;
}

NOINLINE void jumps(const Shape& shape, int depth) {
  sink += 7;
  jumped_to(shape, depth + 1);
}

template <typename Action>
NOINLINE void each(const std::vector<int>& numbers, Action action) {
  std::for_each(numbers.begin(), numbers.end(), [&](int number) {
    action(number, std::string("x"));
    ++sink;
  });
}

}  // namespace

class Machine {
 public:
  NOINLINE void start(int depth) {
    each({depth}, [this](int number, const std::string& name) {
      steps_.push_back(name);
      go(number);
      ++sink;
    });
  }

 private:
  void go(int depth) {
    if (depth > 0) {
      start(depth - 1);
    } else {
      jumps(*shape_, depth);
    }
    ++sink;
  }

  std::unique_ptr<Shape> shape_ = std::make_unique<Square>();
  std::vector<std::string> steps_;
};

NOINLINE void fail(std::function<void()> how) {
  how();
  ++sink;
}

}  // namespace outer

extern "C" NOINLINE void plain_c_name(int depth) {
  outer::Machine machine;
  machine.start(depth);
  ++sink;
}

int main() {
  sem_init(&never, 0, 0);
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) threads.emplace_back(plain_c_name, i);
  wait_until_asleep(3);
  outer::fail([] { std::abort(); });
  return sink;
}
