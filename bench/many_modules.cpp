// many_modules: loads libraries with dlopen and aborts in a chain of calls that goes through each
// of them once: as many modules as wanted, and a stack with a frame in every one.
//
//   many_modules LIBRARY...     each made of pass_on.cpp under another name
//
// Prints `modules=`, the libraries it has loaded.

#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <span>
#include <vector>

#include "pass_on.h"

namespace {

std::uint64_t end_of_chain(const Chain& chain) {
  std::printf("modules=%zu\n", chain.length);
  std::fflush(stdout);
  std::abort();
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<PassOn*> calls;
  for (const char* path : std::span(argv, static_cast<std::size_t>(argc)).subspan(1)) {
    void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    void* symbol = library == nullptr ? nullptr : dlsym(library, "pass_on");
    if (symbol == nullptr) {
      std::fprintf(stderr, "many_modules: %s\n", dlerror());
      return 1;
    }
    calls.push_back(reinterpret_cast<PassOn*>(symbol));
  }
  const std::size_t length = calls.size();
  calls.push_back(end_of_chain);
  const Chain chain{calls.data(), length};
  return static_cast<int>(calls.front()(chain));
}
