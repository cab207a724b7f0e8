// stack_overflow: recurses until its stack is full and leaves a core: one thread with as many
// frames as fit, the load on which unwinding and printing must be linear.
//
//   stack_overflow          how deep is decided by `ulimit -s` (16 bytes a frame: 8 MB are 524,000)
//
// Four functions in turn, so that frames are not all alike. Before the second, fatal SIGSEGV the
// handler prints `frames=`, the calls that were active.

#include <signal.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>

namespace {

volatile std::uint64_t g_calls = 0;

// Without <stdio.h>: the handler runs in the middle of anything.
void print_calls() {
  std::array<char, 32> line{};
  std::size_t at = line.size();
  line[--at] = '\n';
  for (std::uint64_t rest = g_calls;; rest /= 10) {
    line[--at] = static_cast<char>('0' + rest % 10);
    if (rest < 10) break;
  }
  for (const char c : {'=', 's', 'e', 'm', 'a', 'r', 'f'}) line[--at] = c;
  [[maybe_unused]] const auto written = write(STDOUT_FILENO, &line[at], line.size() - at);
}

// SA_RESETHAND has put the default action back: returning repeats the fault, and that one dumps.
void on_overflow(int) { print_calls(); }

template <unsigned Step>
[[gnu::noinline]] std::uint64_t descend(std::uint64_t value) {
  g_calls = g_calls + 1;
  const std::uint64_t below = descend<(Step + 1) % 4>(value * 3 + Step);
  return below ^ value;  // not a tail call
}

}  // namespace

int main() {
  static std::array<std::byte, 64 * 1024> handler_stack;
  stack_t stack{};
  stack.ss_sp = handler_stack.data();
  stack.ss_size = handler_stack.size();
  struct sigaction action {};
  action.sa_handler = on_overflow;
  action.sa_flags = static_cast<int>(SA_ONSTACK | SA_RESETHAND);
  if (sigaltstack(&stack, nullptr) != 0 || sigaction(SIGSEGV, &action, nullptr) != 0) return 1;
  std::printf("value=%llu\n", static_cast<unsigned long long>(descend<0>(1)));
}
