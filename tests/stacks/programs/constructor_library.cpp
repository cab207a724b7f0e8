// A shared library that crashes while ld.so initialises it.
#include <cstdlib>
#include <string>

namespace library {

int* nothing;

struct Registry {
  __attribute__((noinline)) explicit Registry(const std::string& name) { add(name); }
  __attribute__((noinline)) void add(const std::string& name) { *nothing = int(name.size()); }
};

static Registry registry("constructor");

}  // namespace library

extern "C" int library_function() { return 0; }
