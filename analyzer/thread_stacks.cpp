// struct pthread holds the words stackblock and stackblock_size side by side; where differs from
// release to release (0x690 in 2.36 on x86-64). They prove themselves: a block that begins well
// below the descriptor and ends closely above it. 2.12–2.43.
#include "analyzer/thread_stacks.h"

#include <algorithm>
#include <optional>

#include "analyzer/thread_layout.h"
#include "analyzer/words.h"

namespace residue {
namespace {

// struct pthread is under 4 KiB (2.12–2.43).
constexpr uint64_t kDescriptor = 4096;
// The least that a stack may have (PTHREAD_STACK_MIN is 16 KiB or more; 2 KiB on some systems).
constexpr uint64_t kMinStack = 2048;
// What may lie above the descriptor: its own size, static TLS where that comes after it, and up to
// 64 KiB by which old releases shifted the stacks of x86 against one another.
constexpr uint64_t kMaxAbove = uint64_t{128} << 10;
// A thread id and a pointer behind it must not pass for a block and its size.
constexpr uint64_t kLowestBlock = uint64_t{64} << 10;
uint64_t largest_stack(const WordFormat& words) {
  return uint64_t{1} << (words.size == 4 ? 31 : 40);
}

std::optional<AddressRange> stack_of(const Image& image, uint64_t thread_pointer) {
  const ThreadLayout& layout = thread_layout(image);
  uint64_t begin = thread_pointer;
  if (!layout.tls_below) {
    const uint64_t middle = thread_pointer - std::min(thread_pointer, layout.pointer_bias);
    begin = middle - std::min(middle, kDescriptor);
  }
  const auto bytes = image.view(Address(begin), kDescriptor);
  const WordFormat words(image);
  for (uint64_t at = 0; at + 2 * words.size <= bytes.size(); at += words.size) {
    const uint64_t block = words.at(bytes, at);
    const uint64_t size = words.at(bytes, at + words.size);
    if (size < kMinStack || size > largest_stack(words)) continue;
    if (block < kLowestBlock || block >= thread_pointer) continue;
    const uint64_t below = thread_pointer - block;
    if (below < size && below >= kMinStack && size - below <= kMaxAbove) {
      return AddressRange{Address(block), ByteCount(size)};
    }
  }
  return std::nullopt;
}

}  // namespace

std::vector<ThreadStack> find_thread_stacks(const Image& image, const std::vector<Address>& ended) {
  std::vector<ThreadStack> stacks;
  for (uint32_t t = 0; t < image.threads.size(); ++t) {
    const uint64_t pointer = image.threads[t].thread_pointer;
    if (pointer == 0) continue;
    if (const auto range = stack_of(image, pointer)) stacks.push_back({*range, t});
  }
  for (const Address descriptor : ended) {
    if (const auto range = stack_of(image, descriptor.value())) stacks.push_back({*range});
  }
  // Where two claim the same memory the running one is right: its stack is alive.
  std::sort(stacks.begin(), stacks.end(), [](const ThreadStack& a, const ThreadStack& b) {
    return a.range.base != b.range.base ? a.range.base < b.range.base : a.thread < b.thread;
  });
  std::vector<ThreadStack> kept;
  for (const ThreadStack& stack : stacks) {
    const bool overlaps = !kept.empty() && stack.range.base < kept.back().range.end();
    if (!overlaps) {
      kept.push_back(stack);
    } else if (kept.back().thread == ThreadStack::kEnded) {
      kept.back() = stack;
    }
  }
  return kept;
}

}  // namespace residue
