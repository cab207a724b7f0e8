// The notes of an ELF core, as records: threads, process, mapped files, auxiliary vector.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
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

// The entry that holds `a`, or null. REQUIRES: sorted by address.
const MappedFileEntry* find_mapping(const std::vector<MappedFileEntry>& files, Address a);

// What killed the process, as NetBSD and OpenBSD keep it: once, apart from the threads.
struct ProcessSignal {
  uint32_t number = 0;
  int32_t code = 0;
  // The thread it was for; 0: the whole process. Nothing: not said, the first thread in the file.
  std::optional<uint32_t> thread;
};

struct CoreNotes {
  std::string os = "linux";  // by the notes' names
  std::vector<Thread> threads;
  uint32_t pid = 0;
  std::string name;          // at most 15 bytes on Linux (TASK_COMM_LEN)
  std::string command_line;  // at most 80 bytes on Linux
  // By Linux' types: of other systems only those that mean the same there, and the path of the
  // program as AT_EXECFN.
  std::map<uint64_t, uint64_t> auxv;
  std::vector<MappedFileEntry> files;
  uint64_t code_signature_mask = 0;  // NT_ARM_PAC_MASK
  std::optional<ProcessSignal> process_signal;
};

// Reads the notes of one PT_NOTE segment into `notes`. Damaged notes are reported and left out.
// REQUIRES: machine_of(header).
void read_core_notes(std::span<const std::byte> bytes, const Header& header, FileOffset offset,
                     CoreNotes* notes, Diagnostics& diagnostics);

// To be called once behind the last segment: puts what was said of the process as a whole where it
// belongs and sorts the mapped files.
void finish_core_notes(CoreNotes* notes, Diagnostics& diagnostics);

}  // namespace residue::elf
