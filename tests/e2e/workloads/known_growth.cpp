// A process that knows what it allocated between two moments.
//
//   known_growth EXTRA PHASES     (LEDGER: a library to load, of version_ledger.cpp)
//
// At the end of each phase it prints one line a block that it holds, then READY, and waits for a
// line of input. Nothing else allocates between the phases: the lists are arrays, the output has a
// buffer of its own, input is read without stdio.
//
//   block.ADDRESS=SIZE      malloc_usable_size() of each block
//   extra.count=, extra.bytes=   the growth::Extra objects of phase 1: EXTRA of them
//   kept.in.place=, moved=       what realloc did in phase 2
#include <dlfcn.h>
#include <malloc.h>
#include <pthread.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>

namespace growth {

// Three classes of one size, so that one may take another's place.
struct Base {
  virtual ~Base() = default;
  uint64_t numbers[10] = {};
};
struct First : Base {};
struct Second : Base {};
// A size that nothing else here has.
struct Extra {
  virtual ~Extra() = default;
  uint64_t numbers[30] = {};
};

constexpr int kSlots = 20000;
// What the process holds; volatile, so that no allocation is optimised away.
void* volatile slots[kSlots];
char output[1 << 16];
unsigned in_place, moved;

void* keep(int slot, size_t size) {
  void* block = malloc(size);
  memset(block, 0, malloc_usable_size(block));
  slots[slot] = block;
  return block;
}

void drop(int slot) {
  free(slots[slot]);
  slots[slot] = nullptr;
}

void resize(int slot, size_t size) {
  void* old = slots[slot];
  slots[slot] = nullptr;
  void* block = realloc(old, size);
  ++(block == old ? in_place : moved);
  slots[slot] = block;
}

template <typename T>
void keep_object(int slot) {
  slots[slot] = new (keep(slot, sizeof(T))) T;
}

constexpr int kOfThread = 6000;  // where the other thread's slots begin
constexpr int kObjects = 12000;
constexpr int kExtra = 13000;

void fill() {
  constexpr size_t kSizes[] = {24, 100, 1000, 5000, 40000};
  for (int i = 0; i < 1000; ++i) keep(i, kSizes[i % 5]);
  for (int i = 1000; i < 1005; ++i) keep(i, 300000);  // mapped, each on its own
  for (int i = 0; i < 50; ++i) keep_object<First>(kObjects + i);
}

void change() {
  for (int i = 2; i < 1000; i += 15) drop(i);          // of 1,000 bytes
  for (int i = 0; i < 400; ++i) keep(2000 + i, 440);   // partly in their places
  for (int i = 8; i < 1000; i += 20) resize(i, 2000);  // of 5,000 bytes: shrink in place
  for (int i = 1; i < 1000; i += 25) resize(i, 7000);  // of 100 bytes: have to move
  for (int i = 0; i < 20; ++i) drop(kObjects + i);
  for (int i = 0; i < 20; ++i) keep_object<Second>(kObjects + 100 + i);  // in their places
  drop(1001);
  resize(1002, 900000);
  for (int i = 0; i < 3; ++i) keep(3000 + i, 1500000);
}

// The other thread, in an arena of its own.
void fill_thread() {
  for (int i = 0; i < 700; ++i) keep(kOfThread + i, 60 + static_cast<size_t>(i % 40) * 90);
}

void change_thread() {
  for (int i = 0; i < 700; i += 3) drop(kOfThread + i);
  for (int i = 0; i < 500; ++i) keep(kOfThread + 1000 + i, 50 + static_cast<size_t>(i % 30) * 70);
  for (int i = 1; i < 700; i += 9) resize(kOfThread + i, 20);
}

pthread_barrier_t barrier;

void* work(void*) {
  for (int phase = 0;; ++phase) {
    pthread_barrier_wait(&barrier);
    if (phase == 0) fill_thread();
    if (phase == 1) change_thread();
    pthread_barrier_wait(&barrier);
  }
  return nullptr;
}

void report(int extra) {
  for (void* volatile& slot : slots) {
    if (slot != nullptr) {
      printf("block.%lu=%zu\n", reinterpret_cast<unsigned long>(slot), malloc_usable_size(slot));
    }
  }
  const size_t each = extra > 0 ? malloc_usable_size(slots[kExtra]) : 0;
  printf("extra.count=%d\nextra.bytes=%zu\n", extra, each * static_cast<size_t>(extra));
  printf("kept.in.place=%u\nmoved=%u\nREADY\n", in_place, moved);
  fflush(stdout);
}

void* load_ledger() {
  const char* path = getenv("LEDGER");
  if (path == nullptr) return nullptr;
  void* library = dlopen(path, RTLD_NOW);
  if (library == nullptr) exit(2);
  void* open_ledger = dlsym(library, "open_ledger");
  void* (*open)() = nullptr;
  memcpy(&open, &open_ledger, sizeof open);
  return open != nullptr ? open() : nullptr;
}

void* ledger;

}  // namespace growth

int main(int argc, char** argv) {
  using namespace growth;
  const int extra = argc > 1 ? atoi(argv[1]) : 0;
  const int phases = argc > 2 ? atoi(argv[2]) : 1;
  setvbuf(stdout, output, _IOFBF, sizeof output);
  pthread_t thread;
  pthread_barrier_init(&barrier, nullptr, 2);
  if (pthread_create(&thread, nullptr, work, nullptr) != 0) return 2;
  ledger = load_ledger();
  for (int phase = 0; phase < phases; ++phase) {
    // One after the other, so that each run does the same in the same order.
    if (phase == 0) fill();
    if (phase == 1) change();
    for (int i = 0; phase == 0 && i < extra && kExtra + i < kSlots; ++i) {
      keep_object<Extra>(kExtra + i);
    }
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    report(extra);
    char line[1];
    if (read(0, line, 1) != 1) return 0;
  }
  return 0;
}
