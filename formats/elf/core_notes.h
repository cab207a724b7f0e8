// The notes of an ELF core, as records: threads, process, mapped files, auxiliary vector.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "formats/base/diagnostics.h"
#include "formats/elf/elf_file.h"
#include "formats/image.h"

namespace residue::elf {

struct MappedFileEntry {
  AddressRange range;
  uint64_t file_offset = 0;  // bytes
  std::string path;
};

struct CoreNotes {
  std::string os = "linux";  // by the notes' names; only Linux's notes are read
  std::vector<Thread> threads;
  uint32_t pid = 0;
  std::string name;          // at most 15 bytes (TASK_COMM_LEN)
  std::string command_line;  // at most 80 bytes
  std::map<uint64_t, uint64_t> auxv;
  std::vector<MappedFileEntry> files;
};

// Reads the notes of one PT_NOTE segment of an x86-64 Linux core into `notes`. Damaged notes are
// reported and left out.
void read_core_notes(std::span<const std::byte> bytes, const Header& header, FileOffset offset,
                     CoreNotes* notes, Diagnostics& diagnostics);

}  // namespace residue::elf
