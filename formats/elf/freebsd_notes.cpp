// Notes of FreeBSD cores. Per thread: PRSTATUS, then what belongs to that thread; the kernel writes
// the thread that got the signal first.
#include <algorithm>

#include "formats/elf/bsd_layout.h"
#include "formats/elf/elf_layout.h"
#include "formats/elf/note_readers.h"
#include "formats/elf/signals.h"

namespace residue::elf {
namespace {

constexpr SignalSystem kSystem = SignalSystem::kFreeBsd;

class FreeBsdNote {
 public:
  FreeBsdNote(const NoteTarget& target, const Note& note)
      : target_(target),
        notes_(*target.notes),
        note_(note),
        wide_(target.machine.word == 8),
        cursor_(note.descriptor, target.machine.order, note.offset) {}

  Result<void> read() {
    switch (note_.type) {
      case bsd::kPrstatus:
        return prstatus();
      case bsd::kPrpsinfo:
        return prpsinfo();
      case bsd::kProcstatProc:
        return process();
      case bsd::kProcstatVmmap:
        return mappings();
      case bsd::kProcstatAuxv:
        return auxv();
      default:
        return target_.thread() != nullptr ? read_of(target_.thread()) : Result<void>();
    }
  }

 private:
  Result<void> read_of(Thread* thread) {
    switch (note_.type) {
      case bsd::kFpregset:
        if (thread->extended_state.empty()) thread->extended_state = note_.descriptor;
        return {};
      case bsd::kX86Xstate:
        thread->extended_state = note_.descriptor;
        return {};
      case bsd::kThrmisc:
        thread->name =
            text_field(note_.descriptor.first(std::min(note_.descriptor.size(), bsd::kThreadName)));
        return {};
      case bsd::kPtlwpinfo:
        return lwpinfo(thread);
      case bsd::kX86Segbases: {
        // The bases of %fs and %gs: the thread pointer of 64-bit and of 32-bit code.
        if (!wide_) RESIDUE_TRY(cursor_.skip(4));
        RESIDUE_ASSIGN(thread->thread_pointer, cursor_.read_word(target_.machine.word));
        return {};
      }
      case bsd::kArmTls: {
        RESIDUE_ASSIGN(thread->thread_pointer, cursor_.read_word(target_.machine.word));
        return {};
      }
      default:
        return {};
    }
  }

  Result<void> prstatus() {
    const bsd::FreeBsdPrstatus& layout = wide_ ? bsd::kPrstatus64 : bsd::kPrstatus32;
    Thread thread;
    RESIDUE_TRY(cursor_.seek(layout.signal));
    RESIDUE_ASSIGN(thread.signal, cursor_.read<uint32_t>());
    RESIDUE_TRY(cursor_.seek(layout.thread));
    RESIDUE_ASSIGN(thread.tid, cursor_.read<uint32_t>());
    if (const RegisterLayout* registers = freebsd_registers(target_.machine)) {
      const size_t wanted = layout.registers + registers->size;
      if (note_.descriptor.size() < wanted) return note_too_short(note_, wanted);
      fill_registers(note_.descriptor.subspan(layout.registers), *registers, target_.machine.order,
                     &thread);
    } else {
      target_.diagnostics->add(Severity::kWarning, kNoteStage, "notes", 0,
                               "registers of this machine are not known for FreeBSD");
    }
    const bool first = notes_.threads.empty();
    if (thread.signal != 0 && first) thread.reason = signal_name(kSystem, thread.signal);
    thread.crashed = first && is_crash(kSystem, thread.signal);
    notes_.threads.push_back(std::move(thread));
    return {};
  }

  Result<void> prpsinfo() {
    const bsd::FreeBsdPrpsinfo& layout = wide_ ? bsd::kPrpsinfo64 : bsd::kPrpsinfo32;
    RESIDUE_TRY(cursor_.seek(layout.name));
    RESIDUE_ASSIGN(const auto name, cursor_.take(bsd::kFreeBsdName));
    RESIDUE_ASSIGN(const auto arguments, cursor_.take(bsd::kFreeBsdArguments));
    notes_.name = text_field(name);
    notes_.command_line = text_field(arguments);
    if (cursor_.seek(layout.pid) && cursor_.remaining() >= 4) {
      RESIDUE_ASSIGN(notes_.pid, cursor_.read<uint32_t>());
    }
    return {};
  }

