/* A thread has ended; glibc keeps its stack, and on it lies the last pointer to a block. */
#include <pthread.h>

#include "note.h"

static void* lose(void* unused) {
  void* volatile last[64];
  (void)unused;
  for (int i = 0; i < 64; ++i) last[i] = NULL;
  last[17] = block_named("on the stack of an ended thread");
  (void)last[17];
  return NULL;
}

NOINLINE static void run(void) {
  pthread_t thread;
  pthread_create(&thread, NULL, lose, NULL);
  pthread_join(thread, NULL);
}

NOINLINE static void lose_below(void) {
  void* volatile last[4096]; /* deep enough for what the calls after this write */
  for (int i = 0; i < 4096; ++i) last[i] = NULL;
  last[17] = block_of("below the stack pointer", 2000);
  (void)last[17];
}

int main(void) {
  run();
  scrub();
  lose_below();
  wait_as_it_is();
  _exit(0);
}
