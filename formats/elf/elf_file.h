// Reading of ELF headers, program headers and section headers of either class and byte order, from
// a file or from a module's pages in a dump. Everything is checked; nothing is kept.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "formats/base/byte_cursor.h"
#include "formats/base/result.h"

namespace residue::elf {

struct Header {
  bool is_64 = true;
  ByteOrder order = ByteOrder::kLittle;
  uint16_t type = 0;
  uint16_t machine = 0;
  uint32_t flags = 0;            // e_flags
  uint64_t program_headers = 0;  // file offset
  uint64_t section_headers = 0;
  uint32_t program_header_count = 0;  // PN_XNUM resolved where the section header is there
  uint32_t section_count = 0;
  // The count says that the real one stands elsewhere, and it is not there.
  bool count_unresolved = false;
  uint16_t program_header_size = 0;
  uint16_t section_header_size = 0;
  uint32_t section_names = 0;  // index of the section with their names; SHN_XINDEX resolved

  unsigned word() const { return is_64 ? 8 : 4; }
};

struct ProgramHeader {
  uint32_t type = 0;
  uint32_t flags = 0;
  uint64_t offset = 0;
  uint64_t vaddr = 0;
  uint64_t file_size = 0;
  uint64_t memory_size = 0;
};

struct SectionHeader {
  uint32_t name = 0;  // offset in the section of names
  uint32_t type = 0;
  uint64_t flags = 0;
  uint64_t address = 0;
  uint64_t offset = 0;
  uint64_t size = 0;
  uint32_t link = 0;
  uint32_t info = 0;
  uint64_t entry_size = 0;
};

bool has_magic(std::span<const std::byte> bytes);

// Fails for what is not ELF, or too short for its header.
Result<Header> read_header(std::span<const std::byte> bytes);

struct ProgramHeaders {
  std::vector<ProgramHeader> items;
  uint32_t missing = 0;  // how many of the announced ones lie behind the end of the bytes
};
Result<ProgramHeaders> read_program_headers(std::span<const std::byte> bytes, const Header& header);

// Those that are there: fewer than announced if the table is cut off.
std::vector<SectionHeader> read_section_headers(std::span<const std::byte> bytes,
                                                const Header& header);

struct Note {
  uint32_t type = 0;
  std::string_view name;  // without the NUL
  std::span<const std::byte> descriptor;
  FileOffset offset;  // of the descriptor
};

// All notes of a segment up to the first damaged one; that one's error, if any, goes to `damage`.
std::vector<Note> read_notes(std::span<const std::byte> bytes, ByteOrder order, FileOffset offset,
                             std::optional<Error>* damage);

// The GNU build-id among `notes`' bytes as lower-case hex, empty if there is none.
std::string find_build_id(std::span<const std::byte> notes, ByteOrder order);

// The build-id of an ELF file on disk, empty if it has none or is no ELF file.
std::string file_build_id(std::span<const std::byte> file);

}  // namespace residue::elf
