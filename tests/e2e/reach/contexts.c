/* Stacks that are no thread's: of a suspended context, of the one that runs, of a signal handler. */
#include <signal.h>
#include <ucontext.h>

#include "note.h"

enum { kStack = 256 * 1024 };

static ucontext_t own, suspended, running;

static void suspend(void) {
  void* volatile on_stack[4] = {block_named("on a suspended stack")};
  scrub();
  swapcontext(&suspended, &own);
  (void)on_stack[0];
}

static void on_signal(int number) {
  void* volatile on_stack[4] = {block_named("on a signal handler's stack")};
  (void)number;
  wait_for_the_test();
  (void)on_stack[0];
}

static void run(void) {
  void* volatile on_stack[4] = {block_named("on a running stack")};
  raise(SIGUSR1);
  (void)on_stack[0];
}

NOINLINE static void start(ucontext_t* context, void (*function)(void)) {
  getcontext(context);
  context->uc_stack.ss_sp = malloc(kStack);
  context->uc_stack.ss_size = kStack;
  context->uc_link = NULL;
  makecontext(context, function, 0);
  swapcontext(&own, context);
}

int main(void) {
  void* volatile on_stack[4] = {block_named("on the thread's stack")};
  stack_t alternate = {.ss_size = kStack};
  struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_ONSTACK};
  alternate.ss_sp = malloc(kStack);
  sigaltstack(&alternate, NULL);
  sigaction(SIGUSR1, &action, NULL);
  start(&suspended, suspend);
  start(&running, run);
  (void)on_stack[0];
  _exit(0);
}
