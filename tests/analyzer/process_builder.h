// ProcessBuilder: a whole synthetic process around a synthetic glibc heap: a program, libstdc++ and
// libc, a main thread with its stack and thread-local memory, and places to put pointers to.
//
// Layout and sizes follow what Linux gives a PIE; nothing in it points to a chunk but what
// malloc itself keeps, until a test writes a pointer somewhere.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "analyzer/pipeline.h"
#include "tests/analyzer/glibc_heap_builder.h"
#include "tests/analyzer/image_builder.h"

namespace residue::test {

struct ProcessOptions {
  unsigned glibc = 36;       // the release 2.N; 43 is the development version
  bool banner = true;        // libc's read-only data with its version string are in the dump
  bool static_libc = false;  // malloc is part of the program
  Machine machine = kX8664;
  bool arenas_per_thread = true;  // see glibc_release()
};

// How a class with virtual functions shows in memory; see ProcessBuilder::add_class().
struct ClassInfo {
  uint64_t primary;    // what the first word of an object holds
  uint64_t secondary;  // what the word at its second base holds, 0 if it has none
  uint64_t name;       // where the mangled name lies, in the program's read-only data
};

class ProcessBuilder {
 public:
  explicit ProcessBuilder(const ProcessOptions& options = {});

  ImageBuilder& memory() { return memory_; }
  GlibcHeapBuilder& heap() { return *heap_; }

  // Fresh words of the program's .data, which nothing else uses.
  uint64_t global(unsigned words = 1);
  // A word of the main thread's thread-local memory, of the program's own.
  uint64_t tls_slot() const;
  uint64_t thread_pointer() const;
  uint64_t stack_pointer() const;
  // A second thread: its stack mapping with pthread struct and TLS. Returns its index.
  size_t add_thread(uint32_t tid);
  // The tcache variable of a thread's TLS, for GlibcHeapBuilder::add_tcache().
  uint64_t tcache_slot(size_t thread);

  // Vtable, type_info and name of a class, with `mangled` as in type_info ("7Session"). With a
  // second base, the vtable group has a second table for the base at `second_base` bytes.
  ClassInfo add_class(const std::string& mangled, uint64_t second_base = 0);
  // Gives the program a symbol table with these variables; values are addresses in the process.
  void add_symbols(std::vector<SymbolSpec> symbols);
  // The page of the program that holds the names of all classes.
  uint64_t names_page() const;

  // Finishes the heap if the test has not.
  Image image();
  Snapshot analyze();
  // As the last analyze() saw it.
  const Image& last_image() const { return image_; }

 private:
  struct Abi;
  const Abi& abi() const;
  uint64_t at(uint64_t address) const;
  uint64_t program_tls(uint64_t thread_pointer) const;
  void put_thread_block(uint64_t block, uint64_t vector);
  uint64_t add_library(uint64_t base, const std::string& path, uint64_t data_size);

  ImageBuilder memory_;
  Machine machine_;
  std::unique_ptr<GlibcHeapBuilder> heap_;
  Image image_;
  uint64_t next_global_;
  uint64_t next_relro_;
  uint64_t next_name_;
  uint64_t next_function_;
};

}  // namespace residue::test
