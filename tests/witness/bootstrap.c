#include "bootstrap.h"

#include <stdint.h>
#include <string.h>

static _Alignas(16) unsigned char buffer[16384];
static size_t used;

void* bootstrap_allocate(size_t size) {
  const size_t rounded = (size + 15) & ~(size_t)15;
  if (rounded < size || rounded > sizeof buffer - used) return NULL;
  void* const block = buffer + used;
  used += rounded;
  return block;
}

bool bootstrap_owns(const void* block) {
  // Compared as numbers: pointers into different objects have no order in C.
  return (uintptr_t)block - (uintptr_t)buffer < sizeof buffer;
}

void bootstrap_copy(void* to, const void* block, size_t size) {
  const size_t left = sizeof buffer - ((uintptr_t)block - (uintptr_t)buffer);
  memcpy(to, block, size < left ? size : left);
}
