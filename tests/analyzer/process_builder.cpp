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

// The thread control block of x86-64: word 0 and word 2 point to itself, word 1 to the vector of
// dynamic TLS, which the loader put into memory of its own.
void put_thread_block(ImageBuilder* memory, uint64_t thread_pointer, uint64_t vector) {
  memory->put64(thread_pointer, thread_pointer);
  memory->put64(thread_pointer + 8, vector + 16);
  memory->put64(thread_pointer + 16, thread_pointer);
  memory->put64(vector, 2);       // slots
  memory->put64(vector + 16, 1);  // generation
  memory->put64(vector + 32, thread_pointer - kProgramTlsSize);
  memory->put64(vector + 48, thread_pointer - kProgramTlsSize - kLibcTlsSize);
}

}  // namespace

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
    : next_global_(kProgramData + 0x100),
      next_relro_(kProgramRelro + 0x40),
      next_name_(kProgramNames),
      next_function_(kProgramText + 0x200) {
  const GlibcRelease release = glibc_release(options.glibc);
  Module program;
  program.path = kProgramPath;
  program.bias = kProgram;
  program.range = {Address(kProgram), ByteCount(kProgramData + kProgramDataSize - kProgram)};
  program.is_executable = true;
  program.segments = {segment(kProgram, kPage, kRead, 0),
                      segment(kProgramText, kPage, kReadExecute, kPage),
                      segment(kProgramRodata, 2 * kPage, kRead, 2 * kPage),
                      segment(kProgramRelro, kPage + kProgramDataSize, kReadWrite, 4 * kPage)};
  program.tls_image = AddressRange{Address(kProgramRelro), ByteCount(kProgramTlsSize)};
  const ModuleId id = memory_.add_module(std::move(program));
  memory_.map(kProgram, kPage, kRead, RegionKind::kModuleRodata, kProgramPath, id);
  memory_.map(kProgramText, kPage, kReadExecute, RegionKind::kModuleText, kProgramPath, id);
  memory_.map(kProgramRodata, 2 * kPage, kRead, RegionKind::kModuleRodata, kProgramPath, id);
  memory_.map(kProgramRelro, kPage, kRead, RegionKind::kModuleData, kProgramPath, id);
  memory_.map(kProgramData, kProgramDataSize, kReadWrite, RegionKind::kModuleData, kProgramPath,
              id);
  memory_.header().executable = kProgramPath;
  add_library(kLibstdcxx, "/usr/lib/x86_64-linux-gnu/libstdc++.so.6.0.30", kPage);
  uint64_t malloc_data = kProgramData + kPage, banner = kProgramRodata + 0x400;
  if (!options.static_libc) {
    malloc_data = add_library(kLibc, "/usr/lib/x86_64-linux-gnu/libc.so.6", kLibcDataSize);
    memory_.module(ModuleId(2)).tls_image =
        AddressRange{Address(kLibc + kLibraryRelro), ByteCount(kLibcTlsSize)};
    banner = kLibc + kLibraryRodata + 0x400;
  }
  memory_.put_text(banner, release.banner());
  if (!options.banner) memory_.drop(banner & ~(kPage - 1), kPage);
  memory_.map(kTls, kTlsSize, kReadWrite, RegionKind::kAnonymous);
  memory_.map(kStack, kStackSize, kReadWrite, RegionKind::kStack, "[stack]");
  memory_.add_thread(1000, kStackPointer, kMainThreadPointer);
  put_thread_block(&memory_, kMainThreadPointer, kTls + 0x100);
  const uint64_t arena = malloc_data + 0xc80;
  heap_ = std::make_unique<GlibcHeapBuilder>(
      &memory_, release, GlibcPlaces{arena, arena - 0x920, kBrk, kFirstThreadHeap, kMmapTop});
  memory_.put64(tcache_slot(0) + 16, arena);  // thread_arena
  if (release.has_tcache()) heap_->add_tcache(GlibcHeapBuilder::kMain, tcache_slot(0));
}

uint64_t ProcessBuilder::global(unsigned words) {
  const uint64_t address = next_global_;
  next_global_ += uint64_t{8} * words;
  if (next_global_ > kProgramData + kPage) throw std::logic_error("no more globals");
  return address;
}

uint64_t ProcessBuilder::thread_pointer() const { return kMainThreadPointer; }
uint64_t ProcessBuilder::stack_pointer() const { return kStackPointer; }
uint64_t ProcessBuilder::names_page() const { return kProgramNames; }

uint64_t ProcessBuilder::tls_slot() const { return kMainThreadPointer - kProgramTlsSize + 0x18; }

uint64_t ProcessBuilder::tcache_slot(size_t thread) {
  return memory_.thread(thread).thread_pointer - kProgramTlsSize - kLibcTlsSize + kTcacheInTls;
}

size_t ProcessBuilder::add_thread(uint32_t tid) {
  const uint64_t number = tid - 1000;
  const uint64_t base = 0x7ffff6000000 + 0x100000 * number;
  const uint64_t thread_pointer = base + kThreadStackSize - 0x900;
  memory_.map(base, kThreadStackSize, kReadWrite, RegionKind::kStack);
  const size_t thread = memory_.add_thread(tid, base + kThreadStackSize - 0x2000, thread_pointer);
  put_thread_block(&memory_, thread_pointer, kTls + 0x200 + 0x40 * number);
  return thread;
}

// Itanium C++ ABI 2.5 and 2.9: a vtable's address point follows {offset to top, type_info}; a
// type_info begins with {vtable of its own class, name}.
ClassInfo ProcessBuilder::add_class(const std::string& mangled, uint64_t second_base) {
  ClassInfo info{0, 0, next_name_};
  memory_.put_text(next_name_, mangled);
  next_name_ += mangled.size() + 1;
  const auto word = [&](uint64_t value) {
    memory_.put64(next_relro_, value);
    next_relro_ += 8;
  };
  const uint64_t type_info = next_relro_;
  word(second_base == 0 ? kClassTypeInfo : kVmiClassTypeInfo);
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
  for (SymbolSpec& symbol : symbols) symbol.value -= kProgram;
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
