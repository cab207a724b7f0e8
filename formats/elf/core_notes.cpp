#include "formats/elf/core_notes.h"

#include <algorithm>

#include "formats/base/text.h"
#include "formats/elf/note_readers.h"
#include "formats/elf/signals.h"

namespace residue::elf {
namespace {

uint64_t load_field(std::span<const std::byte> block, const RegisterField& field, ByteOrder order) {
  const auto bytes = block.subspan(field.offset, field.size);
  switch (field.size) {
    case 2:
      return load<uint16_t>(bytes, order);
    case 4:
      return load<uint32_t>(bytes, order);
    default:
      return load<uint64_t>(bytes, order);
  }
}

// The notes' names say which system wrote them; "CORE" and "LINUX" are Linux'.
Result<void> read_note(const NoteTarget& target, const Note& note) {
  if (note.name == "CORE" || note.name == "LINUX") return read_linux_note(target, note);
  if (note.name == "FreeBSD") {
    target.notes->os = "freebsd";
    return read_freebsd_note(target, note);
  }
  if (note.name.starts_with("NetBSD-CORE")) {
    target.notes->os = "netbsd";
    return read_netbsd_note(target, note);
  }
  if (note.name == "OpenBSD" || note.name.starts_with("OpenBSD@")) {
    target.notes->os = "openbsd";
    return read_openbsd_note(target, note);
  }
  return {};
}

// Puts the process's signal on the threads it was for.
void blame(CoreNotes* notes, const ProcessSignal& signal, Diagnostics& diagnostics) {
  const SignalSystem system =
      notes->os == "openbsd" ? SignalSystem::kOpenBsd : SignalSystem::kNetBsd;
  if (signal.number == 0 || notes->threads.empty()) return;
  const bool everybody = signal.thread == 0U;
  if (everybody) {
    diagnostics.add(Severity::kNote, kNoteStage, "notes", 0,
                    "the signal was sent to the process, not to one of its threads");
  }
  for (size_t i = 0; i < notes->threads.size(); ++i) {
    Thread& thread = notes->threads[i];
    const bool meant = signal.thread ? thread.tid == *signal.thread : i == 0;
    if (!meant && !everybody) continue;
    thread.signal = signal.number;
    thread.reason = signal_reason(system, signal.number, signal.code);
    thread.crashed = meant && is_crash(system, signal.number);
  }
}

}  // namespace

Error note_too_short(const Note& note, size_t wanted) {
  return Error{ErrorCode::kTruncated,
               "note of " + std::to_string(note.descriptor.size()) + " bytes, " +
                   std::to_string(wanted) + " expected",
               note.offset};
}

std::string text_field(std::span<const std::byte> field) {
  std::string text;
  for (const std::byte b : field) {
    if (b == std::byte{0}) break;
    text += static_cast<char>(b);
  }
  return text;
}

void fill_registers(std::span<const std::byte> block, const RegisterLayout& layout, ByteOrder order,
                    Thread* thread) {
  const auto value_at = [&](int16_t index) {
    return load_field(block, layout.fields[static_cast<size_t>(index)], order);
  };
  thread->registers.clear();
  thread->registers.reserve(layout.fields.size());
  for (const RegisterField& field : layout.fields) {
    thread->registers.push_back({field.name, load_field(block, field, order), field.dwarf});
  }
  thread->pc = value_at(layout.pc);
  thread->sp = value_at(layout.sp);
  if (layout.tp < 0) return;
  thread->thread_pointer = value_at(layout.tp);
  if (layout.tp_is_split) {
    thread->thread_pointer =
        thread->thread_pointer << 32 | value_at(static_cast<int16_t>(layout.tp + 1));
  }
}

uint64_t register_value(const Thread& thread, std::string_view name) {
  for (const Register& r : thread.registers) {
    if (r.name == name) return r.value;
  }
  return 0;
}

const MappedFileEntry* find_mapping(const std::vector<MappedFileEntry>& files, Address a) {
  const auto after = std::upper_bound(
      files.begin(), files.end(), a,
      [](Address value, const MappedFileEntry& entry) { return value < entry.range.base; });
  if (after == files.begin()) return nullptr;
  return (after - 1)->range.contains(a) ? &*(after - 1) : nullptr;
}

void read_core_notes(std::span<const std::byte> bytes, const Header& header, FileOffset offset,
                     CoreNotes* notes, Diagnostics& diagnostics) {
  const NoteTarget target{machine_of(header).value_or(Machine{}), notes, &diagnostics};
  std::optional<Error> damage;
  for (const Note& note : read_notes(bytes, header.order, offset, &damage)) {
    if (auto result = read_note(target, note); !result) {
      diagnostics.add(Severity::kDamage, kNoteStage, "file offset " + hex(note.offset.value()),
                      note.descriptor.size(),
                      "note of type " + hex(note.type) + ": " + result.error().message);
    }
  }
  if (damage) {
    diagnostics.add(Severity::kDamage, kNoteStage,
                    "file offset " + hex(damage->offset.value_or(offset).value()), 0,
                    "the notes end in a damaged one: " + damage->message);
  }
}

void finish_core_notes(CoreNotes* notes, Diagnostics& diagnostics) {
  if (notes->process_signal) blame(notes, *notes->process_signal, diagnostics);
  std::stable_sort(notes->files.begin(), notes->files.end(),
                   [](const MappedFileEntry& a, const MappedFileEntry& b) {
                     return a.range.base < b.range.base;
                   });
}

}  // namespace residue::elf
