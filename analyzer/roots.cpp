#include "analyzer/roots.h"

#include <algorithm>

#include "analyzer/thread_layout.h"
#include "analyzer/thread_stacks.h"
#include "analyzer/words.h"
#include "formats/base/claims.h"
#include "formats/base/text.h"

namespace residue {
namespace {

// The thread id that pthread_join leaves in a descriptor.
constexpr uint32_t kJoined = ~uint32_t{0};
// struct pthread's alignment (glibc 2.12–2.42): TCB_ALIGNMENT of x86-64; elsewhere it is smaller,
// but static TLS is aligned to a stack's 16 bytes at least.
constexpr uint64_t kDescriptorAlignment = 64, kMinDescriptorAlignment = 16;

class RootFinder {
 public:
  RootFinder(const Image& image, const std::vector<AddressRange>& claimed,
             const std::vector<Address>& ended)
      : image_(image),
        claimed_(claimed),
        layout_(thread_layout(image)),
        stacks_(find_thread_stacks(image, ended)),
        tls_size_(static_tls_size(image)) {}

  Roots find() {
    for (const Region& region : image_.regions) {
      if (!region.bytes.empty()) classify(region);
    }
    for (uint32_t t = 0; t < image_.threads.size(); ++t) add_registers(t);
    std::stable_sort(roots_.live.begin(), roots_.live.end(),
                     [](const RootRange& a, const RootRange& b) { return a.kind < b.kind; });
    return std::move(roots_);
  }

 private:
  void classify(const Region& region) {
    const uint64_t begin = region.range.base.value();
    const uint64_t end = begin + region.bytes.size();
    switch (region.kind) {
      case RegionKind::kModuleData:
        add_live(RootKind::kGlobal, region, begin, end, 0);
        break;
      case RegionKind::kStack:
        if (!add_known_stacks(region, begin, end)) add_stack(region);
        break;
      case RegionKind::kHeap:
      case RegionKind::kAnonymous:
      case RegionKind::kUnknown:
        if (region.permissions.write) {
          if (!add_known_stacks(region, begin, end)) add_anonymous(region, begin, end);
        } else if (!region.permissions.execute) {
          // What relocation wrote of a library that is not known as one; or what the program
          // closed.
          add_live(RootKind::kAnonymous, region, begin, end, 0);
        }
        break;
      case RegionKind::kFile:
        if (region.permissions.write) add_live(RootKind::kFile, region, begin, end, 0);
        break;
      case RegionKind::kModuleRodata:
        // Without the module's headers RELRO cannot be told from what was never written.
        if (module_is_bare(region)) add_live(RootKind::kGlobal, region, begin, end, 0);
        break;
      case RegionKind::kModuleText:
      case RegionKind::kVdso:
        break;
    }
  }

  bool module_is_bare(const Region& region) const {
    return region.module.value() < image_.modules.size() &&
           image_.modules[region.module.value()].segments.empty();
  }

  // The parts of [begin, end) that no allocator claimed.
  void add_live(RootKind kind, const Region& region, uint64_t begin, uint64_t end,
                uint32_t thread) {
    add(&roots_.live, kind, region, begin, end, thread);
  }

  void add(std::vector<RootRange>* to, RootKind kind, const Region& region, uint64_t begin,
           uint64_t end, uint32_t thread, DeadKind dead = DeadKind::kNone) {
    const uint64_t base = region.range.base.value();
    for_each_unclaimed(claimed_, begin, end, [&](uint64_t from, uint64_t until) {
      from = (from + layout_.word - 1) & ~(layout_.word - 1);
      if (from >= until) return;
      to->push_back(
          {kind, Address(from), region.bytes.subspan(from - base, until - from), thread, dead});
    });
  }

