/* Signal handlers that abort(), so that the core is taken in the middle of them. The argument says
 * what was interrupted. */
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "park.h"

#define NOINLINE __attribute__((noipa))

volatile int sink;
static pthread_t main_thread;

NOINLINE static void deeper(int depth) {
  if (depth == 0) abort();
  deeper(depth - 1);
  ++sink;
}

/* For a libc without call frame information, through which nobody can unwind. */
static void traps(int number) {
  sink = number;
  __builtin_trap();
}

static void fatal(int number) {
  sink = number;
  deeper(3);
  ++sink;
}

static void fatal_info(int number, siginfo_t* info, void* context) {
  sink = number + (info && context);
  deeper(2);
  ++sink;
}

static void raises_another(int number) {
  sink = number;
  raise(SIGUSR2);
  ++sink;
}

static void handle(int number, void (*handler)(int), int flags) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = handler;
  action.sa_flags = flags;
  sigaction(number, &action, NULL);
}

/* No frame of its own: the interrupted function has touched neither stack nor frame pointer. */
NOINLINE static int leaf(const int* pointer) { return *pointer; }

/* Its very first instruction faults: a look-up of pc - 1 would name the function before it. */
NOINLINE static void first_instruction(void) { __builtin_trap(); }

NOINLINE static int divide(int one, int other) { return one / other; }

static void* kick(void* argument) {
  wait_until_asleep(1);
  pthread_kill(main_thread, SIGUSR1);
  for (;;) pause();
  return argument;
}

NOINLINE static void sleep_in_a_syscall(void) {
  pthread_t thread;
  main_thread = pthread_self();
  if (pthread_create(&thread, NULL, kick, NULL)) exit(1);
  sink += poll(NULL, 0, 60000);
  ++sink;
}

NOINLINE static void on_another_stack(void) {
  static char memory[1 << 16];
  stack_t stack;
  struct sigaction action;
  memset(&stack, 0, sizeof stack);
  stack.ss_sp = memory;
  stack.ss_size = sizeof memory;
  sigaltstack(&stack, NULL);
  memset(&action, 0, sizeof action);
  action.sa_sigaction = fatal_info;
  action.sa_flags = SA_ONSTACK | SA_SIGINFO;
  sigaction(SIGSEGV, &action, NULL);
  sink += leaf(NULL);
  ++sink;
}

NOINLINE static void overflow(int depth) {
  volatile char room[2048];
  room[0] = (char)depth;
  overflow(depth + 1);
  sink += room[0];
}

NOINLINE static void overflow_with_a_handler(void) {
  struct sigaction action;
  static char memory[1 << 16];
  stack_t stack;
  memset(&stack, 0, sizeof stack);
  stack.ss_sp = memory;
  stack.ss_size = sizeof memory;
  sigaltstack(&stack, NULL);
  memset(&action, 0, sizeof action);
  action.sa_handler = fatal;
  action.sa_flags = SA_ONSTACK;
  sigaction(SIGSEGV, &action, NULL);
  overflow(0);
  ++sink;
}

int main(int argc, char** argv) {
  const char* mode = argc > 1 ? argv[1] : "";
  if (!strcmp(mode, "leaf")) {
    handle(SIGSEGV, fatal, 0);
    sink += leaf(NULL);
  } else if (!strcmp(mode, "trap")) {
    handle(SIGSEGV, traps, 0);
    sink += leaf(NULL);
  } else if (!strcmp(mode, "altstack")) {
    on_another_stack();
  } else if (!strcmp(mode, "nested")) {
    handle(SIGUSR1, raises_another, 0);
    handle(SIGUSR2, fatal, 0);
    raise(SIGUSR1);
  } else if (!strcmp(mode, "syscall")) {
    handle(SIGUSR1, fatal, 0);
    sleep_in_a_syscall();
  } else if (!strcmp(mode, "first-instruction")) {
    handle(SIGILL, fatal, 0);
    handle(SIGTRAP, fatal, 0);
    first_instruction();
  } else if (!strcmp(mode, "divide")) {
    handle(SIGFPE, fatal, SA_NODEFER);
    sink += divide(argc, argc - 2);
  } else if (!strcmp(mode, "overflow")) {
    overflow_with_a_handler();
  }
  return 1;
}
