#include "analyzer/roots.h"

#include <algorithm>

#include "analyzer/thread_layout.h"
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
// struct pthread's alignment (glibc 2.12–2.42): TCB_ALIGNMENT of x86-64; elsewhere it is smaller,
// but static TLS is aligned to a stack's 16 bytes at least.
constexpr uint64_t kDescriptorAlignment = 64, kMinDescriptorAlignment = 16;

class RootFinder {
 public:
  RootFinder(const Image& image, const std::vector<AddressRange>& claimed,
             const std::vector<Address>& ended)
      : image_(image), claimed_(claimed), ended_(ended), layout_(thread_layout(image)) {
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
        add_stack(region);
        break;
      case RegionKind::kHeap:
      case RegionKind::kAnonymous:
      case RegionKind::kUnknown:
        if (region.permissions.write) {
          add_anonymous(region, begin, end);
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

  void add_stack(const Region& region) {
    const uint64_t begin = region.range.base.value();
    const uint64_t end = begin + region.bytes.size();
    // More than one stack pointer in a region: stacks without a guard page between them. Below the
    // lowest one everything is dead; above it nothing can be told apart.
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
    uint64_t live = lowest - std::min(lowest - begin, layout_.red_zone);
    live &= ~(layout_.word - 1);
    add(&roots_.dead, RootKind::kStack, region, begin, live, owner, DeadKind::kBelowStackPointer);
    split_at_tls(region, live, end, [&](uint64_t from, uint64_t until) {
      add_live(RootKind::kStack, region, from, until, owner);
    });
  }

  // The main thread's TLS lies in anonymous memory of its own.
  void add_anonymous(const Region& region, uint64_t begin, uint64_t end) {
    // A cached stack: dead from the start of the mapping, or of what lies before it, to its
    // descriptor.
    for (auto it = std::lower_bound(ended_.begin(), ended_.end(), Address(begin));
         it != ended_.end() && it->value() < end; ++it) {
      const uint64_t until = std::min(end, it->value() + kThreadStruct);
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
    if (!lives && (tid == 0 || tid == ~uint32_t{0})) ended.push_back(Address(address));
  };
  for (const Region& region : image.regions) {
    if (region.kind != RegionKind::kAnonymous || !region.permissions.write) continue;
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
  const auto add = [&map](std::vector<ChunkId>* to, uint64_t pointer) {
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