  // Static TLS and the thread's descriptor, as far as they lie in [begin, end).
  bool tls_of(uint32_t thread, uint64_t begin, uint64_t end, uint64_t* from,
              uint64_t* until) const {
    const uint64_t tp = image_.threads[thread].thread_pointer;
    const uint64_t middle = tp - std::min(tp, layout_.pointer_bias);
    if (middle < begin || middle >= end) return false;
    const ThreadBlock block = thread_block(layout_, tp, tls_size_);
    *from = std::max(begin, block.begin);
    *until = std::min(end, block.end);
    return true;
  }

  // A region with stacks whose extent is known; what lies between them is memory like any other.
  // False if there is none.
  bool add_known_stacks(const Region& region, uint64_t begin, uint64_t end) {
    bool any = false;
    auto stack = std::partition_point(
        stacks_.begin(), stacks_.end(),
        [begin](const ThreadStack& s) { return s.range.end().value() <= begin; });
    for (; stack != stacks_.end() && stack->range.base.value() < end; ++stack) {
      any = true;
      const uint64_t from = std::max(begin, stack->range.base.value());
      const uint64_t until = std::min(end, stack->range.end().value());
      add_anonymous(region, begin, from);
      add_known_stack(region, from, until, *stack);
      begin = until;
    }
    if (any) add_anonymous(region, begin, end);
    return any;
  }

  void add_known_stack(const Region& region, uint64_t begin, uint64_t end,
                       const ThreadStack& stack) {
    if (stack.thread == ThreadStack::kEnded) {
      const uint64_t dead = std::clamp(was_joined(stack) ? end : stack.descriptor, begin, end);
      add(&roots_.dead, RootKind::kStack, region, begin, dead, 0, DeadKind::kEndedThread);
      add_live(RootKind::kAnonymous, region, dead, end, 0);
      return;
    }
    // A thread that runs on another stack (of a signal handler, of a coroutine) has left this one
    // at a place that is not known.
    const uint64_t sp = image_.threads[stack.thread].sp;
    const bool here = sp >= begin && sp < end;
    add_stack_of(region, begin, end, here ? sp : begin, stack.thread);
  }

  // [begin, end) is a stack that is alive from `sp` on.
  void add_stack_of(const Region& region, uint64_t begin, uint64_t end, uint64_t sp,
                    uint32_t thread) {
    uint64_t live = sp - std::min(sp - begin, layout_.red_zone);
    live &= ~(layout_.word - 1);
    add(&roots_.dead, RootKind::kStack, region, begin, live, thread, DeadKind::kBelowStackPointer);
    split_at_tls(region, live, end, [&](uint64_t from, uint64_t until) {
      add_live(RootKind::kStack, region, from, until, thread);
    });
  }

  // A region with stack pointers in it of which glibc says nothing: the first thread's, other C
  // libraries', coroutines'. With more than one of them there are stacks without a guard page
  // between them: below the lowest one everything is dead; above it nothing can be told apart.
  void add_stack(const Region& region) {
    const uint64_t begin = region.range.base.value();
    const uint64_t end = begin + region.bytes.size();
    uint64_t lowest = ~uint64_t{0};
    uint32_t owner = 0;
    for (uint32_t t = 0; t < image_.threads.size(); ++t) {
      const uint64_t sp = image_.threads[t].sp;
      if (sp < begin || sp >= end || sp >= lowest) continue;
      lowest = sp;
      owner = t;
    }
    if (lowest == ~uint64_t{0}) {
      add_live(RootKind::kAnonymous, region, begin, end, 0);
      return;
    }
    add_stack_of(region, begin, end, is_elsewhere(owner, region) ? begin : lowest, owner);
  }

  // Whether the thread runs on a stack that is not its own, below which anything may lie: its own
  // is known, or it is the first thread, whose stack the kernel made, and that is there as well.
  bool is_elsewhere(uint32_t t, const Region& region) const {
    const bool has_own = std::any_of(stacks_.begin(), stacks_.end(),
                                     [t](const ThreadStack& s) { return s.thread == t; });
    if (has_own) return true;
    return image_.threads[t].tid == image_.pid && !is_kernel_stack(region) &&
           std::any_of(image_.regions.begin(), image_.regions.end(), [](const Region& other) {
             return other.kind != RegionKind::kModuleData && is_kernel_stack(other);
           });
  }

