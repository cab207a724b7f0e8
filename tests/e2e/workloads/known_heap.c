/* A process that knows its own heap: it prints which blocks it holds, freed and lost, and what
 * mallinfo() says, and aborts. For any machine that a C compiler makes programs for.
 *
 *   live ADDRESS SIZE     a block that a global array holds; SIZE as asked for
 *   freed ADDRESS         a block that was freed last and may not have been given out again
 *   lost ADDRESS SIZE     a block that nothing points to
 *   info NAME NUMBER      fields of struct mallinfo, after the last change of the heap
 *   use ADDRESS SIZE      a live block's malloc_usable_size()
 */
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCKS = 3000, LOST = 100, FREED = 900, OF_THREAD = 400 };

static void *live[BLOCKS + 2 * OF_THREAD + 3];
static size_t sizes[BLOCKS + 2 * OF_THREAD + 3];
static unsigned count;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_barrier_t filled;
static char text[1 << 16]; /* stdout's buffer: not a block of the heap */

static void keep(void *block, size_t size) {
  memset(block, 0x5a, size);
  pthread_mutex_lock(&lock);
  live[count] = block;
  sizes[count++] = size;
  pthread_mutex_unlock(&lock);
}

static size_t some_size(unsigned i) {
  return 1 + i * 7919u % (i % 50 != 0 ? 600 : 30000);
}

/* Addresses of freed and lost blocks are kept as the complement of theirs. */
static size_t freed[FREED], lost[LOST];

static __attribute__((noinline)) void fill(void) {
  for (unsigned i = 0; i < BLOCKS; ++i) {
    void *block = malloc(some_size(i));
    if (i % 30 == 0 && i / 30 < LOST) {
      memset(block, 0, some_size(i));
      lost[i / 30] = ~(size_t)block;
    } else {
      keep(block, some_size(i));
    }
  }
  for (unsigned i = 0; i < FREED; ++i) {
    void *block = live[3 * i];
    live[3 * i] = NULL;
    freed[i] = ~(size_t)block;
    free(block);
  }
  keep(malloc(300000), 300000);
  keep(memalign(4096, 200000), 200000);
  keep(memalign(64, 150000), 150000);
}

static void *work(void *unused) {
  void *mine[OF_THREAD];
  pthread_barrier_wait(&filled); /* main() has filled its part */
  for (unsigned i = 0; i < OF_THREAD; ++i) mine[i] = malloc(some_size(i));
  for (unsigned i = 0; i < OF_THREAD; ++i) {
    if (i % 3 == 0) {
      free(mine[i]);
    } else {
      keep(mine[i], some_size(i));
    }
  }
  memset(mine, 0, sizeof mine);
  pthread_barrier_wait(&filled);
  for (;;) pthread_barrier_wait(&filled);
  return unused;
}

/* What fill() left below the stack pointer. */
static __attribute__((noinline)) void clear_stack(void) {
  volatile char stack[1 << 16];
  for (size_t i = 0; i < sizeof stack; ++i) stack[i] = 0;
}

int main(void) {
  pthread_t threads[2];
  setvbuf(stdout, text, _IOFBF, sizeof text);
  pthread_barrier_init(&filled, NULL, 3);
  /* First of all: threads take blocks too, which must not be those that fill() frees. */
  for (int i = 0; i < 2; ++i) pthread_create(&threads[i], NULL, work, NULL);
  fill();
  clear_stack();
  pthread_barrier_wait(&filled);
  pthread_barrier_wait(&filled);
  const struct mallinfo info = mallinfo();
  printf("info arena %u\ninfo fordblks %u\ninfo uordblks %u\ninfo hblks %u\ninfo hblkhd %u\n",
         info.arena, info.fordblks, info.uordblks, info.hblks, info.hblkhd);
  /* Lost blocks first: the addresses printed last are still about. */
  for (unsigned i = 0; i < LOST; ++i) {
    printf("lost %lu %lu\n", (unsigned long)~lost[i], (unsigned long)some_size(30 * i));
  }
  for (unsigned i = 0; i < FREED; ++i) printf("freed %lu\n", (unsigned long)~freed[i]);
  for (unsigned i = 0; i < count; ++i) {
    if (live[i] == NULL) continue;
    printf("live %lu %lu\n", (unsigned long)live[i], (unsigned long)sizes[i]);
    printf("use %lu %lu\n", (unsigned long)live[i], (unsigned long)malloc_usable_size(live[i]));
  }
  fflush(stdout);
  abort();
}
