/* Blocks whose last pointer is no plain one: to the inside, with a tag, past the end, unaligned,
   combined with another; in the red zone, in a register, in a freed block. */
#include <malloc.h>
#include <pthread.h>

#include "note.h"

static volatile uintptr_t inside, low_tag, high_tag, end_of_chunk, end_of_request, combined;
static struct __attribute__((packed)) {
  char kind;
  void* volatile block;
} packed_slot;

NOINLINE static void keep(void) {
  inside = (uintptr_t)block_named("inside") + 16;
  low_tag = (uintptr_t)block_named("low tag") | 1;
  high_tag = (uintptr_t)block_named("high tag") | (uintptr_t)0x5a << 56;
  combined = (uintptr_t)block_named("combined") ^ (uintptr_t)&combined;
  packed_slot.block = block_named("packed");
}

/* To the first byte that is not the block's: one is followed by its allocator's slack, the other by
   the next chunk's header at once. */
NOINLINE static void keep_ends(void) {
  char* block = block_named("end of the chunk");
  if (malloc_usable_size(block) != 1000) _exit(2);
  end_of_chunk = (uintptr_t)block + 1000;
  block = block_of("end of the request", 995);
  end_of_request = (uintptr_t)block + 995;
}

/* Last of all, so that nothing takes the freed memory again. */
NOINLINE static void keep_in_freed(void* volatile* freed, void* volatile* cached) {
  freed[100] = block_named("in a freed block");
  cached[10] = block_of("in a cached block", 3000);
  free((void*)freed);
  free((void*)cached);
}

NOINLINE static void lose_chain(void) {
  void* volatile* head = block_named("head");
  head[3] = block_named("member");
}

NOINLINE static void lose_cycle(void) {
  void* volatile* one = block_named("cycle");
  void* volatile* other = block_named("cycle too");
  one[3] = (void*)other;
  other[3] = (void*)one;
}

#if defined(__x86_64__)
static volatile int running;

/* Forgets the block but for what `keep` does with rdi, in every register and on the stack. */
#define SPIN_AFTER(keep, block)                                                                  \
  __asm__ volatile(keep                                                                          \
                   "xorl %%edi, %%edi; xorl %%eax, %%eax; xorl %%ebx, %%ebx; xorl %%ecx, %%ecx;" \
                   "xorl %%edx, %%edx; xorl %%esi, %%esi; xorl %%r8d, %%r8d; xorl %%r9d, %%r9d;" \
                   "xorl %%r10d, %%r10d; xorl %%r11d, %%r11d; xorl %%r12d, %%r12d;"              \
                   "xorl %%r13d, %%r13d; xorl %%r15d, %%r15d; lock incl %1; 1: pause; jmp 1b"    \
                   : "+D"(block), "+m"(running)::"memory", "cc", "rax", "rbx", "rcx", "rdx",     \
                     "rsi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15")

static void* red_zone(void* unused) {
  void* block = block_named("red zone");
  scrub();
  SPIN_AFTER("movq %%rdi, -64(%%rsp); xorl %%r14d, %%r14d;", block);
  return unused;
}

static void* odd_register(void* unused) {
  void* block = block_named("odd register");
  scrub();
  SPIN_AFTER("leaq 5(%%rdi), %%r14;", block);
  return unused;
}

static void spin(void) {
  pthread_t thread;
  pthread_create(&thread, NULL, red_zone, NULL);
  pthread_create(&thread, NULL, odd_register, NULL);
  while (running != 2) usleep(1000);
}
#else
static void spin(void) {}
#endif

NOINLINE static void keep_all(void) {
  void* freed = malloc(2000);
  void* cached = malloc(200);
  keep();
  keep_ends();
  lose_chain();
  lose_cycle();
  spin();
  keep_in_freed(freed, cached);
}

int main(void) {
  keep_all();
  wait_for_the_test();
  _exit(0);
}
