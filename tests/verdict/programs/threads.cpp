// Threads: what their stacks, registers and thread-local variables keep, and what they lose.
#include <pthread.h>
#include <semaphore.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
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

void* volatile stack_bottom;

void* unguarded_body(void*) {
  pthread_attr_t attributes;
  void* bottom = nullptr;
  std::size_t size = 0;
  pthread_getattr_np(pthread_self(), &attributes);
  pthread_attr_getstack(&attributes, &bottom, &size);
  pthread_attr_destroy(&attributes);
  stack_bottom = bottom;
  return nullptr;
}

// Without a guard page the dead stack and what is mapped right below it are one mapping.
__attribute__((noinline)) void unguarded(Frame&) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setguardsize(&attributes, 0);
  pthread_t thread{};
  pthread_create(&thread, &attributes, unguarded_body, nullptr);
  pthread_join(thread, nullptr);
  constexpr std::size_t kBytes = 1 << 16;
  void* const below = static_cast<char*>(stack_bottom) - kBytes;
  // MAP_STACK: kernels that mark stacks (6.7 on) merge only what is marked alike.
  void* const page =
      mmap(below, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
  static_cast<void**>(page)[10] = make("below_dead_stack", 40, kReachable);
}

ucontext_t main_context;
ucontext_t coroutines[2];

__attribute__((noinline)) void fill_suspended(Frame& frame) {
  frame.slots[0] = make("in_suspended_frame", 40, kReachable);
}

void suspend_with_block() {
  Frame frame{};
  fill_suspended(frame);
  scrub();
  swapcontext(&coroutines[0], &main_context);
  escape(frame);
}

void snapshot_in_coroutine() { snapshot(); }

void prepare(int i, void (*body)(), char* stack, std::size_t size) {
  getcontext(&coroutines[i]);
  coroutines[i].uc_stack.ss_sp = stack;
  coroutines[i].uc_stack.ss_size = size;
  coroutines[i].uc_link = nullptr;
  makecontext(&coroutines[i], body, 0);
}

// One mapping holds data, the stack of a suspended coroutine and, above it, that of the running
// one: what lies below the stack pointer there is alive.
__attribute__((noinline)) void coroutine(Frame&) {
  constexpr std::size_t kStack = 256 * 1024;
  auto* memory = static_cast<char*>(
      mmap(nullptr, 3 * kStack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  reinterpret_cast<void**>(memory)[10] = make("below_coroutines", 40, kReachable);
  prepare(0, suspend_with_block, memory + kStack, kStack);
  swapcontext(&main_context, &coroutines[0]);
  prepare(1, snapshot_in_coroutine, memory + 2 * kStack, kStack);
  scrub();
  swapcontext(&main_context, &coroutines[1]);
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
                          {"unguarded", unguarded},
                          {"coroutine", coroutine},
                          {"joined", joined},
                          {"unjoined", unjoined},
#if defined(__x86_64__)
                          {"registers", registers},
#endif
                          {nullptr, nullptr}};

}  // namespace verdict
