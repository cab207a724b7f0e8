// heap_maker: a process with a large heap of which everything is known, to take a core of.
//
//   heap_maker regular [MILLIONS]         default 10: 10.0 M chunks, 0.83 GB, two fifths leaked
//   heap_maker random [MILLIONS [SEED]]   default 2: 2 M live chunks in four arenas, 0.5 GB
//
// Prints what it knows as key=value lines, then `READY pid=N`, and waits for a line or the end of
// its input.
//
// `mallinfo_rest`, printed for a regular heap, is what mallinfo2() counts as in use beyond the
// chunks made here and what was in use before; it must be 0.

#include "heap_maker.h"

#include <malloc.h>
#include <unistd.h>

#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>

namespace residue::bench {
namespace {

constexpr std::uint64_t kMillion = 1'000'000;
constexpr std::uint64_t kHeaderBytes =
    8;  // what a glibc chunk costs beyond its usable bytes (64-bit)

// Overwrites what the generator's frames left below the stack pointer, so that no forgotten frame
// keeps a leak alive.
[[gnu::noinline]] void scrub_stack() {
  char space[64 * 1024];
  std::memset(space, 0, sizeof space);
  asm volatile("" : : "r"(space) : "memory");
}

void print(const char* key, std::uint64_t value) { std::printf("%s=%" PRIu64 "\n", key, value); }

void print_truth(const Truth& truth, const struct mallinfo2& before) {
  const struct mallinfo2 now = mallinfo2();
  print("used_chunks", truth.used_chunks);
  print("used_bytes", truth.used_bytes);
  print("leaked_chunks", truth.leaked_chunks);
  print("leaked_bytes", truth.leaked_bytes);
  print("interior_chunks", truth.interior_chunks);
  print("interior_bytes", truth.interior_bytes);
  print("freed_chunks", truth.freed_chunks);
  print("mapped_chunks", truth.mapped_chunks);
  print("mallinfo_arena", now.arena);
  print("mallinfo_uordblks", now.uordblks);
  print("mallinfo_fordblks", now.fordblks);
  print("mallinfo_hblks", now.hblks);
  print("mallinfo_hblkhd", now.hblkhd);
  print("mallinfo_before", before.uordblks);
  if (truth.mapped_chunks == 0) {
    const std::uint64_t made = truth.used_bytes + kHeaderBytes * truth.used_chunks;
    print("mallinfo_rest", now.uordblks - before.uordblks - made);
  }
}

int usage() {
  std::fputs("usage: heap_maker regular|random [MILLIONS [SEED]]\n", stderr);
  return 2;
}

int run(int argc, char** argv) {
  if (argc < 2 || argc > 4) return usage();
  const std::string_view mode = argv[1];
  const bool random = mode == "random";
  if (!random && mode != "regular") return usage();
  const double millions = argc > 2 ? std::strtod(argv[2], nullptr) : (random ? 2.0 : 10.0);
  const std::uint64_t seed = argc > 3 ? std::strtoull(argv[3], nullptr, 10) : 1;
  if (!(millions >= 0.01 && millions <= 1000)) return usage();

  std::printf("mode=%s\n", argv[1]);
  std::fflush(stdout);  // so that stdout's buffer is part of what was there before
  const struct mallinfo2 before = mallinfo2();
  const auto chunks = static_cast<std::uint64_t>(millions * static_cast<double>(kMillion));
  const Truth truth = random ? make_random_heap(chunks, seed) : make_regular_heap(chunks);
  scrub_stack();
  print_truth(truth, before);
  std::printf("READY pid=%d\n", getpid());
  std::fflush(stdout);
  std::getchar();
  std::_Exit(0);  // the heap is left as it is: tearing it down would take longer than making it
}

}  // namespace
}  // namespace residue::bench

int main(int argc, char** argv) { return residue::bench::run(argc, argv); }
