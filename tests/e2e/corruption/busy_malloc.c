// Six threads that do nothing but malloc(), realloc() and free(), in arenas of their own and in each
// other's: a core taken at any moment finds some of them in the middle of an update.
//
//   busy_malloc [SINGLE]
//
// With an argument one thread does it all. What is written into the blocks is text up to their very
// ends, which looks most like an overflow when a header is read where none has been written yet.
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { kThreads = 6, kSlots = 512 };

static _Atomic(void*) shared[kSlots];

static void* work(void* seed) {
  unsigned state = (unsigned)(size_t)seed * 2654435761u + 1;
  void* own[kSlots] = {0};
  for (;;) {
    state = state * 1664525u + 1013904223u;
    const unsigned slot = (state >> 8) % kSlots;
    const size_t size = (state >> 20) % 5 == 0 ? 1000 + (state >> 12) % 60000 : (state >> 12) % 900;
    free(own[slot]);
    own[slot] = malloc(size);
    memset(own[slot], 'a' + (int)(state >> 28), size);
    if (state % 7 == 0) own[slot] = atomic_exchange(&shared[slot], own[slot]);
    if (state % 11 == 0) own[slot] = realloc(own[slot], size / 2 + 8);
  }
  return NULL;
}

int main(int argc, char** argv) {
  (void)argv;
  setvbuf(stdout, NULL, _IONBF, 0);
  printf("READY\n");
  for (size_t i = 1; argc < 2 && i < kThreads; ++i) {
    pthread_t thread;
    pthread_create(&thread, NULL, work, (void*)i);
  }
  work(NULL);
}