  // pthread_join sets the id it leaves behind to -1 (glibc 2.3–2.42). Until then it may still come
  // and fetch what the thread returned, which lies in the descriptor.
  bool was_joined(const ThreadStack& stack) const {
    if (layout_.tid == 0) return false;
    const auto tid = image_.value<uint32_t>(Address(stack.descriptor + layout_.tid));
    return tid.value_or(0) == kJoined;
  }

  // The main thread's TLS lies in anonymous memory of its own.
  void add_anonymous(const Region& region, uint64_t begin, uint64_t end) {
    split_at_tls(region, begin, end, [&](uint64_t from, uint64_t until) {
      add_live(RootKind::kAnonymous, region, from, until, 0);
    });
  }

  // Adds the TLS parts of [begin, end) as such, and hands the rest to `f`.
  template <typename F>
  void split_at_tls(const Region& region, uint64_t begin, uint64_t end, F&& f) {
    std::vector<AddressRange> tls;
    for (uint32_t t = 0; t < image_.threads.size(); ++t) {
      uint64_t from = 0;
      uint64_t until = 0;
      if (!tls_of(t, begin, end, &from, &until)) continue;
      add_live(RootKind::kTls, region, from, until, t);
      tls.push_back({Address(from), ByteCount(until - from)});
    }
    std::sort(tls.begin(), tls.end(),
              [](const AddressRange& a, const AddressRange& b) { return a.base < b.base; });
    for_each_unclaimed(tls, begin, end, f);
  }

  void add_registers(uint32_t t) {
    const Thread& thread = image_.threads[t];
    for (const Register& r : thread.registers) roots_.registers.push_back({t, r.value});
    // Vector registers carry copies of pointers through memcpy and the like.
    const auto vectors = thread.extended_state;
    const WordFormat words(image_);
    for (size_t at = 0; at + words.size <= vectors.size(); at += words.size) {
      roots_.registers.push_back({t, words.at(vectors, at)});
    }
  }

