#include "tests/support/seed_cores.h"

#include <algorithm>

#include "tests/support/abi_core.h"
#include "tests/support/bsd_notes.h"
#include "tests/support/bytes.h"
#include "tests/support/core_builder.h"
#include "tests/support/linux_notes.h"
#include "tests/support/module_builder.h"

namespace residue::testing {
namespace {

constexpr uint64_t kPage = 0x1000;
constexpr uint32_t kRw = kReadable | kWritable;
constexpr uint64_t kProgram = 0x555555554000, kHeap = 0x555555560000, kThreadHeap = 0x7fffe8000000;
constexpr uint64_t kMmapped = 0x7ffff7b00000, kStack = 0x7ffffffde000;

// struct malloc_state of 2.27 to 2.42, LP64.
constexpr uint64_t kStateSize = 2200, kFastbins = 16, kTop = 96, kBins = 112, kNext = 2160;
constexpr uint64_t kAttached = 2176, kSystemMem = 2184, kMaxSystemMem = 2192;
constexpr uint64_t kBinCount = 127;
constexpr uint64_t kPrevInUse = 1, kIsMmapped = 2, kNonMainArena = 4;

// A malloc_state at `address` with all bins empty.
std::vector<std::byte> empty_arena(uint64_t address, uint64_t top, uint64_t next) {
  std::vector<std::byte> state(kStateSize);
  poke(&state, kTop, top);
  for (uint64_t i = 0; i < kBinCount; ++i) {
    const uint64_t header = address + kBins + i * 16 - 16;
    poke(&state, kBins + i * 16, header);
    poke(&state, kBins + i * 16 + 8, header);
  }
  poke(&state, kNext, next);
  poke(&state, kAttached, uint64_t{1});
  poke(&state, kSystemMem, kPage);
  poke(&state, kMaxSystemMem, kPage);
  return state;
}

// struct malloc_par of 2.35 to 2.42 (mp_): one mmapped chunk of a page.
std::vector<std::byte> parameters() {
  ByteWriter out;
  out.u64(131072).u64(0).u64(131072);            // trim_threshold, top_pad, mmap_threshold
  out.u64(8).u64(0);                             // arena_test, arena_max
  out.u64(0).u64(0).u32(0);                      // thp_pagesize, hp_pagesize, hp_flags
  out.u32(1).u32(65536).u32(1).u32(0).align(8);  // n_mmaps, its maximum and peak, no_dyn_threshold
  out.u64(kPage).u64(kPage).u64(kHeap);          // mmapped_mem, its peak, sbrk_base
  out.u64(64).u64(1032).u64(7).u64(0);           // tcache: bins, bytes, count, limit
  return out.take();
}

// A page of heap that is filled with chunks from the bottom up.
class HeapPage {
 public:
  HeapPage(uint64_t base, uint64_t used, uint64_t flags)
      : base_(base), at_(used), flags_(flags), bytes_(kPage) {}

  // Returns the address of the chunk's header.
  uint64_t chunk(uint64_t size) {
    const uint64_t header = base_ + at_;
    put(header + 8, size | flags_ | previous_);
    previous_ = kPrevInUse;
    at_ += size;
    return header;
  }
  // A chunk that the next one knows to be free.
  uint64_t free_chunk(uint64_t size, uint64_t links) {
    const uint64_t header = chunk(size);
    put(header + 16, links);
    put(header + 24, links);
    put(header + size, size);
    previous_ = 0;
    return header;
  }
  uint64_t top() {
    const uint64_t header = base_ + at_;
    put(header + 8, (kPage - at_) | previous_);
    bytes_.back() = std::byte{1};  // so that compact() keeps the page whole
    return header;
  }
  void put(uint64_t address, uint64_t value) { poke(&bytes_, address - base_, value); }
  void put16(uint64_t address, uint16_t value) { poke(&bytes_, address - base_, value); }
  const std::vector<std::byte>& bytes() const { return bytes_; }

