// What dwarf_gdb_test.py compiles in many ways: inlined functions in one another, templates,
// unnamed namespaces, lambdas, local classes, cold paths, operators.
#include <algorithm>
#include <cstdlib>
#include <functional>
#include <map>
#include <string>
#include <vector>

#define APART __attribute__((noinline))

namespace {
namespace inner {
struct Guard {
  int value;
  APART int get(int x) {
    if (x > 1000) abort();
    return value + x;
  }
};
}  // namespace inner

template <typename T>
APART T through(T a, int n) {
  inner::Guard guard{n};
  return a + guard.get(n);
}
}  // namespace

namespace ns {
inline namespace v1 {
template <typename T, int N>
struct Box {
  T items[N];
  APART T sum(int k) const {
    T total{};
    for (const T& item : items) total += item;
    return total + through(k, k);
  }
  struct Helper {
    static APART int help(int x) { return through(x, x + 1); }
  };
  explicit operator bool() const { return items[0] != 0; }
  bool operator<(const Box& other) const { return sum(3) < other.sum(4); }
};
}  // namespace v1
}  // namespace ns

static APART int plain(int a) { return static_cast<int>(ns::Box<int, 3>{{a, 2, 3}}.sum(a)); }

extern "C" APART int c_function(int a) {
  struct Local {
    int offset;
    APART int run(int z) { return plain(z) + offset; }
  };
  Local local{a};
  return local.run(a);
}

template <typename F>
APART int call(F f) {
  return f(7);
}

int main(int argc, char** argv) {
  const auto lambda = [&](int x) APART { return c_function(x + argc); };
  const std::function<int(int)> wrapped = [argc](int x) { return c_function(x * argc); };
  std::vector<int> numbers{3, 1, argc};
  std::sort(numbers.begin(), numbers.end(), [](int a, int b) { return c_function(a) < b; });
  std::map<std::string, ns::Box<long, 2>> boxes;
  boxes[argv[0]] = {{1, 2}};
  const ns::Box<int, 3> box{{1, 2, 3}};
  int result = call(lambda) + wrapped(argc) + numbers[0] + ns::Box<long, 2>::Helper::help(3);
  result += (box < box ? 1 : 0) + (box ? 2 : 0) + static_cast<int>(boxes.size());
  return result == 0 ? plain(1000) : 0;
}
