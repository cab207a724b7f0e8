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

// The block that two words in [begin, begin + kDescriptor) describe, with `descriptor` in it.
std::optional<AddressRange> block_in(const Image& image, uint64_t begin, uint64_t descriptor) {
  const auto bytes = image.view(Address(begin), kDescriptor);
  const WordFormat words(image);
  for (uint64_t at = 0; at + 2 * words.size <= bytes.size(); at += words.size) {
    const uint64_t block = words.at(bytes, at);
    const uint64_t size = words.at(bytes, at + words.size);
    if (size < kMinStack || size > largest_stack(words)) continue;
    if (block < kLowestBlock || block >= descriptor) continue;
    const uint64_t below = descriptor - block;
    if (below < size && below >= kMinStack && size - below <= kMaxAbove) {
      return AddressRange{Address(block), ByteCount(size)};
    }
  }
  return std::nullopt;
}

std::optional<AddressRange> stack_of(const Image& image, uint64_t thread_pointer) {
  const ThreadLayout& layout = thread_layout(image);
  if (layout.tls_below) return block_in(image, thread_pointer, thread_pointer);
  const uint64_t middle = thread_pointer - std::min(thread_pointer, layout.pointer_bias);
  return block_in(image, middle - std::min(middle, kDescriptor), thread_pointer);
}

// glibc's lists of stacks, for architectures whose struct pthread does not point to itself. The
// lists' heads are variables of libc, libpthread or ld.so; an element lies 24 words from the start
// of its struct pthread, and the thread's id behind it (nptl/descr.h, 2.3–2.43).
class StackLists {
 public:
  explicit StackLists(const Image& image) : image_(image), words_(image) {}

  // Stacks of threads that ended: in the list of stacks to be used again, or not joined yet. Of
  // these the descriptor, and what lies behind it, counts as alive: where the pointer to the vector
  // of dynamic TLS is there cannot be told.
  std::vector<ThreadStack> ended() {
    for (const Region& region : image_.regions) {
      if (region.kind != RegionKind::kModuleData || !region.permissions.write) continue;
      const uint64_t base = region.range.base.value();
      for (uint64_t at = 0; at + 2 * words_.size <= region.bytes.size(); at += words_.size) {
        const uint64_t next = words_.at(region.bytes, at);
        if (is_link(next)) walk(base + at, next);
        if (steps_ > kMaxSteps) return std::move(found_);
      }
    }
    return std::move(found_);
  }

 private:
  static constexpr uint64_t kLinkWords = 24;
  static constexpr uint64_t kMaxSteps = 1 << 20;

  bool is_link(uint64_t at) const {
    if (at % words_.size != 0 || at < kLowestBlock) return false;
    const Region* region = image_.find_region(Address(at));
    return region != nullptr && region->permissions.write &&
           (region->kind == RegionKind::kAnonymous || region->kind == RegionKind::kStack);
  }

  // {next, prev} rings: every element must point back to the one before it.
  void walk(uint64_t head, uint64_t first) {
    std::vector<ThreadStack> stacks;
    uint64_t before = head;
    for (uint64_t at = first; at != head; ++steps_) {
      const auto next = image_.word(Address(at));
      const auto previous = image_.word(Address(at + words_.size));
      if (!next || previous != before || steps_ > kMaxSteps) return;
      const uint64_t descriptor = at - kLinkWords * words_.size;
      const auto block = block_in(image_, descriptor, descriptor);
      if (!is_link(at) || !block) return;
      const auto tid = image_.value<uint32_t>(Address(at + 2 * words_.size));
      // 0 since the thread ended, -1 since it was joined.
      if (tid && (*tid == 0 || *tid == ~uint32_t{0})) {
        const uint64_t size = descriptor - block->base.value();
        stacks.push_back({{block->base, ByteCount(size)}, ThreadStack::kEnded, descriptor});
      }
      before = at;
      at = *next;
    }
    if (image_.word(Address(head + words_.size)) != before) return;
    found_.insert(found_.end(), stacks.begin(), stacks.end());
  }

  const Image& image_;
  const WordFormat words_;
  std::vector<ThreadStack> found_;
  uint64_t steps_ = 0;
};

}  // namespace

std::vector<ThreadStack> find_thread_stacks(const Image& image, const std::vector<Address>& ended) {
  std::vector<ThreadStack> stacks;
  for (uint32_t t = 0; t < image.threads.size(); ++t) {
    const uint64_t pointer = image.threads[t].thread_pointer;
    if (pointer == 0) continue;
    if (const auto range = stack_of(image, pointer)) stacks.push_back({*range, t});
  }
  if (thread_layout(image).tid == 0) {
    for (const ThreadStack& stack : StackLists(image).ended()) stacks.push_back(stack);
  }
  for (const Address descriptor : ended) {
    if (const auto range = stack_of(image, descriptor.value())) {
      stacks.push_back({*range, ThreadStack::kEnded, descriptor.value()});
    }
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
