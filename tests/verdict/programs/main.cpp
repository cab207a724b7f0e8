// verdict_programs THEME [PLUGIN]: builds the theme, then lets itself be looked at.
//
// Without LeakSanitizer and Valgrind it writes `ready` and waits to be killed.
#include <pthread.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <initializer_list>

#include "verdict.h"

#ifdef VERDICT_HAVE_VALGRIND
#include <valgrind/valgrind.h>
#endif

#define VERDICT_VECTORS                                                                    \
  "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", \
      "xmm11", "xmm12", "xmm13", "xmm14", "xmm15"

extern "C" void __lsan_do_recoverable_leak_check() __attribute__((weak));

namespace verdict {

const char* plugin_path = "";

namespace {

void put(const char* text, std::size_t length) {
  while (length > 0) {
    const ssize_t n = write(STDOUT_FILENO, text, length);
    if (n <= 0) _exit(1);
    text += n;
    length -= static_cast<std::size_t>(n);
  }
}

Build find(const char* name) {
  for (const Theme* themes : {kShapes, kInteriors, kContainers, kRoots, kThreads, kAllocations}) {
    for (; themes->name != nullptr; ++themes) {
      if (name == nullptr) {
        std::puts(themes->name);
      } else if (std::strcmp(themes->name, name) == 0) {
        return themes->build;
      }
    }
  }
  return nullptr;
}

}  // namespace

// Everything still in scope, nothing dead left behind.
__attribute__((noinline)) void snapshot() {
  scrub();
  if (__lsan_do_recoverable_leak_check != nullptr) {
    __lsan_do_recoverable_leak_check();
    _exit(0);
  }
#ifdef VERDICT_HAVE_VALGRIND
  if (RUNNING_ON_VALGRIND) {
    VALGRIND_MONITOR_COMMAND("leak_check full any heuristics all unlimited");
    VALGRIND_MONITOR_COMMAND("block_list 1..100000 unlimited");
    _exit(0);
  }
#endif
  prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
  put("ready\n", 6);
  for (;;) pause();
}

void tell(const char* name, const void* block, std::size_t size, const char* expected) {
  char line[256];
  const int length = std::snprintf(line, sizeof line, "block %s 0x%zx %zu %s\n", name,
                                   reinterpret_cast<std::size_t>(block), size, expected);
  put(line, static_cast<std::size_t>(length));
}

void tell(const char* name, int number, const void* block, std::size_t size, const char* expected) {
  char full[128];
  std::snprintf(full, sizeof full, "%s%d", name, number);
  tell(full, block, size, expected);
}

void* make(const char* name, std::size_t size, const char* expected) {
  void* const block = std::malloc(size);
  std::memset(block, 0, size);
  tell(name, block, size, expected);
  return block;
}

__attribute__((noinline)) void scrub() {
  char dead[96 * 1024];
  std::memset(dead, 0, sizeof dead);
  asm volatile("" : : "r"(dead) : "memory");
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx")) asm volatile("vzeroall" : : : VERDICT_VECTORS);
  asm volatile(
      "xor %%ecx, %%ecx\n\txor %%edx, %%edx\n\txor %%esi, %%esi\n\txor %%edi, %%edi\n\t"
      "xor %%r8d, %%r8d\n\txor %%r9d, %%r9d\n\txor %%r10d, %%r10d\n\txor %%r11d, %%r11d"
      :
      :
      : "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11");
#endif
}

void park() {
  scrub();
  for (;;) pause();
}

}  // namespace verdict

int main(int argc, char** argv) {
  using namespace verdict;
  const Build build = find(argc > 1 ? argv[1] : nullptr);
  if (build == nullptr) return argc > 1 ? 2 : 0;
  if (argc > 2) plugin_path = argv[2];
  Frame frame{};
  build(frame);
  escape(frame);
  scrub();  // before snapshot() has a frame that would cover some of build()'s
  snapshot();
}
