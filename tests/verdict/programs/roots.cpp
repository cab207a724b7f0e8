// What counts as a root: data of modules, frames, thread-local variables, registers, mappings.
#include <dlfcn.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <stdexcept>

#include "plugin.h"
#include "verdict.h"

namespace verdict {
namespace {

void* volatile zeroed;
void* volatile table[64];
struct {
  long number;
  void* volatile member;
} initialised = {1, nullptr};

void at_exit(int, void*) {}

__attribute__((noinline)) void globals(Frame& frame) {
  zeroed = make("in_bss", 40, kReachable);
  table[40] = make("in_table", 40, kReachable);
  initialised.member = make("in_data", 40, kReachable);
  static void* local;
  local = make("in_static_local", 40, kReachable);
  escape(local);
  frame.slots[7] = make("in_frame", 40, kReachable);
  // The C library keeps it, in its own data.
  on_exit(at_exit, make("argument_of_on_exit", 40, kReachable));
}

thread_local void* tls_zeroed;
thread_local Node tls_struct;

__attribute__((noinline)) void tls(Frame&) {
  tls_zeroed = make("in_tls", 40, kReachable);
  tls_struct.next = make("in_tls_struct", 40, kReachable);
  escape(tls_zeroed);
  escape(tls_struct);
  pthread_key_t key = 0;
  for (int i = 0; i < 2; ++i) {
    pthread_key_create(&key, nullptr);
    pthread_setspecific(key, make(i == 0 ? "specific0" : "specific1", 40, kReachable));
  }
  // From the 33rd key on the values lie in a block of the heap that the thread points at.
  for (int i = 0; i < 40; ++i) pthread_key_create(&key, nullptr);
  pthread_setspecific(key, make("specific_second_level", 40, kReachable));
}

// A library loaded later: its data, its thread-local variables, and what it loses.
__attribute__((noinline)) void plugin(Frame&) {
  void* const library = dlopen(plugin_path, RTLD_NOW);
  if (library == nullptr) {
    std::fprintf(stderr, "%s\n", dlerror());
    _exit(3);
  }
  const auto build = reinterpret_cast<PluginBuild>(dlsym(library, "plugin_build"));
  build(static_cast<PluginMake>(make));
}

// Memory a program got from the kernel by itself can hold the only pointer to a block.
__attribute__((noinline)) void mapped_roots(Frame&) {
  const auto size = static_cast<std::size_t>(getpagesize());
  const auto map = [size](int flags) {
    return static_cast<void**>(
        mmap(nullptr, size, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0));
  };
  void** volatile pages[] = {map(MAP_PRIVATE), map(MAP_SHARED)};
  pages[0][10] = make("in_private_mapping", 40, kReachable);
  pages[1][10] = make("in_shared_mapping", 40, kReachable);
}

std::exception_ptr caught;

struct Failure {
  Node* detail;
};

// The C++ runtime puts a header in front of a thrown object; everybody points behind it.
__attribute__((noinline)) void exception(Frame&) {
  auto* detail = make_node("detail_of_exception", kReachable);
  try {
    throw Failure{detail};
  } catch (const Failure& failure) {
    caught = std::current_exception();
    // 128 bytes: sizeof(__cxa_refcounted_exception) of the Itanium ABI's runtimes on LP64.
    tell("exception", reinterpret_cast<const char*>(&failure) - 128, 128 + sizeof(Failure),
         kReachable);
  }
}

}  // namespace

const Theme kRoots[] = {{"globals", globals},     {"tls", tls},
                        {"plugin", plugin},       {"mapped-roots", mapped_roots},
                        {"exception", exception}, {nullptr, nullptr}};

}  // namespace verdict
