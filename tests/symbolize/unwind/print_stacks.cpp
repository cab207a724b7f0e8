// print_stacks CORE [--exe FILE] [--sysroot DIR]: the frames of every thread, one a line, for
// comparing with other debuggers:
//
//   thread TID
//   PC SP CFA TRUST[ signal]
//   end COMPLETE REASON
#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "formats/format.h"
#include "symbolize/debug_files.h"
#include "symbolize/unwind/unwinder.h"

namespace {

using namespace residue;

void print(const Thread& thread, const UnwoundStack& stack) {
  std::printf("thread %" PRIu32 "\n", thread.tid);
  for (const UnwoundFrame& frame : stack.frames) {
    std::printf("0x%" PRIx64 " 0x%" PRIx64 " 0x%" PRIx64 " %s%s\n", frame.pc, frame.sp, frame.cfa,
                to_string(frame.trust), frame.is_signal_frame ? " signal" : "");
  }
  std::printf("end %d %s\n", stack.complete ? 1 : 0, stack.end.c_str());
}

}  // namespace

int main(int argc, char** argv) {
  FileSearch search;
  const char* path = nullptr;
  bool quiet = false;
  for (int i = 1; i < argc; ++i) {
    const auto value = [&](const char* name, std::string* out) {
      if (std::strcmp(argv[i], name) != 0 || i + 1 >= argc) return false;
      *out = argv[++i];
      return true;
    };
    if (value("--exe", &search.executable) || value("--sysroot", &search.sysroot)) continue;
    if (std::strcmp(argv[i], "--time") == 0) {
      quiet = true;
      continue;
    }
    path = argv[i];
  }
  if (path == nullptr) return 2;
  Diagnostics diagnostics;
  auto image = open_dump(path, search, diagnostics);
  if (!image) {
    std::fprintf(stderr, "%s\n", to_string(image.error()).c_str());
    return 3;
  }

  const DebugFiles files(*image, search);
  const Unwinder unwinder(*image, files);
  const auto begin = std::chrono::steady_clock::now();
  size_t frames = 0;
  for (const Thread& thread : image->threads) {
    const UnwoundStack stack = unwinder.unwind(thread);
    frames += stack.frames.size();
    if (!quiet) print(thread, stack);
  }
  const std::chrono::duration<double, std::milli> spent = std::chrono::steady_clock::now() - begin;
  if (quiet) std::printf("%zu frames, %.2f ms\n", frames, spent.count());
  Diagnostics damage;
  unwinder.report(damage);
  for (const Diagnostic& d : damage.items()) {
    std::fprintf(stderr, "%s: %s\n", d.place.c_str(), d.message.c_str());
  }
  return 0;
}
