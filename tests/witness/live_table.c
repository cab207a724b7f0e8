// Open addressing with linear probing and backward-shift deletion: no tombstones, so a program
// that allocates and frees for hours keeps the table as small as its peak of live blocks.

#include "live_table.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

// Any user-space address masked so is outside the canonical range: its top 16 bits are not 0.
static const uintptr_t kMask = 0xa5c396e15a3c6910u;
static const size_t kPlantedBit = (size_t)1 << 63;
static const size_t kInitialCapacity = (size_t)1 << 14;

typedef struct {
  uintptr_t masked;         // 0: empty slot
  size_t size_and_planted;  // requested size, kPlantedBit
} slot;

static slot* slots;
static size_t capacity;  // a power of two
static size_t count;

static size_t page_size(void) { return (size_t)sysconf(_SC_PAGESIZE); }

static slot* map_slots(size_t slot_count) {
  const size_t page = page_size();
  const size_t bytes = slot_count * sizeof(slot);
  char* base = mmap(NULL, bytes + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (base == MAP_FAILED || mprotect(base + page, bytes, PROT_READ | PROT_WRITE) != 0) {
    static const char kMessage[] = "malloc witness: no memory for the table of live blocks\n";
    if (write(STDERR_FILENO, kMessage, sizeof kMessage - 1) < 0) _exit(125);
    _exit(125);
  }
  return (slot*)(void*)(base + page);
}

static void unmap_slots(slot* old, size_t slot_count) {
  const size_t page = page_size();
  munmap((char*)old - page, slot_count * sizeof(slot) + 2 * page);
}

static size_t home_of(uintptr_t masked) {
  // Blocks are 16-byte aligned; the multiplier spreads what is left over the high bits.
  const uint64_t mixed = ((uint64_t)masked >> 4) * UINT64_C(0x9e3779b97f4a7c15);
  return (size_t)(mixed >> 20) & (capacity - 1);
}

// The slot which holds `masked`, or the empty slot where it belongs.
static size_t find(uintptr_t masked) {
  size_t i = home_of(masked);
  while (slots[i].masked != 0 && slots[i].masked != masked) i = (i + 1) & (capacity - 1);
  return i;
}

static void grow(void) {
  slot* const old = slots;
  const size_t old_capacity = capacity;
  capacity = old == NULL ? kInitialCapacity : old_capacity * 2;
  slots = map_slots(capacity);
  if (old == NULL) return;
  for (size_t i = 0; i < old_capacity; ++i) {
    if (old[i].masked != 0) slots[find(old[i].masked)] = old[i];
  }
  unmap_slots(old, old_capacity);
}

void live_table_insert(const void* address, size_t requested) {
  if ((count + 1) * 2 > capacity) grow();
  const uintptr_t masked = (uintptr_t)address ^ kMask;
  slot* const place = &slots[find(masked)];
  if (place->masked == 0) ++count;
  place->masked = masked;
  place->size_and_planted = requested;
}

bool live_table_remove(const void* address) {
  if (slots == NULL) return false;
  size_t hole = find((uintptr_t)address ^ kMask);
  if (slots[hole].masked == 0) return false;
  --count;
  // Move back every later slot of the run that may not stay behind the hole.
  for (size_t i = (hole + 1) & (capacity - 1); slots[i].masked != 0; i = (i + 1) & (capacity - 1)) {
    const size_t distance_to_home = (i - home_of(slots[i].masked)) & (capacity - 1);
    const size_t distance_to_hole = (i - hole) & (capacity - 1);
    if (distance_to_home < distance_to_hole) continue;
    slots[hole] = slots[i];
    hole = i;
  }
  slots[hole] = (slot){0, 0};
  return true;
}

bool live_table_plant(const void* address) {
  if (slots == NULL) return false;
  slot* const place = &slots[find((uintptr_t)address ^ kMask)];
  if (place->masked == 0) return false;
  place->size_and_planted |= kPlantedBit;
  return true;
}

void live_table_for_each(void (*visit)(const live_block* block, void* context), void* context) {
  for (size_t i = 0; i < capacity; ++i) {
    if (slots[i].masked == 0) continue;
    const live_block block = {slots[i].masked ^ kMask, slots[i].size_and_planted & ~kPlantedBit,
                              (slots[i].size_and_planted & kPlantedBit) != 0};
    visit(&block, context);
  }
}

size_t live_table_count(void) { return count; }

void live_table_extent(uintptr_t* begin, uintptr_t* end) {
  *begin = (uintptr_t)slots;
  *end = (uintptr_t)(slots + capacity);
}

void live_table_discard(void) {
  if (slots != NULL) unmap_slots(slots, capacity);
  slots = NULL;
  capacity = 0;
  count = 0;
}
