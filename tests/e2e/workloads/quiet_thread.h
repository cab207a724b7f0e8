// Waiting for ever without what the last calls left in registers: that would be a root.
#pragma once

#include <unistd.h>

static __attribute__((noreturn)) void wait_quietly(void) {
#if defined(__x86_64__)
#define CLEAR(n) "pxor %%xmm" #n ", %%xmm" #n "\n"
  __asm__ volatile(
      CLEAR(0) CLEAR(1) CLEAR(2) CLEAR(3) CLEAR(4) CLEAR(5) CLEAR(6) CLEAR(7) CLEAR(8) CLEAR(9)
      CLEAR(10) CLEAR(11) CLEAR(12) CLEAR(13) CLEAR(14) CLEAR(15)
      "xor %%ebx, %%ebx; xor %%edx, %%edx; xor %%esi, %%esi; xor %%edi, %%edi; xor %%ebp, %%ebp\n"
      "xor %%r8d, %%r8d; xor %%r9d, %%r9d; xor %%r10d, %%r10d; xor %%r12d, %%r12d\n"
      "xor %%r13d, %%r13d; xor %%r14d, %%r14d; xor %%r15d, %%r15d\n"
      "1: mov $34, %%eax\n"  // pause
      "syscall\n"
      "jmp 1b" ::: "memory");
#endif
  for (;;) pause();
}
