/* Single-steps a call through the PLT with lazy binding and aborts at the Nth instruction, in the
 * handler of SIGTRAP: at the call, in the stub, in PLT0, in the resolver, … */
#define _GNU_SOURCE
#include <signal.h>
#include <stdlib.h>
#include <string.h>

static volatile int steps, wanted;
volatile int sink;

static void on_step(int number) {
  sink = number;
  if (++steps == wanted) abort();
}

__attribute__((noinline)) static void step_into(int value) {
  __asm__ volatile("pushfq; orq $0x100, (%%rsp); popfq" ::: "memory", "cc");
  sink += (int)random();
  __asm__ volatile("pushfq; andq $~0x100, (%%rsp); popfq" ::: "memory", "cc");
  sink += value;
}

int main(int argc, char** argv) {
  struct sigaction action;
  wanted = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 1;
  memset(&action, 0, sizeof action);
  action.sa_handler = on_step;
  sigaction(SIGTRAP, &action, NULL);
  step_into(argc);
  return 1;
}