 private:
  uint64_t base_, at_, flags_;
  uint64_t previous_ = kPrevInUse;
  std::vector<std::byte> bytes_;
};

ModuleBuilder small_module(uint64_t seed) {
  ModuleBuilder module(seed);
  module.blank().dynamic_symbol({"state", ModuleBuilder::kData + 0x10, 16, false});
  return module;
}

CoreRegisters registers() {
  CoreRegisters r;
  r.rip = kProgram + ModuleBuilder::kText;
  r.rsp = kStack + 0x20;
  return r;
}

CoreBuilder kernel_core() {
  CoreBuilder core;
  core.add_thread(100, registers()).siginfo({11, 1, 0x10}).fpregset();
  core.add_thread(101, {}).xstate(pattern(600, 1));
  core.add_prpsinfo(100, "seed", "seed --all");
  core.add_auxv(kAuxEntry, kProgram + ModuleBuilder::kText).add_auxv(kAuxPageSize, kPage);
  core.add_auxv(kAuxSysinfoEhdr, 0x7ffff7fc1000);
  small_module(1).place(&core, kProgram, "/bin/seed");
  core.add_file_mapping(0x7ffff0000000, 0x7ffff0001000, 0, "/share/data");
  core.add_load(kStack, kRw, pattern(0x80, 2), kPage);
  return core;
}

// A program whose dynamic section claims to be as long as memory, and has no DT_DEBUG.
std::vector<std::byte> endless_dynamic_core() {
  constexpr size_t kDynamicHeader = 64 + 4 * 56, kMemsz = 40;  // the fifth program header
  CoreBuilder core = kernel_core();
  auto bytes = core.compact().build();
  poke(&bytes, core.layout().memory + kDynamicHeader + kMemsz, uint64_t{1} << 63);
  return bytes;
}

// Writable memory up to the last address: rounding its start up wraps around.
std::vector<std::byte> top_of_memory_core() {
  return kernel_core().add_load(0 - kPage, kRw, pattern(0x80, 4), kPage).compact().build();
}

std::vector<std::byte> heap_core_with(bool tcache_looks_free) {
  constexpr uint64_t kMainArena = kProgram + ModuleBuilder::kData + 0x100;
  constexpr uint64_t kThreadArena = kThreadHeap + 48;  // behind heap_info

  HeapPage heap(kHeap, 0, 0);
  const uint64_t tcache = heap.chunk(0x290);
  const uint64_t node = heap.chunk(0x30), tail = heap.chunk(0x30);
  const uint64_t leaked = heap.chunk(0x30), kept_by_leaked = heap.chunk(0x50);
  const uint64_t cached = heap.chunk(0x40), fast = heap.chunk(0x30);
  heap.chunk(0x30);
  const uint64_t unsorted_header = kMainArena + kBins - 16;
  const uint64_t unsorted = heap.free_chunk(0x120, unsorted_header);
  heap.chunk(0x30);
  const uint64_t top = heap.top();
  heap.put(node + 16, tail + 16);
  heap.put(leaked + 16, kept_by_leaked + 16);
  heap.put16(tcache + 16 + 4, 1);                 // counts[2]: chunks of 0x40 bytes
  heap.put(tcache + 16 + 128 + 16, cached + 16);  // entries[2]
  heap.put(cached + 16, (cached + 16) >> 12);     // safe-linking of a list's end, 2.32 on
  heap.put(fast + 16, (fast + 16) >> 12);
  if (tcache_looks_free) {
    heap.put(tcache + 0x290, 0x290);     // prev_size
    heap.put(tcache + 0x290 + 8, 0x30);  // without kPrevInUse
  }

  auto main_arena = empty_arena(kMainArena, top, kThreadArena);
  poke(&main_arena, kFastbins + 8, fast);  // fastbinsY[1]: chunks of 0x30 bytes
  poke(&main_arena, kBins, unsorted);
  poke(&main_arena, kBins + 8, unsorted);

  HeapPage thread_heap(kThreadHeap, 0x8d0, kNonMainArena);
  const uint64_t worker = thread_heap.chunk(0x40);
  const auto thread_arena = empty_arena(kThreadArena, thread_heap.top(), kMainArena);
  for (size_t i = 0; i < thread_arena.size(); i += 8) {
    thread_heap.put(kThreadArena + i, peek<uint64_t>(thread_arena, i));
  }
  thread_heap.put(kThreadHeap, kThreadArena);  // ar_ptr
  thread_heap.put(kThreadHeap + 16, kPage);    // size
  thread_heap.put(kThreadHeap + 24, kPage);    // mprotect_size

  auto module = small_module(1);
  module.data(kMainArena - kProgram, main_arena);
  // Behind the arena, so that compact() keeps all of it.
  module.data(ModuleBuilder::kData + 0xc00, ByteWriter().u8(1).take());
  module.data(ModuleBuilder::kData + 0xb00, parameters());
  module.data(ModuleBuilder::kData + 0x10, ByteWriter().u64(worker + 16).take());
  CoreBuilder core;
  core.add_thread(100, registers()).add_prpsinfo(100, "seed", "seed");
  core.add_auxv(kAuxEntry, kProgram + ModuleBuilder::kText).add_auxv(kAuxPageSize, kPage);
  module.place(&core, kProgram, "/bin/seed");
  core.add_load(kHeap, kRw, heap.bytes());
  core.add_load(kThreadHeap, kRw, thread_heap.bytes());
  core.add_load(kMmapped, kRw,
                ByteWriter().u64(0).u64(kPage | kIsMmapped).bytes(pattern(0x40, 3)).take(), kPage);
  core.add_load(kStack, kRw,
                ByteWriter().zeros(0x30).u64(node + 16).u64(kMmapped + 16).u64(tail + 24).take(),
                kPage);
  return core.compact().build();
}

// A thread, a file and a stack on each machine that Linux runs on.
std::vector<std::byte> machine_core(const LinuxAbi& abi) {
  AbiCore core(abi.abi);
  core.note("CORE", kNotePrstatus, linux_prstatus(abi, 7, 11, 0x10000));
  core.note("CORE", kNotePrpsinfo, linux_prpsinfo(abi, 7, "seed", "seed"));
  core.note("CORE", kNoteSiginfo, linux_siginfo(abi, 11, 1, 0x10));
  core.note("LINUX", 0x401, counted_words(abi.abi, 2, 0x10000));  // NT_ARM_TLS
  core.note("LINUX", 0x406, counted_words(abi.abi, 4, 0));        // NT_ARM_PAC_MASK
  core.note("LINUX", 0x200, counted_words(abi.abi, 8, 6));        // NT_386_TLS
  AbiBytes aux(abi.abi);
  aux.word(kAuxPhdr).word(0x20000).word(5).word(2).word(0).word(0);
  core.note("CORE", kNoteAuxv, aux.data());
  core.load(0x10000, kRw, pattern(64, 1), kPage);
  // A program header table, a dynamic section, r_debug and a link map that leads to itself.
  AbiBytes program(abi.abi);
  const std::vector<AbiSegment> segments = {{6, 4, 0, 0x20000, 64, 64},
                                            {2, kRw, 0x100, 0x20100, 64, 64}};
  const auto headers = abi_elf(abi.abi, 4, segments);
  const size_t skip = abi.abi.is_64 ? 64 : 52;
  program.bytes({headers.begin() + static_cast<ptrdiff_t>(skip), headers.end()});
  program.pad_to(0x100).word(5).word(1).word(21).word(0x20180).pad_to(0x180);
  program.u32(1).pad_to(0x180 + abi.abi.word()).word(0x201c0).pad_to(0x1c0);
  program.word(0x20000).word(0x20200).word(0x20100).word(0x201c0).pad_to(0x200).text("/x", 3);
  core.load(0x20000, kRw, program.data(), kPage);
  return core.build();
}

std::vector<std::byte> freebsd_core() {
  constexpr Abi kAbi = {62, true, false, 0};
  AbiCore core(kAbi);
  core.note("FreeBSD", 3, freebsd_prpsinfo(kAbi, 7, "seed", "seed"));
  core.note("FreeBSD", 1, freebsd_prstatus(kAbi, 100, 11, counted_words(kAbi, 22, 0x10000)));
  core.note("FreeBSD", 7, AbiBytes(kAbi).text("worker", 20).u32(0).data());
  core.note("FreeBSD", 17, freebsd_lwpinfo(kAbi, 0x20, 11, 1, 0x10));
  AbiBytes maps(kAbi);
  maps.u32(1160);
  put_freebsd_mapping(&maps, 0x10000, 0x11000, 0, "/bin/seed");
  put_freebsd_mapping(&maps, 0x20000, 0x21000, 0, "");
  core.note("FreeBSD", 10, maps.data());
  core.note("FreeBSD", 16, AbiBytes(kAbi).u32(16).u64(9).u64(0x10010).u64(0).u64(0).data());
  return core.load(0x10000, kRw, pattern(64, 1), kPage).build();
}

std::vector<std::byte> netbsd_core() {
  constexpr Abi kAbi = {62, true, false, 0};
  AbiCore core(kAbi);
  core.note("NetBSD-CORE", 1, netbsd_procinfo(kAbi, 11, 1, 7, "seed", 1));
  core.note("NetBSD-CORE@1", 24,
            AbiBytes(kAbi).u32(1).pad_to(36).text("worker", 20).u64(0x10000).data());
  core.note("NetBSD-CORE@1", 33, counted_words(kAbi, 26, 0x10000));
  core.note("OpenBSD", 10, openbsd_procinfo(kAbi, 11, 7, "seed"));
  core.note("OpenBSD@1", 20, counted_words(kAbi, 24, 0x10000));
  return core.load(0x10000, kRw, pattern(64, 1), kPage).build();
}

}  // namespace

std::vector<std::byte> heap_core() { return heap_core_with(false); }

std::vector<std::pair<std::string, std::vector<std::byte>>> seed_cores() {
  CoreBuilder gcore = kernel_core();
  gcore.note_order(CoreBuilder::NoteOrder::kGcore);
  CoreBuilder extended = kernel_core();
  extended.extended_numbering();
  std::vector<std::pair<std::string, std::vector<std::byte>>> seeds = {
      {"smallest", CoreBuilder().add_load(kStack, kRw, pattern(16, 1)).compact().build()},
      {"kernel", kernel_core().compact().build()},
      {"gcore", gcore.compact().build()},
      {"extended", extended.compact().build()},
      {"heap", heap_core()},
      // What fuzzing found.
      {"freed_cache", heap_core_with(true)},
      {"endless_dynamic", endless_dynamic_core()},
      {"top_of_memory", top_of_memory_core()},
      {"freebsd", freebsd_core()},
      {"netbsd", netbsd_core()}};
  for (const LinuxAbi& abi : linux_abis()) {
    std::string name = abi.name;
    std::replace(name.begin(), name.end(), ' ', '_');
    seeds.emplace_back(name, machine_core(abi));
  }
  return seeds;
}

}  // namespace residue::testing
