// Exception objects: one being handled, one that waits in an exception_ptr, one that another thread
// handles while a third one is nested in it; and one that is lost.
#include <pthread.h>

#include <exception>
#include <memory>
#include <thread>

#include "note.h"

namespace {

struct Failure {
  void* payload;
};

std::exception_ptr g_waiting;
pthread_barrier_t g_ready;

NOINLINE std::exception_ptr make(const char* name) {
  return std::make_exception_ptr(Failure{block_named(name)});
}

NOINLINE void fail(const char* name) { throw Failure{block_named(name)}; }

NOINLINE void nested() {
  try {
    fail("outer");
  } catch (...) {
    try {
      fail("inner");
    } catch (const Failure&) {
      scrub();
      pthread_barrier_wait(&g_ready);
      pause();
    }
  }
}

// An exception_ptr that is forgotten without being released.
NOINLINE void lose() {
  alignas(std::exception_ptr) char storage[sizeof(std::exception_ptr)];
  new (storage) std::exception_ptr(make("lost"));
}

}  // namespace

int main() {
  pthread_barrier_init(&g_ready, nullptr, 2);
  std::thread(nested).detach();
  g_waiting = make("waiting");
  lose();
  scrub();
  try {
    fail("handled");
  } catch (...) {
    pthread_barrier_wait(&g_ready);
    wait_for_the_test();
  }
  _exit(0);
}
