// Programs that ruin their heap in one way each, and die of it: what corruption_cores_test.py looks at.
//
//   faulty_heap KIND
//
// Before the fault the program prints what it is about to do, as "key=0x…" lines: `victim`, the
// chunk whose memory or neighbour is ruined, and `place`, the first byte that is written wrongly.
// Then glibc notices (abort()) or, where it would not, the program aborts itself.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Out of the compiler's sight: what follows is undefined on purpose.
static void* volatile blocks[64];
static void* keep(int i, void* p) {
  blocks[i] = p;
  return blocks[i];
}

static void say(const char* key, const volatile void* p) {
  printf("%s=%p\n", key, (void*)p);
  fflush(stdout);
}

// Neighbours in memory that the program still needs.
static void fill_heap(void) {
  for (int i = 32; i < 48; ++i) memset(keep(i, malloc(100 + 16 * (size_t)i)), i, 100);
}

static void corrupted_top(void) {
  char* last = keep(0, malloc(40));
  say("victim", last);
  say("place", last + 40);
  memset(last, 'A', 56);  // 16 bytes too many: over the size of top
  keep(1, malloc(5000));
}

static void overflow_into_next(void) {
  char* a = keep(0, malloc(40));
  char* b = keep(1, malloc(1200));
  keep(2, malloc(40));
  say("victim", a);
  say("place", a + 40);
  strcpy(a, "a name that is far too long for its buffer: it runs on and on");
  free(b);
}

static void lost_terminator(void) {
  char* a = keep(0, malloc(40));
  keep(1, malloc(1240));  // a size of 0x4e1: its low byte becomes 0
  keep(2, malloc(40));
  say("victim", a);
  say("place", a + 40);
  strcpy(a, "0123456789012345678901234567890123456789");
  abort();
}

static void double_free_in_tcache(void) {
  char* a = keep(0, malloc(40));
  keep(1, malloc(40));
  say("victim", a);
  free(a);
  free(a);
}

static void double_free_in_fastbin(void) {
  for (int i = 0; i < 9; ++i) keep(i, malloc(40));
  for (int i = 0; i < 7; ++i) free(blocks[i]);
  say("victim", blocks[7]);
  free(blocks[7]);
  free(blocks[7]);
}

static void hidden_double_free(void) {
  // The key behind the link was overwritten in between, so that glibc does not notice.
  uintptr_t* a = keep(0, malloc(40));
  keep(1, malloc(40));
  say("victim", a);
  say("place", a);
  free(a);
  a[1] = 0;
  free(a);
  abort();
}

static void write_after_free_in_tcache(void) {
  uintptr_t* a = keep(0, malloc(40));
  uintptr_t* b = keep(1, malloc(40));
  keep(2, malloc(40));
  free(a);
  free(b);
  say("victim", b);
  say("place", b);
  b[0] = 0x4242424242424241;
  keep(3, malloc(40));
  keep(4, malloc(40));  // follows the link: "unaligned tcache chunk detected"
}

static void write_after_free_in_bin(void) {
  uintptr_t* a = keep(0, malloc(2000));
  keep(1, malloc(40));
  uintptr_t* b = keep(2, malloc(2000));
  keep(3, malloc(40));
  free(a);
  free(b);
  say("victim", a);
  say("place", a + 1);
  a[1] = 0x6363636363636363;
  keep(4, malloc(2000));
  keep(5, malloc(3000));
}

static void underflow(void) {
  keep(0, malloc(1200));
  uintptr_t* b = keep(1, malloc(1200));
  keep(2, malloc(40));
  say("victim", b);
  say("place", b - 1);
  for (int i = -1; i < 20; ++i) b[i] = 0x1111111111111111;
  free(b);
}

static void size_against_prev_size(void) {
  char* a = keep(0, malloc(1200));
  keep(1, malloc(1200));
  keep(2, malloc(40));
  free(a);
  say("victim", a);
  say("place", a + 1200);
  // The last word of a free chunk, the copy of its size, is written to.
  memset(a + 1200, 0x77, 8);
  free(blocks[1]);
}

int main(int argc, char** argv) {
  static const struct {
    const char* name;
    void (*run)(void);
  } kKinds[] = {{"corrupted_top", corrupted_top},
                {"overflow_into_next", overflow_into_next},
                {"lost_terminator", lost_terminator},
                {"double_free_in_tcache", double_free_in_tcache},
                {"double_free_in_fastbin", double_free_in_fastbin},
                {"hidden_double_free", hidden_double_free},
                {"write_after_free_in_tcache", write_after_free_in_tcache},
                {"write_after_free_in_bin", write_after_free_in_bin},
                {"underflow", underflow},
                {"size_against_prev_size", size_against_prev_size}};
  if (argc < 2) return 2;
  setvbuf(stdout, NULL, _IONBF, 0);  // stdio's buffer shall not lie between the chunks
  fill_heap();
  for (unsigned i = 0; i < sizeof kKinds / sizeof *kKinds; ++i) {
    if (strcmp(argv[1], kKinds[i].name) == 0) {
      kKinds[i].run();
      return 3;  // nothing noticed
    }
  }
  return 2;
}
