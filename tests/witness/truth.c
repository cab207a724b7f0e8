#include "truth.h"

#include <fcntl.h>
#include <limits.h>
#include <malloc.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "live_table.h"

// One file is written in the life of the process, so the writer's state is static; text of
// addresses is no pointer, and the buffer is not worth clearing.
static char buffer[1 << 16];
static size_t used;
static int file = -1;

static void flush(void) {
  size_t done = 0;
  while (done < used) {
    const ssize_t n = write(file, buffer + done, used - done);
    if (n < 0) _exit(124);  // a truth cut short must never be taken for a truth
    done += (size_t)n;
  }
  used = 0;
}

static void put_text(const char* text) {
  const size_t length = strlen(text);
  if (used + length > sizeof buffer) flush();
  memcpy(buffer + used, text, length);
  used += length;
}

static void put_number(uint64_t value, unsigned base) {
  char digits[24];
  size_t i = sizeof digits;
  digits[--i] = '\0';
  do {
    digits[--i] = "0123456789abcdef"[value % base];
    value /= base;
  } while (value != 0);
  put_text(digits + i);
}

static void put_address(uintptr_t address) {
  put_text("0x");
  put_number(address, 16);
}

static void put_field(const char* key, uint64_t value) {
  put_text("# ");
  put_text(key);
  put_text("=");
  put_number(value, 10);
  put_text("\n");
}

static void put_block(const live_block* block, void* context) {
  (void)context;
  put_address(block->address);
  put_text(" ");
  put_number(block->requested, 10);
  put_text(" ");
  put_number(malloc_usable_size((void*)block->address), 10);
  put_text(block->planted ? " planted\n" : " live\n");
}

static void put_mallinfo(void) {
  const struct mallinfo2 info = mallinfo2();
  put_field("arena", info.arena);
  put_field("ordblks", info.ordblks);
  put_field("smblks", info.smblks);
  put_field("hblks", info.hblks);
  put_field("hblkhd", info.hblkhd);
  put_field("usmblks", info.usmblks);
  put_field("fsmblks", info.fsmblks);
  put_field("uordblks", info.uordblks);
  put_field("fordblks", info.fordblks);
  put_field("keepcost", info.keepcost);
}

static void put_table_extent(void) {
  uintptr_t begin = 0;
  uintptr_t end = 0;
  live_table_extent(&begin, &end);
  put_text("# table=");
  put_address(begin);
  put_text("-");
  put_address(end);
  put_text("\n");
}

void write_truth(const char* path, const truth_counters* counters) {
  file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (file < 0) _exit(124);
  put_field("residue-witness", 1);
  put_field("pid", (uint64_t)getpid());
  put_text("# at=");
  put_text(counters->at);
  put_text("\n");
  put_mallinfo();
  put_field("allocations", counters->allocations);
  put_field("frees", counters->frees);
  put_field("unknown_frees", counters->unknown_frees);
  put_table_extent();
  put_field("live", live_table_count());
  live_table_for_each(put_block, NULL);
  flush();
  close(file);

  char ready[PATH_MAX + 8];
  const size_t length = strlen(path);
  memcpy(ready, path, length);
  memcpy(ready + length, ".ready", sizeof ".ready");
  close(open(ready, O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
}
