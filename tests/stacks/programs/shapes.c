/* One of each in plain C: inlined calls, tail calls, recursion, a call from libc, threads; then a
 * crash. For C libraries and machines where there is no C++. */
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <unistd.h>

#include "park.h"

#define NOINLINE __attribute__((noinline))
#define INLINE __attribute__((always_inline)) static inline

volatile int sink;
static sem_t never;
static int threads = 3;

struct pair {
  int low, high;
};

NOINLINE static void wait_for_ever(void) {
  sem_wait(&never);
  ++sink;
}

INLINE void inner(int depth) {
  if (depth == 1) {
    wait_for_ever();
    ++sink;
  }
}

INLINE void middle(int depth) {
  sink += depth;
  inner(depth);
  sink -= depth;
}

NOINLINE static int recurse(int depth) {
  if (depth > 1) {
    const int below = recurse(depth - 1);
    return below + sink;
  }
  middle(depth);
  return sink;
}

NOINLINE static void jumped_to(int depth) {
  sink += recurse(depth);
  ++sink;
}

NOINLINE static void jumps(int depth) {
  sink += 5;
  jumped_to(depth + 1);
}

static void* work(void* argument) {
  const int number = *(int*)argument;
  jumps(number * 4);
  ++sink;
  return NULL;
}

NOINLINE static void crash(const struct pair* pair) {
  sink = pair->high;
  *(volatile int*)0 = pair->low;
}

static int order(const void* left, const void* right) {
  const struct pair pair = {*(const int*)left, *(const int*)right};
  crash(&pair);
  return sink;
}

NOINLINE static void sort(void) {
  int numbers[] = {5, 4, 3};
  qsort(numbers, 3, sizeof numbers[0], order);
  ++sink;
}

/* Nothing of libc between the crash and main. */
NOINLINE static void crash_below(int depth) {
  const struct pair pair = {depth, sink};
  if (depth > 0) {
    crash_below(depth - 1);
  } else {
    crash(&pair);
  }
  ++sink;
}

int main(int argc, char** argv) {
  static int numbers[8];
  int i;
  (void)argv;
  if (argc > 1) crash_below(9);
  sem_init(&never, 0, 0);
  for (i = 0; i < threads; ++i) {
    pthread_t thread;
    numbers[i] = i + 1;
    if (pthread_create(&thread, NULL, work, &numbers[i])) return 1;
  }
  wait_until_asleep(threads);
  sort();
  return sink;
}
