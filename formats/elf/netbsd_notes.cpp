// Notes of NetBSD and OpenBSD cores: alike, down to names that end in "@" and a thread's id. What
// killed the process stands in a note of the process; finish_core_notes() hands it to the thread.
#include <algorithm>
#include <charconv>

#include "formats/elf/bsd_layout.h"
#include "formats/elf/elf_layout.h"
#include "formats/elf/note_readers.h"

namespace residue::elf {
namespace {

// The id behind the "@" of a note's name.
std::optional<uint32_t> thread_of(const Note& note) {
  const size_t at = note.name.find('@');
  if (at == std::string_view::npos) return std::nullopt;
  const std::string_view digits = note.name.substr(at + 1);
  uint32_t id = 0;
  const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), id);
  if (parsed.ec != std::errc() || parsed.ptr != digits.data() + digits.size()) return std::nullopt;
  return id;
}

// The thread with that id; notes of one thread follow each other.
Thread& thread_with(CoreNotes& notes, uint32_t id) {
  if (notes.threads.empty() || notes.threads.back().tid != id) {
    notes.threads.emplace_back();
    notes.threads.back().tid = id;
  }
  return notes.threads.back();
}

Result<void> registers(const NoteTarget& target, const Note& note, const RegisterLayout* layout,
                       Thread* thread) {
  if (layout == nullptr) {
    target.diagnostics->add(Severity::kWarning, kNoteStage, "notes", 0,
                            "registers of this machine are not known for " + target.notes->os);
    return {};
  }
  if (note.descriptor.size() < layout->size) return note_too_short(note, layout->size);
  fill_registers(note.descriptor, *layout, target.machine.order, thread);
  return {};
}

struct ProcinfoLayout {
  size_t signal, code, pid, name, name_size;
};

Result<void> procinfo(const NoteTarget& target, const Note& note, const ProcinfoLayout& layout) {
  ByteCursor cursor(note.descriptor, target.machine.order, note.offset);
  ProcessSignal signal;
  RESIDUE_TRY(cursor.seek(layout.signal));
  RESIDUE_ASSIGN(signal.number, cursor.read<uint32_t>());
  RESIDUE_TRY(cursor.seek(layout.code));
  RESIDUE_ASSIGN(const uint32_t code, cursor.read<uint32_t>());
  signal.code = static_cast<int32_t>(code);
  target.notes->process_signal = signal;
  RESIDUE_TRY(cursor.seek(layout.pid));
  RESIDUE_ASSIGN(target.notes->pid, cursor.read<uint32_t>());
  RESIDUE_TRY(cursor.seek(layout.name));
  RESIDUE_ASSIGN(const auto name, cursor.take(layout.name_size));
  target.notes->name = text_field(name);
  return {};
}

// Types have 32 bits and 4 of padding on 64-bit NetBSD and OpenBSD; the padding is zero.
Result<void> auxv(const NoteTarget& target, const Note& note, uint64_t path_type) {
  ByteCursor cursor(note.descriptor, target.machine.order, note.offset);
  return for_each_aux(cursor, target.machine.word, [&](uint64_t type, uint64_t value) {
    if (type <= bsd::kLastCommonAux) target.notes->auxv[type] = value;
    if (type == path_type) target.notes->auxv[kAuxExecfn] = value;
  });
}

Result<void> netbsd_process(const NoteTarget& target, const Note& note) {
  if (note.type == bsd::kNetBsdAuxv) return auxv(target, note, bsd::kNetBsdExecname);
  if (note.type != bsd::kNetBsdProcinfo) return {};
  RESIDUE_TRY(procinfo(target, note,
                       {bsd::kNetBsdSignal, bsd::kNetBsdCode, bsd::kNetBsdPid, bsd::kNetBsdName,
                        bsd::kNetBsdNameSize}));
  ByteCursor cursor(note.descriptor, target.machine.order, note.offset);
  if (cursor.seek(bsd::kNetBsdSignalThread) && cursor.remaining() >= 4) {
    RESIDUE_ASSIGN(target.notes->process_signal->thread, cursor.read<uint32_t>());
  }
  return {};
}

Result<void> lwpstatus(const NoteTarget& target, const Note& note, Thread* thread) {
  ByteCursor cursor(note.descriptor, target.machine.order, note.offset);
  RESIDUE_TRY(cursor.seek(bsd::kNetBsdThreadName));
  RESIDUE_ASSIGN(const auto name, cursor.take(bsd::kNetBsdPrivate - bsd::kNetBsdThreadName));
  thread->name = text_field(name);
  RESIDUE_ASSIGN(thread->thread_pointer, cursor.read_word(target.machine.word));
  return {};
}

}  // namespace

Result<void> read_netbsd_note(const NoteTarget& target, const Note& note) {
  const auto id = thread_of(note);
  if (!id) return netbsd_process(target, note);
  Thread& thread = thread_with(*target.notes, *id);
  if (note.type == bsd::kNetBsdLwpstatus) return lwpstatus(target, note, &thread);
  const bool is_arm = target.machine.architecture == Architecture::kAArch64;
  const uint32_t request = bsd::kNetBsdMachine + (is_arm ? 0 : 1);
  if (note.type == request) {
    return registers(target, note, netbsd_registers(target.machine), &thread);
  }
  if (note.type == request + 2) thread.extended_state = note.descriptor;
  return {};
}

Result<void> read_openbsd_note(const NoteTarget& target, const Note& note) {
  if (const auto id = thread_of(note)) {
    Thread& thread = thread_with(*target.notes, *id);
    if (note.type == bsd::kOpenBsdRegs) {
      return registers(target, note, openbsd_registers(target.machine), &thread);
    }
    if (note.type == bsd::kOpenBsdFpregs) thread.extended_state = note.descriptor;
    return {};
  }
  if (note.type == bsd::kOpenBsdAuxv) return auxv(target, note, ~uint64_t{0});
  if (note.type != bsd::kOpenBsdProcinfo) return {};
  return procinfo(target, note,
                  {bsd::kOpenBsdSignal, bsd::kOpenBsdCode, bsd::kOpenBsdPid, bsd::kOpenBsdName,
                   bsd::kOpenBsdNameSize});
}

}  // namespace residue::elf
