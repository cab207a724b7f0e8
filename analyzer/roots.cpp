#include "analyzer/roots.h"

#include <algorithm>

#include "analyzer/thread_layout.h"
#include "analyzer/thread_stacks.h"
#include "analyzer/words.h"
#include "formats/base/claims.h"
#include "formats/base/text.h"

namespace residue {
namespace {

// Between the modules' blocks of static TLS, for alignment. What glibc keeps in reserve below them
// is left to the stack: the first frames of a thread lie close behind it.
constexpr uint64_t kTlsAlignment = 64;
// What glibc keeps of a thread in its struct pthread: under 4 KiB (2.12–2.42).
constexpr uint64_t kThreadStruct = 4096;
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
        ended_(ended),
        layout_(thread_layout(image)),
        stacks_(find_thread_stacks(image, ended)) {
    for (const Module& module : image.modules) {
      if (module.tls_image) tls_size_ += module.tls_image->size.value() + kTlsAlignment;
    }
    tls_size_ = std::min<uint64_t>(tls_size_, 1 << 20);
  }

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
      add_known_stack(region, from, until, stack->thread);
      begin = until;
    }
    if (any) add_anonymous(region, begin, end);
    return any;
  }

  void add_known_stack(const Region& region, uint64_t begin, uint64_t end, uint32_t thread) {
    if (thread == ThreadStack::kEnded) {
      add(&roots_.dead, RootKind::kStack, region, begin, end, 0);
      return;
    }
    // A thread that runs on another stack (of a signal handler, of a coroutine) has left this one
    // at a place that is not known.
    const uint64_t sp = image_.threads[thread].sp;
    const bool here = sp >= begin && sp < end;
    uint64_t live = here ? sp - std::min(sp - begin, layout_.red_zone) : begin;
    live &= ~(layout_.word - 1);
    add(&roots_.dead, RootKind::kStack, region, begin, live, thread);
    split_at_tls(region, live, end, [&](uint64_t from, uint64_t until) {
      add_live(RootKind::kStack, region, from, until, thread);
    });
  }

  void add_stack(const Region& region) {
    const uint64_t begin = region.range.base.value();
    const uint64_t end = begin + region.bytes.size();
    std::vector<AddressRange> dead;
    uint32_t owner = 0;
    if (!dead_stack_in(begin, end, region, &dead, &owner)) {
      add_live(RootKind::kAnonymous, region, begin, end, 0);
      return;
    }
    for (const AddressRange& range : dead) {
      add(&roots_.dead, RootKind::kStack, region, range.base.value(), range.end().value(), owner,
          DeadKind::kBelowStackPointer);
    }
    for_each_unclaimed(dead, begin, end, [&](uint64_t first, uint64_t last) {
      split_at_tls(region, first, last, [&](uint64_t from, uint64_t until) {
        add_live(RootKind::kStack, region, from, until, owner);
      });
    });
  }

  // What lies below the stack pointers in a region, sorted; false if there is none in it. glibc
  // says where a thread's stack begins; stack pointers elsewhere are of coroutines, below which
  // anything may lie. Of a thread glibc says nothing of, the whole region is the stack, and above
  // the lowest stack pointer nothing can be told apart.
  bool dead_stack_in(uint64_t begin, uint64_t end, const Region& region,
                     std::vector<AddressRange>* dead, uint32_t* owner) const {
    uint64_t lowest = ~uint64_t{0};
    for (uint32_t t = 0; t < image_.threads.size(); ++t) {
      const uint64_t sp = image_.threads[t].sp;
      if (sp < begin || sp >= end) continue;
      if (sp < lowest) *owner = t;
      lowest = std::min(lowest, sp);
    }
    if (lowest == ~uint64_t{0}) return false;
    for (uint32_t t = 0; t < image_.threads.size(); ++t) {
      const Thread& thread = image_.threads[t];
      if (thread.sp < begin || thread.sp >= end) continue;
      uint64_t from = begin;
      if (const auto block = stack_block(image_, layout_, thread.thread_pointer, tls_size_)) {
        if (!block->contains(Address(thread.sp))) continue;
        from = std::max(begin, block->base.value());
      } else if (thread.sp != lowest || is_elsewhere(thread, region)) {
        continue;
      }
      uint64_t until = thread.sp - std::min(thread.sp - from, layout_.red_zone);
      until &= ~(layout_.word - 1);
      if (from < until) dead->push_back({Address(from), ByteCount(until - from)});
    }
    std::sort(dead->begin(), dead->end(),
              [](const AddressRange& a, const AddressRange& b) { return a.base < b.base; });
    return true;
  }

  // The first thread of a process on a stack that is not the kernel's, which is there as well.
  bool is_elsewhere(const Thread& thread, const Region& region) const {
    return thread.tid == image_.pid && !is_kernel_stack(region) &&
           std::any_of(image_.regions.begin(), image_.regions.end(), [](const Region& other) {
             return other.kind != RegionKind::kModuleData && is_kernel_stack(other);
           });
  }

  // pthread_join sets the id it leaves behind to -1 (glibc 2.3–2.42). Until then it may still come
  // and fetch what the thread returned, which lies in the descriptor.
  bool was_joined(Address descriptor) const {
    const auto tid = image_.value<uint32_t>(descriptor + ByteCount(layout_.tid));
    return tid.value_or(0) == kJoined;
  }

  // The main thread's TLS lies in anonymous memory of its own.
  void add_anonymous(const Region& region, uint64_t begin, uint64_t end) {
    // A cached stack: dead from where glibc says that it begins, else from the start of the mapping
    // or the end of what lies before it, to its descriptor.
    for (auto it = std::lower_bound(ended_.begin(), ended_.end(), Address(begin));
         it != ended_.end() && it->value() < end; ++it) {
      const uint64_t until = std::min(end, it->value() + (was_joined(*it) ? kThreadStruct : 0));
      if (until <= begin) continue;
      const auto block = stack_block(image_, layout_, it->value(), tls_size_);
      const uint64_t stack = block ? std::clamp(block->base.value(), begin, until) : begin;
      add_live(RootKind::kAnonymous, region, begin, stack, 0);
      begin = stack;
      add(&roots_.dead, RootKind::kStack, region, begin, until, 0, DeadKind::kEndedThread);
      begin = until;
    }
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
  const std::vector<Address>& ended_;  // sorted
  const ThreadLayout& layout_;
  const std::vector<ThreadStack> stacks_;
  uint64_t tls_size_ = 0;
  Roots roots_;
};

}  // namespace

std::vector<Address> find_ended_threads(const Image& image,
                                        const std::vector<AddressRange>& claimed) {
  std::vector<Address> ended;
  // Elsewhere nothing in struct pthread tells it from other memory: ended threads' stacks stay
  // alive there, and what only they refer to does.
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

// By its name; "ld-2.31.so", "ld-linux-x86-64.so.2", "ld64.so.1", "ld.so.1", "ld-musl-….so.1".
bool is_loader(const Module& module) {
  const std::string_view name = base_name(module.path);
  return name.starts_with("ld-linux") || name.starts_with("ld-2.") || name.starts_with("ld64.so") ||
         name.starts_with("ld.so") || name.starts_with("ld-musl");
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
      add(&chunks.own, image.untag(words.at(range.bytes, at)));
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