  const Image& image_;
  const std::vector<AddressRange>& claimed_;
  const ThreadLayout& layout_;
  const std::vector<ThreadStack> stacks_;
  const uint64_t tls_size_;
  Roots roots_;
};

}  // namespace

std::vector<Address> find_ended_threads(const Image& image,
                                        const std::vector<AddressRange>& claimed) {
  std::vector<Address> ended;
  // Elsewhere nothing in struct pthread tells it from other memory; see thread_stacks.cpp.
  const ThreadLayout& layout = thread_layout(image);
  if (layout.tid == 0) return ended;
  const WordFormat words(image);
  const bool is_x86_64 = image.architecture == Architecture::kX86_64;
  const uint64_t step = is_x86_64 ? kDescriptorAlignment : kMinDescriptorAlignment;
  const auto look_at = [&](const Region& region, uint64_t address) {
    const auto bytes = region.bytes.subspan(address - region.range.base.value());
    if (bytes.size() < 3 * words.size || words.at(bytes, 0) != address ||
        words.at(bytes, 2 * words.size) != address) {
      return;
    }
    const bool lives = std::any_of(image.threads.begin(), image.threads.end(),
                                   [&](const Thread& t) { return t.thread_pointer == address; });
    // The kernel clears the id of a thread that has gone (CLONE_CHILD_CLEARTID); pthread_join()
    // then sets it to -1.
    const uint32_t tid = image.value<uint32_t>(Address(address + layout.tid)).value_or(1);
    if (!lives && (tid == 0 || tid == kJoined)) ended.push_back(Address(address));
  };
  for (const Region& region : image.regions) {
    // Without guard pages between them stacks of ended threads lie in one region with others.
    const bool may_hold =
        region.kind == RegionKind::kAnonymous || region.kind == RegionKind::kStack;
    if (!may_hold || !region.permissions.write) continue;
    const uint64_t base = region.range.base.value();
    // Heaps hold no stacks of glibc's, and are too large to be read for nothing.
    for_each_unclaimed(claimed, base, base + region.bytes.size(),
                       [&](uint64_t begin, uint64_t end) {
                         const auto bytes = region.bytes.subspan(begin - base, end - begin);
                         image.holes.for_each_data(bytes, [&](uint64_t from, uint64_t until) {
                           from += (step - begin - from) % step;
                           for (; from < until; from += step) {
                             look_at(region, begin + from);
                           }
                         });
                       });
  }
  return ended;
}

Roots find_roots(const Image& image, const std::vector<AddressRange>& claimed,
                 const std::vector<Address>& ended) {
  return RootFinder(image, claimed, ended).find();
}

namespace {

// glibc's, by its name: "ld-2.31.so", "ld-linux-x86-64.so.2", "ld64.so.1", "ld.so.1". musl's is the
// whole C library.
bool is_loader(const Module& module) {
  const std::string_view name = base_name(module.path);
  return name.starts_with("ld-linux") || name.starts_with("ld-2.") || name.starts_with("ld64.so") ||
         name.starts_with("ld.so");
}

// Whether the program headers give a module this writable memory. Its first page may begin with the
// end of what stands before it in the file: code, tables for unwinding.
bool is_writable_data(const Module& module, Address location) {
  return module.segments.empty() ||
         std::any_of(module.segments.begin(), module.segments.end(), [&](const Segment& s) {
           return s.permissions.write && s.range.contains(location);
         });
}

// Whether a word at `location` is a link of a list {next, prev} to an element that links back.
// ld.so keeps lists of stacks, and a stack may be the program's own memory.
bool is_list_head(const Image& image, Address location, uint64_t pointer) {
  const ByteCount word(image.pointer_width);
  for (const auto link : {image.word(Address(pointer)), image.word(Address(pointer) + word)}) {
    if (!link) continue;
    if (*link == location.value() || *link == (location - word).value()) return true;
  }
  return false;
}

}  // namespace

LoaderChunks find_loader_chunks(const Image& image, const ChunkMap& map, const Roots& roots,
                                const std::vector<Address>& ended) {
  LoaderChunks chunks;
  const auto add = [&](std::vector<ChunkId>* to, uint64_t pointer) {
    // In a 32-bit process four letters of a tunable's name may be an address of the heap's.
    if (pointer % image.pointer_width != 0) return;
    uint64_t start = 0;
    const ChunkId id = map.find(pointer, &start);
    if (id != kNone<ChunkId>) to->push_back(id);
  };
  for (const Address link_map : image.link_maps) add(&chunks.own, link_map.value());
  const WordFormat words(image);
  for (const RootRange& range : roots.live) {
    if (range.kind != RootKind::kGlobal) continue;
    const Module* module = image.module_of(range.base);
    if (module == nullptr || !is_loader(*module)) continue;
    for (uint64_t at = 0; at + words.size <= range.bytes.size(); at += words.size) {
      const Address location = range.base + ByteCount(at);
      if (!is_writable_data(*module, location)) continue;
      const uint64_t pointer = image.untag(words.at(range.bytes, at));
      if (is_list_head(image, location, pointer)) continue;
      add(&chunks.own, pointer);
    }
  }
  const auto dtv = static_cast<uint64_t>(thread_layout(image).dtv);
  const auto add_vector = [&](uint64_t thread_pointer) {
    add(&chunks.vectors, image.word(Address(thread_pointer + dtv)).value_or(0));
  };
  for (const Thread& thread : image.threads) {
    if (thread.thread_pointer != 0) add_vector(thread.thread_pointer);
  }
  for (const Address descriptor : ended) add_vector(descriptor.value());
  for (auto* list : {&chunks.own, &chunks.vectors}) {
    std::sort(list->begin(), list->end());
    list->erase(std::unique(list->begin(), list->end()), list->end());
  }
  return chunks;
}

}  // namespace residue
