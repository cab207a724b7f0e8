// A process of which it is known what its memory consists of: a fragmented heap, thread arenas,
// stacks, texts that occur more than once.
//
// Prints `key=value` lines and READY, and waits; when told to go on it calls malloc_trim(0), says
// the same numbers again, and waits.
#include <malloc.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

namespace {

constexpr size_t kThreads = 3;
constexpr size_t kStackSize = size_t{1} << 20;
constexpr size_t kGuard = 4 * 4096;
constexpr size_t kBlocks = 4000;

struct Worker {
  pthread_t thread;
  size_t number;
  long tid;
  size_t stack, guard;
};

Worker workers[kThreads];
std::atomic<size_t> ready;
void* keep[kThreads + 1][kBlocks];
void* mapping;
std::vector<char*> texts;
std::vector<std::string> strings;

void say(const std::string& key, unsigned long value) {
  std::printf("%s=%lu\n", key.c_str(), value);
}

// Leaves holes of several pages, and of less than one, between blocks that stay.
void fragment(size_t who) {
  for (size_t i = 0; i < kBlocks; ++i) {
    const size_t size = 1000 + i % 7 * 300 + 100 * who;
    keep[who][i] = std::malloc(size);
    std::memset(keep[who][i], 0x5a, size);
  }
  for (size_t i = 0; i < kBlocks; ++i) {
    if (i % 16 != 0 && i % 23 != 0) {
      std::free(keep[who][i]);
      keep[who][i] = nullptr;
    }
  }
}

void* work(void* argument) {
  auto* self = static_cast<Worker*>(argument);
  self->tid = syscall(SYS_gettid);
  pthread_attr_t attributes;
  void* stack = nullptr;
  pthread_getattr_np(pthread_self(), &attributes);
  pthread_attr_getstack(&attributes, &stack, &self->stack);
  pthread_attr_getguardsize(&attributes, &self->guard);
  pthread_attr_destroy(&attributes);
  fragment(self->number + 1);
  ++ready;
  for (;;) pause();
}

void* end_at_once(void*) { return nullptr; }

void make_texts() {
  for (int i = 0; i < 300; ++i) texts.push_back(strdup("three hundred times the same text"));
  for (int i = 0; i < 200; ++i) texts.push_back(strdup(("text " + std::to_string(i)).c_str()));
  for (int i = 0; i < 90; ++i) {
    strings.push_back("a std::string with a buffer of its own, one of " + std::to_string(i % 3));
  }
  // Equal in their first 50,000 characters.
  std::string long_text(100000, 'x');
  for (int i = 0; i < 5; ++i) strings.push_back(long_text);
  long_text[50000] = 'y';
  for (int i = 0; i < 2; ++i) strings.push_back(long_text);
}

void say_counters() {
  const struct mallinfo2 info = mallinfo2();
  say("fordblks", info.fordblks);
  say("keepcost", info.keepcost);
  say("uordblks", info.uordblks);
  say("hblkhd", info.hblkhd);
  say("arena", info.arena);
}

}  // namespace

int main() {
  std::setvbuf(stdin, nullptr, _IONBF, 0);  // no buffer that comes after the counters were read
  fragment(0);
  make_texts();
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, kStackSize);
  pthread_attr_setguardsize(&attributes, kGuard);
  for (size_t i = 0; i < kThreads; ++i) {
    workers[i].number = i;
    pthread_create(&workers[i].thread, &attributes, work, &workers[i]);
  }
  while (ready < kThreads) usleep(1000);
  pthread_t ended;
  pthread_create(&ended, &attributes, end_at_once, nullptr);
  pthread_join(ended, nullptr);
  say("ended.stack", kStackSize);
  say("ended.guard", kGuard);
  mapping =
      mmap(nullptr, size_t{3} << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  std::memset(mapping, 1, size_t{1} << 20);
  for (const Worker& worker : workers) {
    say("stack." + std::to_string(worker.tid), worker.stack);
    say("guard." + std::to_string(worker.tid), worker.guard);
  }
  for (;;) {
    std::fflush(stdout);
    say_counters();
    std::printf("READY\n");
    std::fflush(stdout);
    std::getchar();
    malloc_trim(0);
  }
}
