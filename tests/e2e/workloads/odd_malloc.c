// Unusual situations of glibc's malloc, brought about in a real process that then aborts.
//
//   pieces     brk fails: the main arena goes on in mappings of its own
//   namespaces a second libc in a namespace of its own (dlmopen), used beside the first
//   threads    arenas of several threads, some ended (with huge pages: another HEAP_MAX_SIZE)
//   requests   blocks of many sizes in every way of asking (for checking mallocs)
//
// Writes one line per block, `live|leaked|freed ADDRESS USABLE REQUESTED`, and one line `mallinfo
// ARENA UORDBLKS FORDBLKS HBLKS HBLKHD` per copy of malloc. It remembers addresses inverted, but
// for those of live blocks.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "quiet_thread.h"

enum { kMaxBlocks = 40000, kRounds = 600, kThreads = 4, kEnding = 2 };

// One copy of malloc.
struct Malloc {
  void* (*allocate)(size_t);
  void (*release)(void*);
  size_t (*usable)(void*);
  struct mallinfo2 (*info)(void);
};
static const struct Malloc kOwn = {malloc, free, malloc_usable_size, mallinfo2};

enum Fate { kLive, kLeaked, kFreed };
static struct Note {
  uintptr_t inverted;
  size_t usable, requested;
  enum Fate fate;
} notes[kMaxBlocks];
void* live[kMaxBlocks];  // not static, so that the compiler keeps what is only written
static unsigned note_count, parked, ended;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void note(const struct Malloc* m, void* block, size_t requested, enum Fate fate) {
  const size_t usable = m->usable(block);
  memset(block, 0x11, requested);
  pthread_mutex_lock(&lock);
  if (note_count == kMaxBlocks) _exit(3);
  const unsigned i = note_count++;
  notes[i] = (struct Note){~(uintptr_t)block, usable, requested, fate};
  if (fate == kLive) live[i] = block;
  pthread_mutex_unlock(&lock);
}

static unsigned next_random(unsigned* state) {
  *state = *state * 1103515245u + 12345u;
  return *state >> 8;
}

static __attribute__((noinline)) void churn(const struct Malloc* m, unsigned seed, size_t largest) {
  unsigned state = seed;
  void* passing[kRounds];
  unsigned count = 0;
  for (unsigned i = 0; i < kRounds; ++i) {
    const unsigned shape = next_random(&state) % 100;
    const size_t size = 1 + next_random(&state) % (shape < 60 ? 200 : shape < 95 ? 3000 : largest);
    void* block = m->allocate(size);
    if (block == NULL) _exit(5);
    memset(block, 0x11, m->usable(block));  // no old pointers behind the bytes asked for
    switch (next_random(&state) % 3) {
      case 0: note(m, block, size, kLive); break;
      case 1: note(m, block, size, kLeaked); break;
      default: passing[count++] = block;
    }
  }
  for (unsigned i = 0; i < count; ++i) m->release(passing[i]);
  memset(passing, 0, sizeof passing);
  __asm__ volatile("" : : "r"(passing) : "memory");
}

static __attribute__((noinline)) void scrub_stack(void) {
  volatile char stack[65536];
  memset((char*)stack, 0, sizeof stack);
  __asm__ volatile("" : : "r"(stack) : "memory");
}

static void say(const struct Malloc* m) {
  const struct mallinfo2 info = m->info();
  printf("mallinfo %zu %zu %zu %zu %zu\n", info.arena, info.uordblks, info.fordblks, info.hblks,
         info.hblkhd);
}

static void tell_and_abort(void) {
  static const char* const kFates[] = {"live", "leaked", "freed"};
  for (unsigned i = 0; i < note_count; ++i) {
    printf("%s %zu %zu %zu\n", kFates[notes[i].fate], ~notes[i].inverted, notes[i].usable,
           notes[i].requested);
  }
  fflush(stdout);
  scrub_stack();
  abort();
}

// The page behind the heap is taken, so that brk cannot go further.
static void block_brk(void) {
  char* end = sbrk(0);
  end += -(uintptr_t)end & 4095;
  if (mmap(end, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) != end) {
    perror("mmap");
    _exit(6);
  }
}

static void run_pieces(int foreign) {
  churn(&kOwn, 1, 100000);
  if (foreign) {
    if (sbrk(12345) == (void*)-1) _exit(7);
    churn(&kOwn, 2, 100000);
  }
  block_brk();
  for (unsigned seed = 3; seed < 9; ++seed) churn(&kOwn, seed, 120000);
}

static void run_namespaces(void) {
  void* other = dlmopen(LM_ID_NEWLM, "libc.so.6", RTLD_NOW);
  if (other == NULL) {
    fprintf(stderr, "%s\n", dlerror());
    _exit(77);
  }
  struct Malloc m;
  *(void**)&m.allocate = dlsym(other, "malloc");
  *(void**)&m.release = dlsym(other, "free");
  *(void**)&m.usable = dlsym(other, "malloc_usable_size");
  *(void**)&m.info = dlsym(other, "mallinfo2");
  churn(&kOwn, 1, 300000);
  for (unsigned seed = 2; seed < 7; ++seed) churn(&m, seed, 300000);
  churn(&kOwn, 7, 300000);
  say(&m);
}

static void* run_thread(void* number) {
  churn(&kOwn, (unsigned)(uintptr_t)number, 120000);
  scrub_stack();
  if ((uintptr_t)number < kEnding) {
    __atomic_add_fetch(&ended, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&parked, __ATOMIC_SEQ_CST) < kThreads - kEnding) usleep(1000);
    return NULL;
  }
  __atomic_add_fetch(&parked, 1, __ATOMIC_SEQ_CST);
  wait_quietly();
}

static void run_threads(void) {
  pthread_t threads[kThreads];
  churn(&kOwn, 99, 120000);
  for (uintptr_t i = 0; i < kThreads; ++i) pthread_create(&threads[i], NULL, run_thread, (void*)i);
  for (unsigned i = 0; i < kEnding; ++i) pthread_join(threads[i], NULL);
}

static void run_requests(void) {
  for (size_t size = 1; size < 1200; ++size) note(&kOwn, malloc(size), size, kLive);
  for (size_t size = 1200; size < 600000; size = size * 9 / 8) {
    note(&kOwn, malloc(size), size, kLive);
    note(&kOwn, calloc(1, size + 3), size + 3, kLive);
    note(&kOwn, realloc(malloc(size / 2), size + 5), size + 5, kLive);
  }
  for (size_t alignment = 32; alignment <= 65536; alignment *= 2) {
    note(&kOwn, memalign(alignment, alignment + 7), alignment + 7, kLive);
    note(&kOwn, malloc(alignment + 9), alignment + 9, kLeaked);
  }
  for (size_t size = 10; size < 3000; size += 70) {
    void* block = malloc(size);
    note(&kOwn, block, size, kFreed);
    free(block);
  }
}

int main(int count, char** words) {
  static char output[1 << 16];
  setvbuf(stdout, output, _IOFBF, sizeof output);
  const char* situation = count == 2 ? words[1] : "";
  if (strcmp(situation, "pieces") == 0) {
    run_pieces(0);
  } else if (strcmp(situation, "pieces-foreign") == 0) {
    run_pieces(1);
  } else if (strcmp(situation, "namespaces") == 0) {
    run_namespaces();
  } else if (strcmp(situation, "threads") == 0) {
    run_threads();
  } else if (strcmp(situation, "requests") == 0) {
    run_requests();
  } else {
    return 2;
  }
  say(&kOwn);
  tell_and_abort();
}
