// A program with a known heap, for any release of glibc: allocates, frees, caches and leaks in its
// main thread, in threads that end and in threads that stay, says what it did, and aborts.
//
// It is linked against the release under test with neither start files nor headers of it, and uses
// only what every release from 2.12 on has. What it says goes out by write(2), and what it
// remembers lies in its .bss: nothing of the bookkeeping is on the heap. Addresses that no root may
// hold are remembered inverted.
#define _GNU_SOURCE
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../e2e/workloads/quiet_thread.h"

enum { kMaxBlocks = 20000, kEnding = 3, kStaying = 4, kRounds = 400, kDrain = 16, kCached = 5 };

enum Fate { kLive, kLeaked, kFreed };
struct Note {
  uintptr_t inverted;
  size_t usable;
  enum Fate fate;
};
static struct Note notes[kMaxBlocks];
void* live[kMaxBlocks];  // not static, so that the compiler keeps what is only written
static unsigned note_count;
static unsigned parked, ended;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void note(void* block, enum Fate fate) {
  const size_t usable = malloc_usable_size(block);
  pthread_mutex_lock(&lock);
  if (note_count == kMaxBlocks) _exit(3);
  const unsigned i = note_count++;
  notes[i] = (struct Note){~(uintptr_t)block, usable, fate};
  if (fate == kLive) live[i] = block;
  pthread_mutex_unlock(&lock);
}

static unsigned next_random(unsigned* state) {
  *state = *state * 1103515245u + 12345u;
  return *state >> 8;
}

// The bytes behind those asked for too: what is left there of an earlier block's pointers would be
// taken for pointers.
static void fill(void* block) { memset(block, 0x11, malloc_usable_size(block)); }

// A third each is kept, leaked and freed again, so that bins of all kinds fill.
static __attribute__((noinline)) void churn(unsigned seed) {
  unsigned state = seed;
  void* passing[kRounds];
  unsigned count = 0;
  for (unsigned i = 0; i < kRounds; ++i) {
    const unsigned shape = next_random(&state) % 100;
    const size_t size = 1 + next_random(&state) % (shape < 70 ? 200 : shape < 97 ? 3000 : 60000);
    void* block = malloc(size);
    fill(block);
    switch (next_random(&state) % 3) {
      case 0: note(block, kLive); break;
      case 1: note(block, kLeaked); break;
      default: passing[count++] = block;
    }
  }
  for (unsigned i = 0; i < count; ++i) free(passing[i]);
  memset(passing, 0, sizeof passing);
  __asm__ volatile("" : : "r"(passing) : "memory");
}

// Frees a few blocks of some sizes when a thread cache, where there is one, has room for them: they
// are what the program freed last and did not get back.
static __attribute__((noinline)) void leave_in_cache(void) {
  static const size_t kSizes[] = {24, 40, 104, 500, 1000};
  for (unsigned s = 0; s < sizeof kSizes / sizeof *kSizes; ++s) {
    void* blocks[kDrain + kCached];
    for (unsigned i = 0; i < kDrain + kCached; ++i) {
      blocks[i] = malloc(kSizes[s]);
      fill(blocks[i]);
    }
    for (unsigned i = 0; i < kDrain; ++i) note(blocks[i], kLive);
    for (unsigned i = kDrain; i < kDrain + kCached; ++i) {
      note(blocks[i], kFreed);
      free(blocks[i]);
    }
    memset(blocks, 0, sizeof blocks);
    __asm__ volatile("" : : "r"(blocks) : "memory");
  }
}

static __attribute__((noinline)) void scrub_stack(void) {
  volatile char stack[32768];
  memset((char*)stack, 0, sizeof stack);
  __asm__ volatile("" : : "r"(stack) : "memory");
}

static void* end_soon(void* argument) {
  churn((unsigned)(uintptr_t)argument);
  scrub_stack();
  __atomic_add_fetch(&ended, 1, __ATOMIC_SEQ_CST);
  while (__atomic_load_n(&ended, __ATOMIC_SEQ_CST) < kEnding) usleep(1000);  // an arena each
  return NULL;
}

static void* stay(void* argument) {
  churn((unsigned)(uintptr_t)argument);
  leave_in_cache();
  scrub_stack();
  __atomic_add_fetch(&parked, 1, __ATOMIC_SEQ_CST);
  wait_quietly();
}

// Blocks with mappings of their own, one of them moved up by memalign.
static __attribute__((noinline)) void map_some(void) {
  free(malloc(150000));
  static const size_t kSizes[] = {1 << 20, 300001, 5 << 20};
  for (unsigned i = 0; i < sizeof kSizes / sizeof *kSizes; ++i) {
    note(malloc(kSizes[i]), i == 1 ? kLeaked : kLive);
  }
  note(memalign(65536, 400000), kLive);
  note(memalign(4096, 700), kLive);
  note(memalign(256, 90), kLeaked);
}

static char* put(char* to, const char* text) {
  while (*text) *to++ = *text++;
  return to;
}

static char* put_number(char* to, uint64_t value) {
  char digits[24];
  unsigned n = 0;
  do digits[n++] = (char)('0' + value % 10);
  while ((value /= 10) != 0);
  *to++ = ' ';
  while (n > 0) *to++ = digits[--n];
  return to;
}

static void say(const char* start, const char* end) {
  while (start < end) {
    const ssize_t done = write(1, start, (size_t)(end - start));
    if (done <= 0) _exit(4);
    start += done;
  }
}

static void report(void) {
  static const char* const kFates[] = {"live", "leaked", "freed"};
  static char text[kMaxBlocks * 48];
  char* to = text;
  const struct mallinfo info = mallinfo();
  to = put(to, "mallinfo");
  to = put_number(to, (unsigned)info.arena);
  to = put_number(to, (unsigned)info.uordblks);
  to = put_number(to, (unsigned)info.fordblks);
  to = put_number(to, (unsigned)info.hblks);
  to = put_number(to, (unsigned)info.hblkhd);
  to = put(to, "\n");
  for (unsigned i = 0; i < note_count; ++i) {
    to = put(to, kFates[notes[i].fate]);
    to = put_number(to, ~notes[i].inverted);
    to = put_number(to, notes[i].usable);
    to = put(to, "\n");
  }
  say(text, to);
  memset(text, 0, sizeof text);
}

int main(void) {
  pthread_t thread;
  churn(1);
  map_some();
  for (uintptr_t i = 0; i < kEnding; ++i) pthread_create(&thread, NULL, end_soon, (void*)(100 + i));
  while (__atomic_load_n(&ended, __ATOMIC_SEQ_CST) < kEnding) usleep(1000);
  usleep(100000);  // until they are gone
  for (uintptr_t i = 0; i < kStaying; ++i) pthread_create(&thread, NULL, stay, (void*)(200 + i));
  while (__atomic_load_n(&parked, __ATOMIC_SEQ_CST) < kStaying) usleep(1000);
  leave_in_cache();
  scrub_stack();
  report();
  abort();
}

#if defined(OWN_START)
// __libc_start_main of the release that the program is linked with; both the old one, which calls
// `init` and `fini` if there are any, and that of 2.34 on, which ignores them.
extern int __libc_start_main(int (*)(void), int, char**, void (*)(void), void (*)(void),
                             void (*)(void), void*);
__attribute__((used)) static void start(long* stack) {
  __libc_start_main(main, (int)stack[0], (char**)(stack + 1), NULL, NULL, NULL, stack);
}
__asm__(".globl _start\n_start:\n  xor %ebp, %ebp\n  mov %rsp, %rdi\n  and $-16, %rsp\n  call start\n");
#endif
