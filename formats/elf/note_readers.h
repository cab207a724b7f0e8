// What the readers of notes share; for core_notes.cpp and the *_notes.cpp files only.
//
// Each reads one note of its system into the records of core_notes.h. An Error is damage of that
// note alone.
#pragma once

#include <string>

#include "formats/elf/core_notes.h"
#include "formats/elf/machine.h"
#include "formats/elf/register_layout.h"

namespace residue::elf {

inline constexpr const char* kNoteStage = "elf-core";

struct NoteTarget {
  Machine machine;
  CoreNotes* notes;
  Diagnostics* diagnostics;

  // The thread whose notes are being read, or null before the first.
  Thread* thread() const { return notes->threads.empty() ? nullptr : &notes->threads.back(); }
};

Result<void> read_linux_note(const NoteTarget& target, const Note& note);
Result<void> read_freebsd_note(const NoteTarget& target, const Note& note);
Result<void> read_netbsd_note(const NoteTarget& target, const Note& note);
Result<void> read_openbsd_note(const NoteTarget& target, const Note& note);

// "note of 12 bytes, 336 expected"
Error note_too_short(const Note& note, size_t wanted);
// A fixed-size character field, up to the first NUL.
std::string text_field(std::span<const std::byte> field);
// Registers, pc, sp and, if the block has it, the thread pointer. REQUIRES: block.size() >=
// layout.size.
void fill_registers(std::span<const std::byte> block, const RegisterLayout& layout, ByteOrder order,
                    Thread* thread);
// The value of the register, 0 if the thread has none of that name.
uint64_t register_value(const Thread& thread, std::string_view name);
// Pairs of words up to AT_NULL or the end; each is handed to `f(type, value)`.
template <typename F>
Result<void> for_each_aux(ByteCursor& cursor, unsigned word, F&& f) {
  while (cursor.remaining() >= size_t{2} * word) {
    RESIDUE_ASSIGN(const uint64_t type, cursor.read_word(word));
    RESIDUE_ASSIGN(const uint64_t value, cursor.read_word(word));
    if (type == 0) break;
    f(type, value);
  }
  return {};
}

}  // namespace residue::elf
