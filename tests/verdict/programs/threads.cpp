// Threads: what their stacks, registers and thread-local variables keep, and what they lose.
#include <pthread.h>
#include <semaphore.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstring>

#include "verdict.h"

namespace verdict {
namespace {

sem_t ready;

void start(void* (*body)(void*), void* argument) {
  sem_init(&ready, 0, 0);
  pthread_t thread{};
  pthread_create(&thread, nullptr, body, argument);
  sem_wait(&ready);
}

thread_local void* of_thread;

__attribute__((noinline)) void fill_second(Frame& frame) {
  frame.slots[0] = make("in_thread_frame", 40, kReachable);
  of_thread = make("in_thread_tls", 40, kReachable);
  escape(of_thread);
  auto* lost = make_node("lost_by_thread", kLeaked);
  lost->next = make_node("child_of_lost", kIndirect);
  pthread_key_t key = 0;
  pthread_key_create(&key, nullptr);
  pthread_setspecific(key, make("in_thread_specific", 40, kReachable));
}

void* second_body(void*) {
  Frame frame{};
  fill_second(frame);
  escape(frame);
  sem_post(&ready);
  park();
}

__attribute__((noinline)) void second_thread(Frame& frame) {
  auto* argument = make_node("argument", kReachable);
  argument->next = make_node("child_of_argument", kReachable);
  start(second_body, argument);
  frame.slots[0] = nullptr;
}

// Each of several threads allocates in an arena of its own.
struct Handed {
  Node* node;
};
volatile Handed handed[3];

__attribute__((noinline)) void fill_arena(int i) {
  auto* lost = static_cast<Node*>(std::calloc(1, sizeof(Node)));
  tell("lost", i, lost, sizeof(Node), kLeaked);
  lost->next = std::calloc(1, 400);
  tell("child", i, lost->next, 400, kIndirect);
  auto* given = static_cast<Node*>(std::calloc(1, sizeof(Node)));
  tell("handed_over", i, given, sizeof(Node), kReachable);
  handed[i].node = given;
  std::free(std::malloc(700));
}

void* arena_body(void* number) {
  fill_arena(static_cast<int>(reinterpret_cast<std::intptr_t>(number)));
  sem_post(&ready);
  park();
}

__attribute__((noinline)) void arenas(Frame&) {
  for (std::intptr_t i = 0; i < 3; ++i) start(arena_body, reinterpret_cast<void*>(i));
}

std::atomic<int> gone_tid;

bool exists(int tid) { return syscall(SYS_tgkill, getpid(), tid, 0) == 0; }

__attribute__((noinline)) void fill_detached(void* volatile* stack, int count) {
  make("lost_by_detached", 40, kLeaked);
  auto* stale = make_node("on_dead_stack", kStale);
  stale->next = make_node("child_on_dead_stack", kStale);
  for (int i = 0; i < count; ++i) stack[i] = stale;
}

void* detached_body(void*) {
  void* volatile stack[400];
  fill_detached(stack, 400);
  escape(stack);
  scrub();
  gone_tid = static_cast<int>(syscall(SYS_gettid));
  return nullptr;
}

// A detached thread has ended; glibc keeps its stack for the next one.
__attribute__((noinline)) void detached(Frame&) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_t thread{};
  pthread_create(&thread, &attributes, detached_body, nullptr);
  while (gone_tid == 0 || exists(gone_tid)) usleep(1000);
}

void* joined_body(void*) { return make("result_of_joined", 40, kStale); }
void* unjoined_body(void*) {
  gone_tid = static_cast<int>(syscall(SYS_gettid));
  return make("result_of_unjoined", 40, kReachable);
}

// What a joined thread returned is the joiner's to keep or to lose, even if the C library's
// leftovers of the thread still have it. What nobody has fetched yet can still be fetched.
__attribute__((noinline)) void joined(Frame&) {
  pthread_t thread{};
  pthread_create(&thread, nullptr, joined_body, nullptr);
  pthread_join(thread, nullptr);
}

pthread_t unjoined_thread;

__attribute__((noinline)) void unjoined(Frame&) {
  pthread_create(&unjoined_thread, nullptr, unjoined_body, nullptr);
  while (gone_tid == 0 || exists(gone_tid)) usleep(1000);
}

#if defined(__x86_64__)
constexpr std::uintptr_t kMask = 0x5a5a5a5a5a5a5a5a;
std::uintptr_t for_rbx;
std::uintptr_t for_r12;

// pause(2) with the two addresses in registers and nowhere else.
[[noreturn]] __attribute__((noinline)) void hold_in_registers() {
  asm volatile(
      "movabs %[mask], %%rax\n\t"
      "mov %[first], %%rbx\n\txor %%rax, %%rbx\n\t"
      "mov %[second], %%r12\n\txor %%rax, %%r12\n\t"
      "1:\n\tmov %[pause], %%eax\n\tsyscall\n\tjmp 1b"
      :
      : [mask] "i"(kMask), [first] "m"(for_rbx), [second] "m"(for_r12), [pause] "i"(SYS_pause)
      : "rax", "rbx", "rcx", "r11", "r12", "memory");
  __builtin_unreachable();
}

__attribute__((noinline)) void fill_registers() {
  for_rbx = reinterpret_cast<std::uintptr_t>(make("in_register", 40, kReachable)) ^ kMask;
  for_r12 = (reinterpret_cast<std::uintptr_t>(make("odd_in_register", 40, kInterior)) + 5) ^ kMask;
}

void* registers_body(void*) {
  fill_registers();
  scrub();
  sem_post(&ready);
  scrub();
  hold_in_registers();
}

__attribute__((noinline)) void registers(Frame&) {
  start(registers_body, nullptr);
  usleep(20000);
}
#endif

}  // namespace

const Theme kThreads[] = {{"second-thread", second_thread},
                          {"arenas", arenas},
                          {"detached", detached},
                          {"joined", joined},
                          {"unjoined", unjoined},
#if defined(__x86_64__)
                          {"registers", registers},
#endif
                          {nullptr, nullptr}};

}  // namespace verdict
