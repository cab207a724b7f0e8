/* A timer interrupts a loop of clock_gettime() until it has hit the vdso; then abort(). */
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/time.h>
#include <time.h>
#include <ucontext.h>

volatile long sink;

static void on_timer(int number, siginfo_t* info, void* context) {
  const uintptr_t start = (uintptr_t)getauxval(AT_SYSINFO_EHDR);
  const uintptr_t pc = (uintptr_t)((ucontext_t*)context)->uc_mcontext.gregs[REG_RIP];
  (void)number;
  (void)info;
  if (start && pc >= start && pc < start + 8192) abort();
}

__attribute__((noinline)) static void watch_the_clock(void) {
  struct timespec now;
  for (;;) {
    clock_gettime(CLOCK_MONOTONIC, &now);
    sink += now.tv_nsec;
  }
}

int main(void) {
  const struct itimerval often = {{0, 1013}, {0, 1013}};
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_sigaction = on_timer;
  action.sa_flags = SA_SIGINFO;
  sigaction(SIGALRM, &action, NULL);
  setitimer(ITIMER_REAL, &often, NULL);
  watch_the_clock();
  return 0;
}
