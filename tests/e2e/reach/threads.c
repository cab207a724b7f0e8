/* Blocks that only thread-local memory keeps, static and dynamic, and only pthread_setspecific(). */
#include <dlfcn.h>
#include <pthread.h>

#include "note.h"

enum { kThreads = 3, kFirstLevel = 32 };

static __thread void* volatile own_slots[4];
static pthread_key_t first_key, second_key;
static void (*keep_in_library)(const char* name);
static pthread_barrier_t ready;

static const char* const names[kThreads][4] = {
    {"static 0", "dynamic 0", "first level 0", "second level 0"},
    {"static 1", "dynamic 1", "first level 1", "second level 1"},
    {"static 2", "dynamic 2", "first level 2", "second level 2"},
};

NOINLINE static void keep(const char* const* name) {
  own_slots[2] = block_named(name[0]);
  keep_in_library(name[1]);
  pthread_setspecific(first_key, block_named(name[2]));
  pthread_setspecific(second_key, block_named(name[3]));
}

static void* run(void* argument) {
  keep(names[(intptr_t)argument]);
  scrub();
  pthread_barrier_wait(&ready);
  pause();
  return NULL;
}

NOINLINE static void lose(void) { block_named("lost"); }

int main(int argc, char** argv) {
  void* library = dlopen(argc > 1 ? argv[1] : "", RTLD_NOW);
  if (library == NULL) return 2;
  keep_in_library = (void (*)(const char*))dlsym(library, "keep_in_library");
  pthread_key_create(&first_key, NULL);
  for (int i = 0; i < kFirstLevel; ++i) pthread_key_create(&second_key, NULL);
  pthread_barrier_init(&ready, NULL, kThreads);
  for (intptr_t i = 1; i < kThreads; ++i) {
    pthread_t thread;
    pthread_create(&thread, NULL, run, (void*)i);
  }
  keep(names[0]);
  lose();
  pthread_barrier_wait(&ready);
  wait_for_the_test();
  _exit(0);
}
