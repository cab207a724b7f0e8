// Two threads that rest in pause(), below inlined functions, templates and lambdas, with parameters
// and variables in memory, in registers, in pieces, as constants and as what the caller passed.
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>
struct Big {
  long a[8];
  int x;
};
struct Pair {
  int first;
  long second;
};
static volatile int sink;
int gate;
__attribute__((noinline)) void stop(int why) {
  int local_stop = why * 2;
  sink = local_stop;
  if (gate < 2) pause();
  sink = why;
}
__attribute__((noinline)) long leaf(const char* text, Big big, int n) {
  long total = 0;
  {
    int inner = n + 1;
    for (int i = 0; i < inner; ++i) total += big.a[i & 7];
    static int counter;
    counter += inner;
    stop(counter + (int)total);
    sink = inner;
  }
  return total + text[0];
}
inline __attribute__((always_inline)) int helper(int v, Pair p) {
  int twice = v * 2;
  Pair q = p;
  q.first += twice;
  Big b{};
  b.a[1] = q.second;
  b.x = twice;
  sink = leaf("hello", b, q.first & 3);
  return twice + q.first + b.x;
}
template <class T>
__attribute__((noinline)) T middle(T seed, std::string name, const std::vector<int>& v) {
  T acc = seed;
  int arr[4] = {1, 2, 3, 4};
  sink = arr[(int)seed & 3];
  for (size_t i = 0; i < v.size(); ++i) {
    int elem = v[i];
    Pair p{elem, elem * 3L};
    acc += helper(elem, p);
    sink = p.second;
  }
  sink = name.size();
  return acc;
}
__attribute__((noinline)) int unused_param(int used, int unused, double d) {
  int gone = unused;
  (void)gone;
  float f = d;
  auto lam = [&](int k) {
    int in_lambda = k + used;
    int r = middle<long>(in_lambda, std::string("nm"), {1, 2, 3});
    return r + in_lambda;
  };
  int r = lam(5);
  sink = f;
  return r + used;
}
int main(int argc, char** argv) {
  Big here{};
  here.x = argc;
  std::thread t([&] {
    int tl = 7;
    sink = unused_param(tl, 3, 2.5);
    sink = here.x + tl;
  });
  int r = unused_param(argc, 4, 1.5);
  sink = r + here.x;
  t.join();
  return r;
}
