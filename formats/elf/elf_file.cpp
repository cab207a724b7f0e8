#include "formats/elf/elf_file.h"

#include <algorithm>

#include "formats/base/text.h"
#include "formats/elf/elf_layout.h"

namespace residue::elf {
namespace {

// A GNU build-id is 16 (md5), 20 (sha1) or 32 bytes; --build-id=0x… may give another length.
constexpr size_t kMaxBuildId = 64;

Result<SectionHeader> read_section_header(ByteCursor& cursor, unsigned word) {
  SectionHeader section;
  RESIDUE_ASSIGN(section.name, cursor.read<uint32_t>());
  RESIDUE_ASSIGN(section.type, cursor.read<uint32_t>());
  RESIDUE_ASSIGN(section.flags, cursor.read_word(word));
  RESIDUE_ASSIGN(section.address, cursor.read_word(word));
  RESIDUE_ASSIGN(section.offset, cursor.read_word(word));
  RESIDUE_ASSIGN(section.size, cursor.read_word(word));
  RESIDUE_ASSIGN(section.link, cursor.read<uint32_t>());
  RESIDUE_ASSIGN(section.info, cursor.read<uint32_t>());
  RESIDUE_TRY(cursor.skip(word));  // sh_addralign
  RESIDUE_ASSIGN(section.entry_size, cursor.read_word(word));
  return section;
}

Result<ProgramHeader> read_program_header(ByteCursor& cursor, bool is_64) {
  ProgramHeader h;
  const unsigned word = is_64 ? 8 : 4;
  RESIDUE_ASSIGN(h.type, cursor.read<uint32_t>());
  if (is_64) {
    RESIDUE_ASSIGN(h.flags, cursor.read<uint32_t>());
  }
  RESIDUE_ASSIGN(h.offset, cursor.read_word(word));
  RESIDUE_ASSIGN(h.vaddr, cursor.read_word(word));
  RESIDUE_TRY(cursor.skip(word));  // p_paddr
  RESIDUE_ASSIGN(h.file_size, cursor.read_word(word));
  RESIDUE_ASSIGN(h.memory_size, cursor.read_word(word));
  if (!is_64) {
    RESIDUE_ASSIGN(h.flags, cursor.read<uint32_t>());
  }
  return h;
}

// e_ident after the magic: class and byte order.
Result<void> read_ident(ByteCursor& cursor, Header* header) {
  RESIDUE_ASSIGN(const auto ident, cursor.take(kIdentSize));
  const auto elf_class = std::to_integer<uint8_t>(ident[4]);
  const auto data = std::to_integer<uint8_t>(ident[5]);
  if (elf_class != kClass32 && elf_class != kClass64) {
    return Error{ErrorCode::kCorrupt, "ELF class " + std::to_string(elf_class), FileOffset(4)};
  }
  if (data != kDataLittle && data != kDataBig) {
    return Error{ErrorCode::kCorrupt, "ELF byte order " + std::to_string(data), FileOffset(5)};
  }
  header->is_64 = elf_class == kClass64;
  header->order = data == kDataBig ? ByteOrder::kBig : ByteOrder::kLittle;
  return {};
}

// Counts that do not fit in 16 bits stand in section header 0 (gABI 4, "Section header table").
void resolve_extended_counts(std::span<const std::byte> bytes, Header* header) {
  header->count_unresolved = header->program_header_count == kPhnumExtended;
  if (header->section_headers == 0) return;
  ByteCursor cursor(bytes, header->order);
  if (!cursor.seek(header->section_headers)) return;
  const auto first = read_section_header(cursor, header->word());
  if (!first) return;
  if (header->count_unresolved && first->info != 0) {
    header->program_header_count = first->info;
    header->count_unresolved = false;
  }
  if (header->section_count == 0) {
    header->section_count = static_cast<uint32_t>(std::min<uint64_t>(first->size, UINT32_MAX));
  }
  if (header->section_names == kSectionIndexExtended) header->section_names = first->link;
}

}  // namespace

bool has_magic(std::span<const std::byte> bytes) {
  if (bytes.size() < sizeof kMagic) return false;
  return std::equal(std::begin(kMagic), std::end(kMagic), bytes.begin(),
                    [](uint8_t a, std::byte b) { return std::byte{a} == b; });
}

Result<Header> read_header(std::span<const std::byte> bytes) {
  if (!has_magic(bytes)) return Error{ErrorCode::kUnsupported, "no ELF magic", FileOffset(0)};
  Header header;
  ByteCursor ident(bytes, ByteOrder::kLittle);
  RESIDUE_TRY(read_ident(ident, &header));
  ByteCursor cursor(bytes, header.order);
  RESIDUE_TRY(cursor.skip(kIdentSize));
  const unsigned word = header.word();
  RESIDUE_ASSIGN(header.type, cursor.read<uint16_t>());
  RESIDUE_ASSIGN(header.machine, cursor.read<uint16_t>());
  RESIDUE_TRY(cursor.skip(4 + word));  // e_version, e_entry
  RESIDUE_ASSIGN(header.program_headers, cursor.read_word(word));
  RESIDUE_ASSIGN(header.section_headers, cursor.read_word(word));
  RESIDUE_ASSIGN(header.flags, cursor.read<uint32_t>());
  RESIDUE_TRY(cursor.skip(2));  // e_ehsize
  RESIDUE_ASSIGN(header.program_header_size, cursor.read<uint16_t>());
  RESIDUE_ASSIGN(header.program_header_count, cursor.read<uint16_t>());
  RESIDUE_ASSIGN(header.section_header_size, cursor.read<uint16_t>());
  RESIDUE_ASSIGN(header.section_count, cursor.read<uint16_t>());
  RESIDUE_ASSIGN(header.section_names, cursor.read<uint16_t>());
  resolve_extended_counts(bytes, &header);
  return header;
}

Result<ProgramHeaders> read_program_headers(std::span<const std::byte> bytes,
                                            const Header& header) {
  ProgramHeaders headers;
  if (header.program_header_count == 0) return headers;
  const size_t expected = header.is_64 ? kProgramHeaderSize64 : kProgramHeaderSize32;
  if (header.program_header_size < expected) {
    return Error{ErrorCode::kCorrupt,
                 "program headers of " + std::to_string(header.program_header_size) + " bytes",
                 FileOffset(header.program_headers)};
  }
  ByteCursor cursor(bytes, header.order);
  RESIDUE_TRY(cursor.seek(header.program_headers));
  const auto fitting = static_cast<uint32_t>(std::min<uint64_t>(
      header.program_header_count, cursor.remaining() / header.program_header_size));
  headers.missing = header.program_header_count - fitting;
  headers.items.reserve(fitting);
  for (uint32_t i = 0; i < fitting; ++i) {
    RESIDUE_TRY(cursor.seek(header.program_headers + uint64_t{i} * header.program_header_size));
    RESIDUE_ASSIGN(ProgramHeader item, read_program_header(cursor, header.is_64));
    headers.items.push_back(item);
  }
  return headers;
}

std::vector<SectionHeader> read_section_headers(std::span<const std::byte> bytes,
                                                const Header& header) {
  std::vector<SectionHeader> sections;
  const size_t expected = header.is_64 ? kSectionHeaderSize64 : kSectionHeaderSize32;
  if (header.section_headers == 0 || header.section_header_size < expected) return sections;
  ByteCursor cursor(bytes, header.order);
  if (!cursor.seek(header.section_headers)) return sections;
  const uint64_t count =
      std::min<uint64_t>(header.section_count, cursor.remaining() / header.section_header_size);
  sections.reserve(count);
  for (uint64_t i = 0; i < count; ++i) {
    if (!cursor.seek(header.section_headers + i * header.section_header_size)) break;
    auto section = read_section_header(cursor, header.word());
    if (!section) break;
    sections.push_back(*section);
  }
  return sections;
}

std::vector<Note> read_notes(std::span<const std::byte> bytes, ByteOrder order, FileOffset offset,
                             std::optional<Error>* damage) {
  std::vector<Note> notes;
  ByteCursor cursor(bytes, order, offset);
  // Notes are padded to 4 bytes in cores of both classes, whatever the gABI says of 64-bit files.
  const auto next = [&cursor]() -> Result<Note> {
    Note note;
    RESIDUE_ASSIGN(const uint32_t name_size, cursor.read<uint32_t>());
    RESIDUE_ASSIGN(const uint32_t size, cursor.read<uint32_t>());
    RESIDUE_ASSIGN(note.type, cursor.read<uint32_t>());
    RESIDUE_ASSIGN(const auto name, cursor.take(name_size));
    cursor.align(4);
    note.offset = cursor.offset();
    RESIDUE_ASSIGN(note.descriptor, cursor.take(size));
    cursor.align(4);
    note.name = {static_cast<const char*>(static_cast<const void*>(name.data())), name.size()};
    note.name = note.name.substr(0, note.name.find('\0'));
    return note;
  };
  // Padding at the end of a segment is not a damaged note.
  const auto last =
      std::find_if(bytes.rbegin(), bytes.rend(), [](std::byte b) { return b != std::byte{0}; });
  const auto used = static_cast<size_t>(bytes.rend() - last);
  while (cursor.position() < used) {
    auto note = next();
    if (!note) {
      if (damage != nullptr) *damage = std::move(note).error();
      break;
    }
    notes.push_back(*note);
  }
  return notes;
}

std::string find_build_id(std::span<const std::byte> bytes, ByteOrder order) {
  for (const Note& note : read_notes(bytes, order, FileOffset(0), nullptr)) {
    if (note.type == kNoteGnuBuildId && note.name == "GNU" && !note.descriptor.empty() &&
        note.descriptor.size() <= kMaxBuildId) {
      return hex_bytes(note.descriptor);
    }
  }
  return {};
}

std::string file_build_id(std::span<const std::byte> file) {
  const auto header = read_header(file);
  if (!header) return {};
  const auto segments = read_program_headers(file, *header);
  if (!segments) return {};
  for (const ProgramHeader& segment : segments->items) {
    if (segment.type != kSegmentNote || segment.offset > file.size()) continue;
    const auto size = std::min<uint64_t>(segment.file_size, file.size() - segment.offset);
    std::string id = find_build_id(file.subspan(segment.offset, size), header->order);
    if (!id.empty()) return id;
  }
  return {};
}

}  // namespace residue::elf