  // struct kinfo_proc, once for each thread.
  Result<void> process() {
    RESIDUE_TRY(cursor_.seek(4 + (wide_ ? bsd::kProcPid64 : bsd::kProcPid32)));
    RESIDUE_ASSIGN(notes_.pid, cursor_.read<uint32_t>());
    return {};
  }

  Result<void> auxv() {
    RESIDUE_TRY(cursor_.skip(4));
    return for_each_aux(cursor_, target_.machine.word, [&](uint64_t type, uint64_t value) {
      if (type <= bsd::kLastCommonAux) notes_.auxv[type] = value;
      if (type == bsd::kFreeBsdExecpath) notes_.auxv[kAuxExecfn] = value;
    });
  }

  // Every mapping, files and others; only files have a path.
  Result<void> mappings() {
    RESIDUE_TRY(cursor_.skip(4));
    while (cursor_.remaining() > 0) {
      RESIDUE_ASSIGN(const uint32_t size, cursor_.read<uint32_t>());
      if (size < bsd::kVmPath || size % 4 != 0) {
        return Error{ErrorCode::kCorrupt, "a mapping of " + std::to_string(size) + " bytes",
                     cursor_.offset()};
      }
      RESIDUE_ASSIGN(const auto rest, cursor_.take(size - 4));
      add_mapping(rest);
    }
    return {};
  }

  // REQUIRES: the record without its first four bytes.
  void add_mapping(std::span<const std::byte> record) {
    const auto word = [&](size_t offset) {
      return load<uint64_t>(record.subspan(offset - 4), target_.machine.order);
    };
    MappedFileEntry entry;
    entry.path = text_field(record.subspan(bsd::kVmPath - 4));
    const uint64_t start = word(bsd::kVmStart), end = word(bsd::kVmEnd);
    if (entry.path.empty() || end <= start) return;
    entry.range = {Address(start), ByteCount(end - start)};
    entry.file_offset = word(bsd::kVmOffset);
    notes_.files.push_back(std::move(entry));
  }

  // FreeBSD 12 on.
  Result<void> lwpinfo(Thread* thread) {
    RESIDUE_TRY(cursor_.seek(bsd::kLwpFlags));
    RESIDUE_ASSIGN(const uint32_t flags, cursor_.read<uint32_t>());
    if ((flags & bsd::kLwpHasSiginfo) == 0) return {};
    const size_t info = wide_ ? bsd::kLwpSiginfo64 : bsd::kLwpSiginfo32;
    RESIDUE_TRY(cursor_.seek(info));
    RESIDUE_ASSIGN(const uint32_t signal, cursor_.read<uint32_t>());
    RESIDUE_TRY(cursor_.seek(info + bsd::kSiginfoCode));
    RESIDUE_ASSIGN(const uint32_t raw_code, cursor_.read<uint32_t>());
    RESIDUE_TRY(cursor_.seek(info + bsd::kSiginfoAddress));
    RESIDUE_ASSIGN(const uint64_t address, cursor_.read_word(target_.machine.word));
    if (signal == 0) return {};
    const auto code = static_cast<int32_t>(raw_code);
    thread->signal = signal;
    thread->reason = signal_reason(kSystem, signal, code);
    if (has_fault_address(kSystem, signal, code)) thread->fault_address = Address(address);
    return {};
  }

  const NoteTarget& target_;
  CoreNotes& notes_;
  const Note& note_;
  bool wide_;
  ByteCursor cursor_;
};

}  // namespace

Result<void> read_freebsd_note(const NoteTarget& target, const Note& note) {
  return FreeBsdNote(target, note).read();
}

}  // namespace residue::elf
