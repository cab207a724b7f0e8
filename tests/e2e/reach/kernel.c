/* Blocks that only the kernel knows: user data of epoll, of a timer, of a queued signal. */
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>

#include "note.h"

NOINLINE static void give_to_epoll(int epoll) {
  struct epoll_event event = {.events = EPOLLIN, .data = {.ptr = block_named("epoll")}};
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, eventfd(0, 0), &event) != 0) _exit(2);
  memset(&event, 0, sizeof event);
}

NOINLINE static void give_to_timer(void) {
  timer_t timer;
  struct sigevent event;
  memset(&event, 0, sizeof event);
  event.sigev_notify = SIGEV_SIGNAL;
  event.sigev_signo = SIGRTMIN;
  event.sigev_value.sival_ptr = block_named("timer");
  if (timer_create(CLOCK_MONOTONIC, &event, &timer) != 0) _exit(2);
  memset(&event, 0, sizeof event);
}

NOINLINE static void give_to_signal(void) {
  sigset_t set;
  union sigval value;
  sigemptyset(&set);
  sigaddset(&set, SIGRTMIN);
  sigprocmask(SIG_BLOCK, &set, NULL);
  value.sival_ptr = block_named("signal");
  if (sigqueue(getpid(), SIGRTMIN, value) != 0) _exit(2);
}

int main(void) {
  give_to_epoll(epoll_create1(0));
  give_to_timer();
  give_to_signal();
  wait_for_the_test();
  _exit(0);
}
