// Which memory of a process is a root, and which belongs to malloc itself.
//
// Roots are everything a program can hold a pointer in outside malloc's blocks: the live part of
// stacks, modules' data, and any other writable mapping. Not roots are: memory of glibc's heaps
// that is in no live block (free chunks, headers, arenas kept in heaps), malloc's own variables
// (main_arena and mp_ point at free chunks, whose address lies in the tail of the block before),
// stack below the stack pointer's red zone, stacks that glibc keeps of threads that have ended, and
// the malloc witness's table.
//
// glibc's heaps are recognised without walking them: the brk area by its name in maps; thread
// heaps by their 64 MiB alignment and the first words of heap_info; mmapped chunks through the
// header of the live block in them (a freed one is unmapped at once).
#pragma once

#include <string>
#include <vector>

#include "process.h"
#include "truth_file.h"

namespace witness {

struct Root {
  Range range;
  std::string what;
};

struct Regions {
  std::vector<Root> roots;
  std::vector<std::string> notes;  // what could not be done exactly, for people
};

Regions find_roots(const Process& process, const Truth& truth);

}  // namespace witness
