/* Frees all it asked for, or keeps it: twelve blocks wait in the thread's cache. */
#include "note.h"

static void* volatile kept[11];

NOINLINE static void free_twelve(void) {
  void* blocks[12];
  for (int i = 0; i < 12; ++i) blocks[i] = malloc(i < 6 ? 24 : 280);
  for (int i = 0; i < 12; ++i) free(blocks[i]);
}

int main(void) {
  for (int i = 0; i < 11; ++i) kept[i] = malloc(464);
  free_twelve();
  wait_for_the_test();
  return kept[0] == NULL;
}
