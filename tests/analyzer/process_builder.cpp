#include "tests/analyzer/process_builder.h"

#include <stdexcept>

namespace residue::test {
namespace {

constexpr uint64_t kPage = 0x1000;
// The program: headers, text, read-only data, RELRO, data.
constexpr uint64_t kProgram = 0x555555554000;
constexpr uint64_t kProgramText = kProgram + 1 * kPage;
constexpr uint64_t kProgramRodata = kProgram + 2 * kPage;
constexpr uint64_t kProgramNames = kProgram + 3 * kPage;
constexpr uint64_t kProgramRelro = kProgram + 4 * kPage;
constexpr uint64_t kProgramData = kProgram + 5 * kPage;
constexpr uint64_t kProgramDataSize = 4 * kPage;
constexpr uint64_t kBrk = 0x55555557a000;
constexpr uint64_t kFirstThreadHeap = 0x7fffe8000000;
constexpr uint64_t kMmapTop = 0x7ffff7000000;
constexpr uint64_t kLibstdcxx = 0x7ffff7a00000;
constexpr uint64_t kLibc = 0x7ffff7c00000;
constexpr uint64_t kLibraryRodata = 2 * kPage;
constexpr uint64_t kLibraryRelro = 3 * kPage;
constexpr uint64_t kLibraryData = 4 * kPage;
constexpr uint64_t kLibcDataSize = 4 * kPage;  // .data and .bss
constexpr uint64_t kTls = 0x7ffff7fa0000;
constexpr uint64_t kTlsSize = 3 * kPage;
constexpr uint64_t kMainThreadPointer = kTls + 0x1740;
constexpr uint64_t kStack = 0x7ffffffde000;
constexpr uint64_t kStackSize = 0x21000;
constexpr uint64_t kStackPointer = kStack + 0x1f800;
constexpr uint64_t kThreadStacks = 0x7ffff6000000;
constexpr uint64_t kThreadStackSize = 0x10000;
// Thread-local memory below the thread pointer: the program's block first, libc's below it.
constexpr uint64_t kLibcTlsSize = 0x90;
constexpr uint64_t kProgramTlsSize = 0x40;
constexpr uint64_t kTcacheInTls = 0x48;
// Where libstdc++ keeps the vtables of type_info's subclasses, in its RELRO.
constexpr uint64_t kClassTypeInfo = kLibstdcxx + kLibraryRelro + 0x110;
constexpr uint64_t kVmiClassTypeInfo = kLibstdcxx + kLibraryRelro + 0x210;

constexpr const char* kProgramPath = "/opt/app/server";

Segment segment(uint64_t base, uint64_t size, Permissions permissions, uint64_t file_offset) {
  return {{Address(base), ByteCount(size)}, permissions, file_offset, size};
}

}  // namespace

// The ABIs' thread-local memory (ELF Handling For Thread-Local Storage, and glibc's tls.h): blocks
// below the thread pointer, or `tcb` bytes behind the place that lies `bias` bytes below it. `dtv`:
// where glibc keeps the vector of dynamic TLS, from that place.
struct ProcessBuilder::Abi {
  bool tls_below;
  uint64_t bias, tcb;
  int64_t dtv;
};

const ProcessBuilder::Abi& ProcessBuilder::abi() const {
  static constexpr Abi kBelow64 = {true, 0, 0, 8}, kBelow32 = {true, 0, 0, 4};
  static constexpr Abi kArmAbi = {false, 0, 8, 0}, kPpcAbi = {false, 0x7000, 0, -4};
  if (machine_.architecture == Architecture::kArm) return kArmAbi;
  if (machine_.architecture == Architecture::kPpc) return kPpcAbi;
  return machine_.word == 8 ? kBelow64 : kBelow32;
}

// The thread control block. Below it lie the blocks of x86-64, i386 and s390x: then word 0 and word
// 2 point to itself, and word 1 to the vector of dynamic TLS, which the loader put into memory of
// its own.
void ProcessBuilder::put_thread_block(uint64_t block, uint64_t vector) {
  const uint64_t w = machine_.word, program = program_tls(block + abi().bias);
  memory_.put_word(block + static_cast<uint64_t>(abi().dtv), vector + 2 * w);
  if (abi().tls_below) {
    memory_.put_word(block, block);
    memory_.put_word(block + 2 * w, block);
  }
  memory_.put_word(vector, 2);          // slots
  memory_.put_word(vector + 2 * w, 1);  // generation
  memory_.put_word(vector + 4 * w, program);
  memory_.put_word(vector + 6 * w,
                   abi().tls_below ? program - kLibcTlsSize : program + kProgramTlsSize);
}

// Addresses of a 32-bit process are the lower halves of a 64-bit one's.
uint64_t ProcessBuilder::at(uint64_t address) const {
  return machine_.word == 8 ? address : address & 0xffffffff;
}

uint64_t ProcessBuilder::add_library(uint64_t base, const std::string& path, uint64_t data_size) {
  Module module;
  module.path = path;
  module.bias = base;
  module.range = {Address(base), ByteCount(kLibraryData + data_size)};
  module.segments = {segment(base, kPage, kRead, 0),
                     segment(base + kPage, kPage, kReadExecute, kPage),
                     segment(base + kLibraryRodata, kPage, kRead, kLibraryRodata),
                     segment(base + kLibraryRelro, kPage + data_size, kReadWrite, kLibraryRelro)};
  const ModuleId id = memory_.add_module(std::move(module));
  memory_.map(base, kPage, kRead, RegionKind::kModuleRodata, path, id);
  memory_.map(base + kPage, kPage, kReadExecute, RegionKind::kModuleText, path, id);
  memory_.map(base + kLibraryRodata, kPage, kRead, RegionKind::kModuleRodata, path, id);
  memory_.map(base + kLibraryRelro, kPage, kRead, RegionKind::kModuleData, path, id);
  memory_.map(base + kLibraryData, data_size, kReadWrite, RegionKind::kModuleData, path, id);
  return base + kLibraryData;
}

ProcessBuilder::ProcessBuilder(const ProcessOptions& options)
    : machine_(options.machine),
      next_global_(at(kProgramData) + 0x100),
      next_relro_(at(kProgramRelro) + 0x40),
      next_name_(at(kProgramNames)),
      next_function_(at(kProgramText) + 0x200) {
  memory_.header().architecture = machine_.architecture;
  memory_.header().pointer_width = static_cast<unsigned>(machine_.word);
  memory_.header().order = machine_.order;
  const GlibcRelease release = glibc_release(options.glibc, machine_, options.arenas_per_thread);
  Module program;
  program.path = kProgramPath;
  program.bias = at(kProgram);
  program.range = {Address(at(kProgram)),
                   ByteCount(at(kProgramData) + kProgramDataSize - at(kProgram))};
  program.is_executable = true;
  program.segments = {segment(at(kProgram), kPage, kRead, 0),
                      segment(at(kProgramText), kPage, kReadExecute, kPage),
                      segment(at(kProgramRodata), 2 * kPage, kRead, 2 * kPage),
                      segment(at(kProgramRelro), kPage + kProgramDataSize, kReadWrite, 4 * kPage)};
  program.tls_image = AddressRange{Address(at(kProgramRelro)), ByteCount(kProgramTlsSize)};
  const ModuleId id = memory_.add_module(std::move(program));
  memory_.map(at(kProgram), kPage, kRead, RegionKind::kModuleRodata, kProgramPath, id);
  memory_.map(at(kProgramText), kPage, kReadExecute, RegionKind::kModuleText, kProgramPath, id);
  memory_.map(at(kProgramRodata), 2 * kPage, kRead, RegionKind::kModuleRodata, kProgramPath, id);
  memory_.map(at(kProgramRelro), kPage, kRead, RegionKind::kModuleData, kProgramPath, id);
  memory_.map(at(kProgramData), kProgramDataSize, kReadWrite, RegionKind::kModuleData, kProgramPath,
              id);
  memory_.header().executable = kProgramPath;
  add_library(at(kLibstdcxx), "/usr/lib/x86_64-linux-gnu/libstdc++.so.6.0.30", kPage);
  uint64_t malloc_data = at(kProgramData) + kPage, banner = at(kProgramRodata) + 0x400;
  if (!options.static_libc) {
    malloc_data = add_library(at(kLibc), "/usr/lib/x86_64-linux-gnu/libc.so.6", kLibcDataSize);
    memory_.module(ModuleId(2)).tls_image =
        AddressRange{Address(at(kLibc) + kLibraryRelro), ByteCount(kLibcTlsSize)};
    banner = at(kLibc) + kLibraryRodata + 0x400;
  }
  memory_.put_text(banner, release.banner());
  if (!options.banner) memory_.drop(banner & ~(kPage - 1), kPage);
  memory_.map(at(kTls), kTlsSize, kReadWrite, RegionKind::kAnonymous);
  memory_.map(at(kStack), kStackSize, kReadWrite, RegionKind::kStack, "[stack]");
  memory_.add_thread(1000, at(kStackPointer), thread_pointer());
  put_thread_block(at(kMainThreadPointer), at(kTls) + 0x100);
  const uint64_t arena = malloc_data + 0xc80;
  heap_ = std::make_unique<GlibcHeapBuilder>(
      &memory_, release,
      GlibcPlaces{arena, arena - 0x920, at(kBrk), at(kFirstThreadHeap), at(kMmapTop)});
  memory_.put_word(tcache_slot(0) + 2 * machine_.word, arena);  // thread_arena
  if (release.has_tcache()) heap_->add_tcache(GlibcHeapBuilder::kMain, tcache_slot(0));
}

uint64_t ProcessBuilder::global(unsigned words) {
  const uint64_t address = next_global_;
  next_global_ += machine_.word * words;
  if (next_global_ > at(kProgramData) + kPage) throw std::logic_error("no more globals");
  return address;
}

uint64_t ProcessBuilder::thread_pointer() const { return at(kMainThreadPointer) + abi().bias; }
uint64_t ProcessBuilder::stack_pointer() const { return at(kStackPointer); }
uint64_t ProcessBuilder::names_page() const { return at(kProgramNames); }

uint64_t ProcessBuilder::tls_slot() const { return program_tls(thread_pointer()) + 0x18; }

uint64_t ProcessBuilder::program_tls(uint64_t thread_pointer) const {
  if (abi().tls_below) return thread_pointer - kProgramTlsSize;
  return thread_pointer - abi().bias + abi().tcb;
}

uint64_t ProcessBuilder::tcache_slot(size_t thread) {
  const uint64_t program = program_tls(memory_.thread(thread).thread_pointer);
  return kTcacheInTls + (abi().tls_below ? program - kLibcTlsSize : program + kProgramTlsSize);
}

size_t ProcessBuilder::add_thread(uint32_t tid) {
  const uint64_t number = tid - 1000;
  const uint64_t base = at(kThreadStacks) + 0x100000 * number;
  const uint64_t block = base + kThreadStackSize - 0x900;
  memory_.map(base, kThreadStackSize, kReadWrite, RegionKind::kStack);
  const size_t thread =
      memory_.add_thread(tid, base + kThreadStackSize - 0x2000, block + abi().bias);
  put_thread_block(block, at(kTls) + 0x200 + 0x40 * number);
  return thread;
}

// Itanium C++ ABI 2.5 and 2.9: a vtable's address point follows {offset to top, type_info}; a
// type_info begins with {vtable of its own class, name}.
ClassInfo ProcessBuilder::add_class(const std::string& mangled, uint64_t second_base) {
  ClassInfo info{0, 0, next_name_};
  memory_.put_text(next_name_, mangled);
  next_name_ += mangled.size() + 1;
  const auto word = [&](uint64_t value) {
    memory_.put_word(next_relro_, value);
    next_relro_ += machine_.word;
  };
  const uint64_t type_info = next_relro_;
  word(second_base == 0 ? at(kClassTypeInfo) : at(kVmiClassTypeInfo));
  word(info.name);
  const auto table = [&](uint64_t offset) {
    word(uint64_t{0} - offset);
    word(type_info);
    const uint64_t address_point = next_relro_;
    for (int i = 0; i < 2; ++i) {
      word(next_function_);
      next_function_ += 0x20;
    }
    return address_point;
  };
  info.primary = table(0);
  if (second_base != 0) info.secondary = table(second_base);
  return info;
}

void ProcessBuilder::add_symbols(std::vector<SymbolSpec> symbols) {
  for (SymbolSpec& symbol : symbols) symbol.value -= at(kProgram);
  memory_.module(ModuleId(0)).file = memory_.keep(elf_symbol_file(symbols));
  memory_.module(ModuleId(0)).file_path = kProgramPath;
}

Image ProcessBuilder::image() {
  heap_->finish();
  return memory_.build();
}

Snapshot ProcessBuilder::analyze() {
  image_ = image();
  return residue::analyze(image_, {}, {});
}

}  // namespace residue::test
