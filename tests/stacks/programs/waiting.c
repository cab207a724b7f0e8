/* Threads in the waits that libc has; the harness stops the program from outside. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER, held = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t never = PTHREAD_COND_INITIALIZER;
static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static pthread_barrier_t barrier;
static sem_t semaphore;
static int ends[2];
volatile int sink;

static void* in_cond_wait(void* x) {
  pthread_mutex_lock(&mutex);
  while (!sink) pthread_cond_wait(&never, &mutex);
  return x;
}

static void* in_timed_wait(void* x) {
  struct timespec end;
  clock_gettime(CLOCK_REALTIME, &end);
  end.tv_sec += 3600;
  sink += sem_timedwait(&semaphore, &end);
  return x;
}

static void* in_mutex(void* x) {
  pthread_mutex_lock(&held);
  ++sink;
  return x;
}

static void* in_rwlock(void* x) {
  pthread_rwlock_wrlock(&rwlock);
  ++sink;
  return x;
}

static void* in_barrier(void* x) {
  pthread_barrier_wait(&barrier);
  ++sink;
  return x;
}

static void* in_poll(void* x) {
  struct pollfd entry = {ends[0], POLLIN, 0};
  sink += poll(&entry, 1, -1);
  return x;
}

static void* in_select(void* x) {
  fd_set set;
  FD_ZERO(&set);
  FD_SET(ends[0], &set);
  sink += select(ends[0] + 1, &set, NULL, NULL, NULL);
  return x;
}

static void* in_epoll(void* x) {
  struct epoll_event event;
  sink += epoll_wait(epoll_create1(0), &event, 1, -1);
  return x;
}

static void* in_nanosleep(void* x) {
  const struct timespec hour = {3600, 0};
  sink += nanosleep(&hour, NULL);
  return x;
}

static void* in_sleep(void* x) {
  sink += (int)sleep(3600);
  return x;
}

static void* in_read(void* x) {
  char byte;
  sink += (int)read(ends[0], &byte, 1);
  return x;
}

static void* in_sigwait(void* x) {
  sigset_t set;
  int number;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  pthread_sigmask(SIG_BLOCK, &set, NULL);
  sink += sigwait(&set, &number);
  return x;
}

static void* in_pause(void* x) {
  sink += pause();
  return x;
}

int main(void) {
  void* (*places[])(void*) = {in_cond_wait, in_timed_wait, in_mutex,  in_rwlock, in_barrier,
                              in_poll,      in_select,     in_epoll,  in_nanosleep, in_sleep,
                              in_read,      in_sigwait,    in_pause};
  const unsigned count = sizeof places / sizeof places[0];
  pthread_t threads[32];
  unsigned i;
  if (pipe(ends)) return 1;
  sem_init(&semaphore, 0, 0);
  pthread_barrier_init(&barrier, NULL, 2);
  pthread_mutex_lock(&held);
  pthread_rwlock_rdlock(&rwlock);
  for (i = 0; i < count; ++i) {
    if (pthread_create(&threads[i], NULL, places[i], NULL)) return 1;
  }
  pthread_join(threads[0], NULL);
  return 0;
}
