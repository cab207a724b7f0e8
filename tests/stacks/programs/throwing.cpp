// Exceptions at several moments: nobody catches it; in the middle of the unwinder; a destructor
// that aborts while the stack is unwound; a handler that aborts; thrown again.
#include <cstdlib>
#include <cstring>
#include <exception>
#include <stdexcept>
#include <string>

#define NOINLINE __attribute__((noinline))

int sink;

namespace flow {

NOINLINE void throws(int depth) {
  if (depth == 0) throw std::runtime_error("thrown");
  throws(depth - 1);
  ++sink;
}

struct AbortsInDestructor {
  NOINLINE ~AbortsInDestructor() {
    if (std::uncaught_exceptions()) std::abort();
  }
};

NOINLINE void uncaught() { throws(3); }

NOINLINE void no_throw() noexcept {
  throws(2);
  ++sink;
}

NOINLINE void unwinding() {
  AbortsInDestructor guard;
  throws(2);
  ++sink;
}

NOINLINE void in_handler() {
  try {
    throws(2);
  } catch (const std::exception& error) {
    sink += int(std::strlen(error.what()));
    std::abort();
  }
}

NOINLINE void again() {
  try {
    throws(1);
  } catch (...) {
    ++sink;
    throw;
  }
}

// Looks as if libstdc++'s own terminate handler, but deeper.
NOINLINE void on_terminate() {
  ++sink;
  std::abort();
}

}  // namespace flow

int main(int argc, char** argv) {
  const std::string mode = argc > 1 ? argv[1] : "";
  if (mode == "unwinding") {
    try {
      flow::unwinding();
    } catch (...) {
    }
  } else if (mode == "handler") {
    flow::in_handler();
  } else if (mode == "again") {
    std::set_terminate(flow::on_terminate);
    flow::again();
  } else if (mode == "noexcept") {
    flow::no_throw();
  } else {
    flow::uncaught();
  }
  return 1;
}
